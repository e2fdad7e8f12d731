"""The workers seen as one server."""

from collections.abc import Mapping, Sequence

from ondeck_server.ipc.messages import WorkerStatus


def aggregate_serving(reports: Sequence[WorkerStatus]) -> dict[str, bool]:
    """Tell of each health name whether the whole serves it: only if every one of these workers does."""
    names = dict.fromkeys(name for report in reports for name in report.serving)
    return {name: all(report.serving.get(name, False) for report in reports) for name in names}


def can_join(report: WorkerStatus, serving: Mapping[str, bool]) -> bool:
    """Tell whether a worker may join: it has ready, and takes from the whole nothing that it serves."""
    return report.ready and all(report.serving.get(name, False) for name, serves in serving.items() if serves)


def unready_reasons(reports: Sequence[WorkerStatus]) -> list[str]:
    """List what keeps the whole from being ready, each reason once."""
    if not reports:
        return ["no worker takes calls"]
    return list(dict.fromkeys(reason for report in reports for reason in report.missing))
