"""`ondeck train`, `evaluate` and `recalibrate`: commands and their output."""
