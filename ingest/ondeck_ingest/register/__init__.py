"""The Chadwick register of players: download, parse and merge."""
