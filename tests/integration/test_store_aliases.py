"""Alias changes are serialized and atomic, and the log is complete, even if a process is killed."""

import json
import shutil
import signal
import subprocess
import sys
from datetime import UTC, datetime, timedelta, timezone
from itertools import pairwise
from pathlib import Path
from typing import Final

import pytest

from ondeck_core.errors import ArtifactRefusedError, NotFoundError
from ondeck_core.manifest import ALIASES_FILE
from ondeck_registry.alias_log import ALIAS_LOG_FILE, PENDING_FILE, AliasChange, encode_line, history, write_pending
from ondeck_registry.aliases import AliasChangeError, AliasDecision, lock_aliases, move_alias, roll_back_alias
from ondeck_registry.atomic_files import RepositoryLockedError, exclusive_lock
from ondeck_registry.repository import aliases, read_repository
from tests.conftest import ROOT
from tests.factories.versions import MODEL, publish_stub_versions

PRODUCTION: Final = "production"
NOW: Final = datetime(2024, 7, 1, 12, tzinfo=UTC)
BY_ADA: Final = AliasDecision(actor="Ada", reason="better in June", at=NOW)


@pytest.fixture
def models(tmp_path: Path) -> Path:
    """Return a repository of versions 1 to 4, with version 1 in production."""
    publish_stub_versions(tmp_path, 1, 2, 3, 4)
    move_alias(tmp_path, MODEL, PRODUCTION, 1, BY_ADA)
    return tmp_path


def child(code: str, *words: str) -> "subprocess.Popen[str]":
    command = [sys.executable, "-c", code, *words]
    return subprocess.Popen(command, cwd=ROOT, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True)


def read_line(process: "subprocess.Popen[str]") -> str:
    assert process.stdout is not None
    return process.stdout.readline().strip()


def release(process: "subprocess.Popen[str]") -> None:
    assert process.stdin is not None
    process.stdin.write("go\n")
    process.stdin.flush()


def path_of_production(models: Path) -> list[int | None]:
    moves = [each for each in history(models, MODEL) if each.alias == PRODUCTION]
    for earlier, later in pairwise(moves):
        assert later.from_version == earlier.to_version
    assert moves[-1].to_version == aliases(models, MODEL)[PRODUCTION]
    return [moves[0].from_version, *(each.to_version for each in moves)]


def test_an_alias_change_is_in_the_aliases_and_the_alias_log(models: Path) -> None:
    new_york = timezone(timedelta(hours=-4))
    decision = AliasDecision(actor="Bea", reason="requested", at=NOW.astimezone(new_york), forced=True)
    move_alias(models, MODEL, PRODUCTION, 2, decision)
    assert json.loads((models / MODEL / ALIASES_FILE).read_text()) == {"aliases": {"production": 2}}
    last = json.loads((models / MODEL / ALIAS_LOG_FILE).read_text().splitlines()[-1])
    assert (last["moved_at"], last["actor"], last["reason"]) == ("2024-07-01T12:00:00Z", "Bea", "requested")
    assert (last["from_version"], last["to_version"], last["forced"], last["rollback"]) == (1, 2, True, False)
    assert not (models / MODEL / PENDING_FILE).exists()


def test_one_alias_moves_and_the_others_stay(models: Path) -> None:
    move_alias(models, MODEL, "candidate", 3, BY_ADA)
    move_alias(models, MODEL, PRODUCTION, 2, BY_ADA)
    assert aliases(models, MODEL) == {"production": 2, "candidate": 3}


def test_an_alias_change_to_the_same_version_changes_and_logs_nothing(models: Path) -> None:
    assert move_alias(models, MODEL, PRODUCTION, 1, BY_ADA) is None
    assert path_of_production(models) == [None, 1]


@pytest.mark.parametrize(
    ("model", "alias", "version", "message"),
    [
        (MODEL, PRODUCTION, 9, "no version 'batted_ball/9'; available: 1, 2, 3, 4"),
        (MODEL, "Best!", 2, "invalid alias 'Best!': use lower-case"),
        ("home_runs", PRODUCTION, 1, "no model 'home_runs'"),
        ("../batted_ball", PRODUCTION, 1, "no model '../batted_ball'"),
    ],
)
def test_an_invalid_target_is_refused_with_a_reason(
    models: Path, model: str, alias: str, version: int, message: str
) -> None:
    with pytest.raises((NotFoundError, AliasChangeError)) as refused:
        move_alias(models, model, alias, version, BY_ADA)
    assert str(refused.value).startswith(message)
    assert aliases(models, MODEL) == {"production": 1}


