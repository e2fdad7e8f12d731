"""Names as people type them."""


def canonical(name: str) -> str:
    """Spell the name of a task, a model or a command as the contract does: `batted-ball` is `batted_ball`."""
    return name.strip().lower().replace("-", "_")
