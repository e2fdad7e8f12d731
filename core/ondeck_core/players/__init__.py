"""Player names and ids: normalization, search and resolution."""
