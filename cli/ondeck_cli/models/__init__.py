"""`ondeck models`: list, compare, import, verify, promote and roll back versions."""
