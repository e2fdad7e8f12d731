"""What is measured of versions; labels come from the repository alone, never from callers."""

from prometheus_client import CollectorRegistry, Counter, Gauge

from ondeck_server.models.reconciler import VersionState
from ondeck_server.models.source import Key


class VersionMetrics:
    """Which versions answer, and how loading them went."""

    def __init__(self, registry: CollectorRegistry) -> None:
        labels = ("model", "version")
        self._loaded = Gauge(
            "ondeck_version_loaded",
            "1 if every worker has loaded the version, else 0.",
            labels,
            registry=registry,
            multiprocess_mode="livemin",
        )
        self._ended = Counter(
            "ondeck_model_loads", "Completed loads of versions.", (*labels, "result"), registry=registry
        )

    def stands(self, key: Key, state: VersionState) -> None:
        """Take note of how a version stands now."""
        labels = (key[0], str(key[1]))
        self._loaded.labels(*labels).set(state is VersionState.LOADED)
        if state in {VersionState.LOADED, VersionState.REFUSED}:
            self._ended.labels(*labels, state.value).inc()
