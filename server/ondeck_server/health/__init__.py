"""Serving status of each service, as `grpc.health.v1` reports it."""
