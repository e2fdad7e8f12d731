"""ondeck.v1.PlayerService: resolve names and ids to players."""
