"""Metrics that the documents name are exported."""

import re
from pathlib import Path

EXPORTED = re.compile(r'"((?:ondeck|grpc_server)(?:_[a-z]+)+)"')
DOCUMENTED = re.compile(r"`((?:ondeck|grpc_server)(?:_[a-z]+)+)(?:\{[^}]*\})?`")
PACKAGES = re.compile(r"ondeck_(runtime|core|registry|store|ingest|trainer|server|cli|client)$")


def test_every_metric_in_the_documents_is_exported(root: Path) -> None:
    modules = (root / "server" / "ondeck_server").rglob("*.py")
    exported = {name for module in modules for name in EXPORTED.findall(module.read_text())}
    pages = [root / "README.md", *(root / "docs").rglob("*.md")]
    documented = {name for page in pages for name in DOCUMENTED.findall(page.read_text())}
    metrics = {name.removesuffix("_total") for name in documented if not PACKAGES.match(name)}
    assert {"grpc_server_handled", "grpc_server_handling_seconds", "ondeck_model_loads"} <= metrics
    assert metrics - exported == set()
