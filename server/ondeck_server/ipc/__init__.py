"""Messages between supervisor and workers, over a socket pair."""
