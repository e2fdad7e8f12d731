"""The CPU cores that this process may use: its CPU affinity, or the quota of its cgroups if that is smaller."""

import math
import os
from collections.abc import Iterable, Iterator
from pathlib import Path, PurePosixPath
from typing import Final

_ROOT: Final = Path("/sys/fs/cgroup")
_MEMBERSHIP: Final = Path("/proc/self/cgroup")


def cpu_count() -> int:
    """Return the number of cores that this process may use, at least 1."""
    try:
        membership = _MEMBERSHIP.read_text()
    except OSError:  # not on Linux
        membership = ""
    return smallest_limit(_runnable(), (_read(folder) for folder in cgroup_folders(membership, _ROOT)))


def smallest_limit(runnable: int, limits: Iterable[float | None]) -> int:
    """Return the smallest of the runnable cores and the limits, rounded up to whole cores; None: no limit."""
    known = [limit for limit in limits if limit is not None]
    return max(1, math.ceil(min([float(runnable), *known])))


def cgroup_folders(membership: str, root: Path) -> Iterator[Path]:
    """Yield the folders whose limits apply to a process, from the text of its /proc/self/cgroup (version 1 or 2)."""
    for line in membership.splitlines():
        _, controllers, name = line.split(":", 2)
        if controllers and "cpu" not in controllers.split(","):
            continue
        for top in [root / controllers, root / "cpu"] if controllers else [root, root / "unified"]:
            inside = PurePosixPath(name.lstrip("/"))
            yield from (top / part for part in (inside, *inside.parents))


def parse_cpu_max(cpu_max: str) -> float | None:
    """Parse the cpu.max of cgroup version 2, quota and period in microseconds, as cores; None: no limit."""
    quota, period = cpu_max.split()
    return None if quota == "max" else int(quota) / int(period)


def parse_cfs_quota(quota: str, period: str) -> float | None:
    """Parse cpu.cfs_quota_us and cpu.cfs_period_us of cgroup version 1 as cores; None: no limit."""
    return int(quota) / int(period) if int(quota) > 0 else None


def _read(folder: Path) -> float | None:
    try:
        if (folder / "cpu.max").exists():
            return parse_cpu_max((folder / "cpu.max").read_text())
        return parse_cfs_quota((folder / "cpu.cfs_quota_us").read_text(), (folder / "cpu.cfs_period_us").read_text())
    except (OSError, ValueError):
        return None


def _runnable() -> int:
    if hasattr(os, "sched_getaffinity"):
        return len(os.sched_getaffinity(0))
    return os.cpu_count() or 1
