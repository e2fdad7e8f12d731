"""Ingest beside a bare binary COPY of the same typed rows, already in memory, into an empty copy of the same tables."""

COLUMNS = ("",)


def measure() -> tuple[str, list[tuple[str, ...]]]:
    """Measure."""
    raise NotImplementedError
