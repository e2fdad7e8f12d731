"""The transports that carry gRPC: one on nghttp2, one on grpcio."""
