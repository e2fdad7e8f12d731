"""The load trial: a process that loads, warms up and optimizes versions before any worker loads them, under limits.

`python -m ondeck_server.worker.load_trial LIMITS NICENESS` reads a `TrialRequest` a line and writes a `TrialResult` a
line. It exits when its input ends.
"""

import math
import os
import resource
import signal
import sys
import time
from hashlib import sha256
from pathlib import Path
from typing import Final

from pydantic import TypeAdapter

from ondeck_core.errors import ArtifactRefusedError, printable, without_folders
from ondeck_core.manifest import GraphManifest, Manifest
from ondeck_registry.file_reader import UnreadableFileError
from ondeck_registry.version_optimizer import SHIPPED, Optimization, optimize_version
from ondeck_server.ipc.messages import LoadLimits, TrialRequest, TrialResult
from ondeck_server.models.servable import load_manifest, trim_heap

_SPARE_SECONDS: Final = 5  # this process ends itself this long after the supervisor should have ended it
_MEMORY_USE: Final = Path("/proc/self/statm")
_MEMORY_FIELD: Final = 5  # pages of data and stack
_MANIFEST: Final[TypeAdapter[Manifest | GraphManifest]] = TypeAdapter(Manifest | GraphManifest)


def _load(request: TrialRequest) -> TrialResult:
    try:
        folder, manifest = Path(request.folder), _MANIFEST.validate_json(request.manifest)
        optimization = optimize_version(folder, manifest) if request.optimized_file else SHIPPED
        load_manifest(folder, manifest, optimization)
        return _store(request, optimization)
    except ArtifactRefusedError as refused:
        is_retried = isinstance(refused, UnreadableFileError)
        return TrialResult(key=request.key, refused=printable(str(refused)), is_retried=is_retried)
    except Exception as error:  # noqa: BLE001  MemoryError, and what ONNX Runtime raises
        text = f"cannot be loaded: {type(error).__name__}: {without_folders(str(error))}"
        return TrialResult(key=request.key, refused=printable(text))
    finally:
        trim_heap()


def _store(request: TrialRequest, optimization: Optimization) -> TrialResult:
    """Store the optimized graph in its file; if that fails, the shipped graph serves."""
    result = TrialResult(key=request.key, rewrites=optimization.rewrites, rejected=optimization.rejected)
    if optimization.graph is None:
        return result
    try:
        Path(request.optimized_file).write_bytes(optimization.graph)
    except OSError as failed:
        return TrialResult(key=request.key, rejected=f"the optimized graph cannot be stored: {failed.strerror}")
    digest = sha256(optimization.graph).hexdigest()
    return result.model_copy(update={"optimized_file": request.optimized_file, "optimized_digest": digest})


def _limit(limits: LoadLimits) -> None:
    """Set the limits of the next load; each is counted from the present use."""
    cpu = math.ceil(time.process_time()) + limits.cpu_seconds
    _set_limit(resource.RLIMIT_CPU, cpu)
    if _MEMORY_USE.exists():  # Linux only
        used = int(_MEMORY_USE.read_text().split()[_MEMORY_FIELD]) * resource.getpagesize()
        _set_limit(resource.RLIMIT_DATA, used + (limits.memory_mib << 20))
    signal.setitimer(signal.ITIMER_REAL, limits.wall_seconds + _SPARE_SECONDS)


def _set_limit(kind: int, value: int) -> None:
    """Set a soft limit, not above the hard one."""
    hard = resource.getrlimit(kind)[1]
    resource.setrlimit(kind, (value if hard == resource.RLIM_INFINITY else min(value, hard), hard))


def main() -> None:
    """Load one version for each line of the input."""
    limits = LoadLimits.model_validate_json(sys.argv[1])
    os.nice(int(sys.argv[2]))
    resource.setrlimit(resource.RLIMIT_CORE, (0, 0))
    results = os.dup(1)
    os.dup2(2, 1)  # what a library prints is no result
    for line in sys.stdin.buffer:
        request = TrialRequest.model_validate_json(line)
        _limit(limits)
        result = _load(request)
        signal.setitimer(signal.ITIMER_REAL, 0)
        os.write(results, result.model_dump_json().encode() + b"\n")


if __name__ == "__main__":
    main()
