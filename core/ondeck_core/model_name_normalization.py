"""Normalization of task, model and command names."""


def canonical(name: str) -> str:
    """Return the canonical form of a task, model or command name: `batted-ball` becomes `batted_ball`."""
    return name.strip().lower().replace("-", "_")
