"""Calls independent of their transport: context, methods, lifecycle, error table."""
