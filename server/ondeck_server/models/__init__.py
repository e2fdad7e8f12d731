"""Model versions in memory: watch the repository, load, check, lease, unload."""
