"""Metrics of a process itself: memory, CPU time, and how late its event loop is."""

import asyncio
import os
import resource
import time
from pathlib import Path
from typing import Final

from ondeck_runtime.metrics import CounterFamily, GaugeFamily, HistogramFamily, MetricsBlock

INTERVAL_SECONDS: Final = 1.0
MEMORY: Final = GaugeFamily(
    "ondeck_process_resident_memory_bytes", "resident memory of each process that runs", ("process", "pid")
)
CPU: Final = CounterFamily(
    "ondeck_process_cpu_seconds", "CPU seconds of all processes of a kind, those that exited included", ("process",)
)
LAG: Final = HistogramFamily(
    "ondeck_event_loop_lag_seconds", "seconds by which the event loop is late, sampled once a second", ("process",)
)
_STATM: Final = Path("/proc/self/statm")
_KIBIBYTE: Final = 1 << 10


class ProcessMetrics:
    """The metrics of this process; `process` names its kind, for example `worker`."""

    def __init__(self, block: MetricsBlock, process: str) -> None:
        self._memory = block.gauge(MEMORY, process, str(os.getpid()))
        self._cpu = block.counter(CPU, process)
        self._lag = block.histogram(LAG, process)
        self._cpu_counted = 0.0

    async def sample_periodically(self) -> None:
        """Sample every `INTERVAL_SECONDS`, until cancelled."""
        clock = asyncio.get_running_loop().time
        while True:
            self.sample()
            due = clock() + INTERVAL_SECONDS
            await asyncio.sleep(INTERVAL_SECONDS)
            self._lag.observe(max(clock() - due, 0.0))

    def sample(self) -> None:
        """Set the memory, and add the CPU time since the last sample."""
        used = time.process_time()
        self._cpu.inc(used - self._cpu_counted)
        self._cpu_counted = used
        self._memory.set(resident_bytes())


def resident_bytes() -> int:
    """Return the resident memory of this process; its maximum, where the system does not report the present one."""
    try:
        pages = int(_STATM.read_bytes().split()[1])
    except OSError:
        return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * _KIBIBYTE
    return pages * os.sysconf("SC_PAGE_SIZE")
