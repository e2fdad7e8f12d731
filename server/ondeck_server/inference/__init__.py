"""Predictions and explanations from a loaded version, without gRPC."""
