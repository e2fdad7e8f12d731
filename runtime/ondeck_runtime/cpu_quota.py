"""How many cores this process may use: those it may run on, or fewer where its cgroup has a quota."""

import math
import os
from collections.abc import Iterable, Iterator
from pathlib import Path, PurePosixPath
from typing import Final

_ROOT: Final = Path("/sys/fs/cgroup")
_OF_PROCESS: Final = Path("/proc/self/cgroup")


def cpu_count() -> int:
    """Count the cores of this process, at least one."""
    try:
        membership = _OF_PROCESS.read_text()
    except OSError:  # no Linux
        membership = ""
    return smallest_limit(_runnable(), (_read(folder) for folder in cgroup_folders(membership, _ROOT)))


def smallest_limit(runnable: int, limits: Iterable[float | None]) -> int:
    """Take the smallest of the cores that a process may run on and its limits; a part of a core counts as one."""
    known = [limit for limit in limits if limit is not None]
    return max(1, math.ceil(min([float(runnable), *known])))


def cgroup_folders(membership: str, root: Path) -> Iterator[Path]:
    """Name the folders whose limits hold for a process, by the text of its /proc/self/cgroup (version 2, version 1)."""
    for line in membership.splitlines():
        _, controllers, name = line.split(":", 2)
        if controllers and "cpu" not in controllers.split(","):
            continue
        for top in [root / controllers, root / "cpu"] if controllers else [root, root / "unified"]:
            inside = PurePosixPath(name.lstrip("/"))
            yield from (top / part for part in (inside, *inside.parents))


def limit_of_v2(cpu_max: str) -> float | None:
    """Read a cpu.max, as `150000 100000` (microseconds, and of how many); None: no limit."""
    quota, period = cpu_max.split()
    return None if quota == "max" else int(quota) / int(period)


def limit_of_v1(quota: str, period: str) -> float | None:
    """Read cpu.cfs_quota_us and cpu.cfs_period_us; None: no limit."""
    return int(quota) / int(period) if int(quota) > 0 else None


def _read(folder: Path) -> float | None:
    try:
        if (folder / "cpu.max").exists():
            return limit_of_v2((folder / "cpu.max").read_text())
        return limit_of_v1((folder / "cpu.cfs_quota_us").read_text(), (folder / "cpu.cfs_period_us").read_text())
    except (OSError, ValueError):
        return None


def _runnable() -> int:
    if hasattr(os, "sched_getaffinity"):
        return len(os.sched_getaffinity(0))
    return os.cpu_count() or 1
