"""Metrics and memory of a running server."""

import re
import urllib.request

import psutil

from tests.fixtures.server import RunningServer


def count_handled(server: RunningServer, method: str, *codes: str) -> float:
    """Return how many calls of a method ended with one of `codes`; without codes, how many ended."""
    with urllib.request.urlopen(f"{server.admin}/metrics", timeout=20) as response:  # noqa: S310  the page of a local server
        lines = response.read().decode().splitlines()
    found = (re.fullmatch(r"grpc_server_handled_total\{(.*)\} (\S+)", line) for line in lines)
    ended = [(dict(re.findall(r'(\w+)="([^"]*)"', each[1])), float(each[2])) for each in found if each]
    return sum(
        n
        for labels, n in ended
        if f"/{labels['grpc_service']}/{labels['grpc_method']}" == method
        and (not codes or labels["grpc_code"] in codes)
    )


def rss_mib(server: RunningServer) -> float:
    """Return the resident memory of the server and its workers, in MiB."""
    process = psutil.Process(server.process.pid)
    return float(sum(each.memory_info().rss for each in (process, *process.children(recursive=True)))) / (1 << 20)


def count_exceeded(server: RunningServer, limit: str) -> float:
    """Return how many calls and connections have exceeded a limit."""
    with urllib.request.urlopen(f"{server.admin}/metrics", timeout=20) as response:  # noqa: S310  as above
        page = response.read().decode()
    pattern = rf'^ondeck_http2_refusals_total\{{.*"{limit}".*\}} (\S+)'
    return sum(float(each) for each in re.findall(pattern, page, re.MULTILINE))
