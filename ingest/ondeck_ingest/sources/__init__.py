"""Sources of Statcast rows: Baseball Savant, files, the archive, the simulator."""
