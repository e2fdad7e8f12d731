"""The parent process: starts, watches and replaces workers."""
