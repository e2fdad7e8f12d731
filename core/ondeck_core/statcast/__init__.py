"""Statcast exports: schema, parsing, row checks and corrections."""
