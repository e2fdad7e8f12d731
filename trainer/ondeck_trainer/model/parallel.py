"""Who fits: this process, processes on this machine, or the workers of a Dask cluster."""

from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any

from joblib import Parallel, delayed, parallel_config

from ondeck_core.errors import OndeckError

Work = tuple[Callable[..., Any], tuple[Any, ...]]


class ClusterUnreachableError(OndeckError):
    """The Dask cluster cannot be used."""


@dataclass(frozen=True, kw_only=True)
class ParallelFit:
    """`jobs` processes, one thread each; or, with `dask`, the workers of the cluster at that address."""

    jobs: int = 1
    dask: str | None = None

    def run(self, work: Sequence[Work], names: Sequence[str], say: Callable[[str], None]) -> list[Any]:
        """Do all the work, as many pieces at a time as there are workers; results in the order of the work."""
        with self._backend():
            done = Parallel(return_as="generator")(delayed(do)(*given) for do, given in work)
            return [self._told(result, name, say) for result, name in zip(done, names, strict=True)]

    @staticmethod
    def _told(result: Any, name: str, say: Callable[[str], None]) -> Any:  # noqa: ANN401  whatever the work gives
        say(f"fitted {name}")
        return result

    @contextmanager
    def _backend(self) -> Iterator[None]:
        if self.dask is not None:
            with _cluster(self.dask), parallel_config(backend="dask"):
                yield
        elif self.jobs > 1:
            with parallel_config(backend="loky", n_jobs=self.jobs, inner_max_num_threads=1):
                yield
        else:
            with parallel_config(backend="sequential"):
                yield


@contextmanager
def _cluster(address: str) -> Iterator[None]:
    try:
        from distributed import Client  # noqa: PLC0415  an extra: who has no cluster need not install it
    except ImportError:
        raise ClusterUnreachableError("a Dask cluster needs the extra: pip install 'ondeck-trainer[dask]'") from None
    try:
        client = Client(address, timeout="10s")  # type: ignore[no-untyped-call]  # it ships no types
    except OSError as unreachable:
        raise ClusterUnreachableError(f"no Dask scheduler answers at {address} ({unreachable})") from unreachable
    with client:
        yield
