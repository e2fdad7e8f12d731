"""The transport on grpcio."""