@pytest.mark.parametrize(
    ("who", "why", "at"), [("", "why", NOW), ("Ada", " ", NOW), ("Ada", "why", NOW.replace(tzinfo=None))]
)
def test_an_alias_change_needs_an_actor_a_reason_and_an_aware_time(who: str, why: str, at: datetime) -> None:
    with pytest.raises(ValueError, match="a decision has an actor, a reason and an aware time"):
        AliasDecision(actor=who, reason=why, at=at)


def test_each_rollback_goes_back_one_step_and_is_logged(models: Path) -> None:
    move_alias(models, MODEL, PRODUCTION, 2, BY_ADA)
    move_alias(models, MODEL, PRODUCTION, 4, BY_ADA)
    assert roll_back_alias(models, MODEL, PRODUCTION, BY_ADA).to_version == 2
    assert roll_back_alias(models, MODEL, PRODUCTION, BY_ADA).to_version == 1
    assert path_of_production(models) == [None, 1, 2, 4, 2, 1]
    assert [each.rollback for each in history(models, MODEL)] == [False, False, False, True, True]
    with pytest.raises(AliasChangeError, match="no version is on record as production before version 1"):
        roll_back_alias(models, MODEL, PRODUCTION, BY_ADA)


def test_a_rollback_keeps_a_manually_edited_alias(models: Path) -> None:
    (models / MODEL / ALIASES_FILE).write_text('{"aliases": {"production": 3}}')
    assert roll_back_alias(models, MODEL, PRODUCTION, BY_ADA).from_version == 3
    assert aliases(models, MODEL) == {"production": 1}


def test_a_rollback_to_a_deleted_version_is_refused(models: Path) -> None:
    move_alias(models, MODEL, PRODUCTION, 2, BY_ADA)
    shutil.rmtree(models / MODEL / "1")
    with pytest.raises(AliasChangeError, match="version 1, which was production before version 2, no longer exists"):
        roll_back_alias(models, MODEL, PRODUCTION, BY_ADA)
    assert aliases(models, MODEL) == {"production": 2}


def test_a_rollback_of_an_unknown_alias_is_refused(models: Path) -> None:
    with pytest.raises(NotFoundError, match="no alias 'batted_ball@candidate'; available: production"):
        roll_back_alias(models, MODEL, "candidate", BY_ADA)


KILLED: Final = """
import os, signal, sys
from pathlib import Path
from tests.integration.test_store_aliases import BY_ADA, MODEL, PRODUCTION, move_alias
left, real = int(sys.argv[2]), os.fsync
def fsync(handle):
    global left
    if left == 0:
        os.kill(os.getpid(), signal.SIGKILL)
    left -= 1
    real(handle)
os.fsync = fsync
move_alias(Path(sys.argv[1]), MODEL, PRODUCTION, 2, BY_ADA)
"""


def test_a_kill_at_any_moment_leaves_aliases_and_log_consistent(models: Path) -> None:
    outcomes = []
    for moment in range(20):
        copy = Path(shutil.copytree(models, models.with_name(f"{models.name}-{moment}")))
        code = child(KILLED, str(copy), str(moment)).wait(timeout=60)
        moved = aliases(copy, MODEL) == {"production": 2}
        assert path_of_production(copy) == ([None, 1, 2] if moved else [None, 1])
        move_alias(copy, MODEL, PRODUCTION, 3, BY_ADA)
        assert path_of_production(copy) == ([None, 1, 2, 3] if moved else [None, 1, 3])
        assert len((copy / MODEL / ALIAS_LOG_FILE).read_text().splitlines()) == 2 + moved
        outcomes.append((code, moved))
        if code == 0:
            break
    assert {code for code, _ in outcomes[:-1]} == {-signal.SIGKILL}
    assert outcomes[-1] == (0, True)
    assert {moved for _, moved in outcomes[:-1]} == {False, True}


