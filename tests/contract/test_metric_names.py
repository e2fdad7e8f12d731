"""Metrics: their names, and those that the documents name."""

import re
from pathlib import Path

from ondeck_runtime.metrics import CounterFamily, HistogramFamily, MetricFamily
from tools.fill_document_tables import declared_metrics, exported_name

DOCUMENTED = re.compile(r"`((?:ondeck|grpc_server)(?:_[a-z0-9]+)+)(?:\{[^}]*\})?`")
PACKAGES = re.compile(r"ondeck_(runtime|core|registry|store|ingest|trainer|server|cli|client)$")
NAME = re.compile(r"(ondeck|grpc_server)(_[a-z0-9]+)+")
FAMILIES: list[MetricFamily] = [family for _, family in declared_metrics()]


def test_every_metric_in_the_documents_is_declared(root: Path) -> None:
    pages = [root / "README.md", *(root / "docs").rglob("*.md")]
    documented = {name for page in pages for name in DOCUMENTED.findall(page.read_text()) if not PACKAGES.match(name)}
    assert {"grpc_server_handled_total", "grpc_server_handling_seconds", "ondeck_model_loads_total"} <= documented
    assert documented - {exported_name(family) for family in FAMILIES} == set()


def test_names_of_metrics_follow_those_of_prometheus() -> None:
    names = [family.name for family in FAMILIES]
    assert len(names) == len(set(names))
    for family in FAMILIES:
        assert NAME.fullmatch(family.name), family.name
        assert not family.name.endswith(("_total", "_count", "_sum", "_bucket")), family.name
        assert family.help, family.name
        assert family.help[0] == family.help[0].lower() or not family.help[0].isascii() or family.help[:3].isupper()


def test_durations_are_in_seconds() -> None:
    for family in FAMILIES:
        assert not re.search("_(ms|milliseconds|minutes|micros)(_|$)", family.name), family.name
        if isinstance(family, HistogramFamily) and family.name.endswith("_seconds"):
            assert max(family.buckets) >= 1
    assert any(isinstance(family, CounterFamily) for family in FAMILIES)
