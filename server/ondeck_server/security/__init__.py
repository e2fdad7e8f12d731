"""TLS, caller identity, authorization and rate limits."""
