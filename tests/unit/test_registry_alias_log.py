"""The alias log: its lines and rollback targets."""

from datetime import UTC, datetime

import pytest

from ondeck_registry.alias_log import AliasChange, encode_line, missing_bytes, rollback_stack

WHEN = datetime(2024, 7, 1, 12, tzinfo=UTC)
LINE = b'{"to":2}\n'


def change(
    from_version: int | None, to_version: int, *, rollback: bool = False, alias: str = "production"
) -> AliasChange:
    return AliasChange(
        moved_at=WHEN,
        actor="Ada",
        model="batted_ball",
        alias=alias,
        from_version=from_version,
        to_version=to_version,
        reason="a reason",
        rollback=rollback,
    )


def test_a_log_line_has_time_actor_change_and_reason() -> None:
    written = AliasChange.model_validate_json(encode_line(change(1, 2))).model_dump(mode="json", exclude={"id"})
    assert written == {
        "format": 2,
        "moved_at": "2024-07-01T12:00:00Z",
        "actor": "Ada",
        "model": "batted_ball",
        "alias": "production",
        "from_version": 1,
        "to_version": 2,
        "reason": "a reason",
        "forced": False,
        "rollback": False,
    }


def test_two_equal_changes_are_two_lines() -> None:
    assert encode_line(change(1, 2)) != encode_line(change(1, 2))


@pytest.mark.parametrize(
    ("recorded", "appended"),
    [
        (b"", LINE),
        (b'{"to":1}\n', LINE),
        (b'{"to":1}\n' + LINE[:5], LINE[5:]),
        (b'{"to":1}\n' + LINE[:-1], b"\n"),
        (b'{"to":1}\n' + LINE, b""),
        (LINE + b'{"to":3}\n', b""),
        (b'{"to":1} edited', b"\n" + LINE),
    ],
    ids=["first", "next", "partly written", "without newline", "written", "written earlier", "after foreign text"],
)
def test_a_line_is_appended_once_and_complete(recorded: bytes, appended: bytes) -> None:
    assert missing_bytes(recorded, LINE) == appended


@pytest.mark.parametrize(
    ("changes", "current", "found"),
    [
        ([], 1, [1]),
        ([change(None, 1)], 1, [1]),
        ([change(None, 1), change(1, 2), change(2, 3)], 3, [1, 2, 3]),
        ([change(None, 1), change(1, 2), change(2, 1)], 1, [1, 2, 1]),
        ([change(None, 1), change(1, 2), change(2, 3), change(3, 2, rollback=True)], 2, [1, 2]),
        ([change(1, 2), change(2, 3), change(3, 2, rollback=True), change(2, 1, rollback=True)], 1, [1]),
        ([change(1, 2), change(2, 1, rollback=True), change(1, 4)], 4, [1, 4]),
        ([change(1, 2), change(5, 6)], 6, [1, 2, 5, 6]),
        ([change(1, 2)], 7, [1, 2, 7]),
        ([change(1, 2), change(None, 9, alias="candidate")], 2, [1, 2]),
        ([change(None, 1, rollback=True)], 1, [1]),
    ],
    ids=[
        "empty log",
        "the first",
        "forward",
        "forward to an earlier one",
        "back",
        "back and further back",
        "back and forward again",
        "manual edit between changes",
        "manual edit after the last change",
        "another alias",
        "an inconsistent log",
    ],
)
def test_a_rollback_finds_the_previous_target(changes: list[AliasChange], current: int, found: list[int]) -> None:
    assert rollback_stack(changes, "production", current) == found