@pytest.mark.parametrize("written", [0.0, 0.3, 1.0])
def test_a_truncated_log_line_is_reported_and_completed(models: Path, written: float) -> None:
    move = AliasChange(
        moved_at=NOW, actor="Bea", model=MODEL, alias=PRODUCTION, from_version=1, to_version=2, reason="requested"
    )
    write_pending(models, move)
    (models / MODEL / ALIASES_FILE).write_text('{"aliases": {"production": 2}}')
    line = encode_line(move)
    with (models / MODEL / ALIAS_LOG_FILE).open("ab") as audit:
        audit.write(line[: round(written * (len(line) - 1))])
    assert history(models, MODEL)[-1] == move
    with lock_aliases(models, MODEL):
        pass
    assert (models / MODEL / ALIAS_LOG_FILE).read_bytes().endswith(b"\n" + line)
    assert history(models, MODEL)[-1] == move


def test_an_unreadable_log_line_is_reported_and_blocks_no_change(models: Path) -> None:
    with (models / MODEL / ALIAS_LOG_FILE).open("ab") as audit:
        audit.write(b"edited")
    move_alias(models, MODEL, PRODUCTION, 2, BY_ADA)
    assert aliases(models, MODEL) == {"production": 2}
    with pytest.raises(ArtifactRefusedError, match=r"aliases\.log\.jsonl, line 2 is not an alias change"):
        history(models, MODEL)


TWENTY_MOVES: Final = """
import sys
from pathlib import Path
from tests.integration.test_store_aliases import BY_ADA, MODEL, PRODUCTION, move_alias
there, back = map(int, sys.argv[2:])
print("ready", flush=True)
sys.stdin.readline()
for _ in range(10):
    move_alias(Path(sys.argv[1]), MODEL, PRODUCTION, there, BY_ADA)
    move_alias(Path(sys.argv[1]), MODEL, PRODUCTION, back, BY_ADA)
"""


def test_concurrent_changes_are_both_applied_and_logged(models: Path) -> None:
    movers = [child(TWENTY_MOVES, str(models), *pair) for pair in (("1", "2"), ("3", "4"))]
    assert [read_line(mover) for mover in movers] == ["ready", "ready"]
    for mover in movers:
        release(mover)
    assert [mover.wait(timeout=120) for mover in movers] == [0, 0]
    versions = path_of_production(models)[2:]
    assert len(versions) >= 39  # the first change may find production at its target
    assert [versions.count(version) for version in (3, 4, 2)] == [10, 10, 10]


def test_waiting_too_long_for_the_lock_fails_with_a_reason(models: Path) -> None:
    with (
        exclusive_lock(models / MODEL),
        pytest.raises(
            RepositoryLockedError, match=r"another program has been writing in the folder \w+ for 0\.1 seconds"
        ),
        exclusive_lock(models / MODEL, timeout=0.1),
    ):
        pass
    assert move_alias(models, MODEL, PRODUCTION, 2, BY_ADA) is not None


PUBLISHES_AND_PAUSES: Final = """
import sys, time
from pathlib import Path
from ondeck_registry import atomic_files
from tests.factories.versions import publish_stub_versions
real = atomic_files.write
def write(path, content):
    real(path, content)
    if path.name == sys.argv[2]:
        print("half way", flush=True)
        time.sleep(60)
atomic_files.write = write
publish_stub_versions(Path(sys.argv[1]), 5)
"""


def temporary_folders(models: Path) -> list[Path]:
    return list((models / MODEL).glob(".publishing-*"))


@pytest.mark.parametrize("file", ["model.onnx", "manifest.json"])
def test_a_killed_publisher_leaves_no_version_and_the_next_one_cleans_up(models: Path, file: str) -> None:
    publisher = child(PUBLISHES_AND_PAUSES, str(models), file)
    assert read_line(publisher) == "half way"
    with pytest.raises(RepositoryLockedError), exclusive_lock(models / MODEL, timeout=0.1):
        pass  # the folder of a live process is kept
    assert len(temporary_folders(models)) == 1
    publisher.kill()
    publisher.wait(timeout=30)
    assert [line.versions for line in read_repository(models)] == [(1, 2, 3, 4)]
    publish_stub_versions(models, 5)
    assert temporary_folders(models) == []
    assert [line.versions for line in read_repository(models)] == [(1, 2, 3, 4, 5)]
