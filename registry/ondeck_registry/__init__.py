"""The model repository on disk: read, verify, gate, publish, change and log aliases."""
