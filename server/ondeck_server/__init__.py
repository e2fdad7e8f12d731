"""The gRPC model server."""
