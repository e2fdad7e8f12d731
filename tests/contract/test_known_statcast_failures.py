"""docs/known-statcast-failures.md names tests that exist."""

import re
from pathlib import Path


def test_every_known_failure_is_shown_by_tests_that_exist(root: Path) -> None:
    lines = re.findall(r"^\| (\d+) \|(.+)$", (root / "docs" / "known-statcast-failures.md").read_text(), re.MULTILINE)
    assert [int(number) for number, _ in lines] == list(range(1, 18))
    for number, line in lines:
        named = re.findall(r"`(tests/\S+\.py)::(test_\w+)`", line)
        assert named, number
        for path, name in named:
            assert re.search(rf"^(async )?def {name}\(", (root / path).read_text(), re.MULTILINE), f"{path}::{name}"
