"""What the server says of itself: its metrics, and what the system says of its memory."""

import re
import urllib.request

import psutil

from tests.fixtures.server import RunningServer


def counted(server: RunningServer, method: str, *codes: str) -> float:
    """Tell how many calls of a method ended so; without codes, how many ended."""
    with urllib.request.urlopen(f"{server.admin}/metrics", timeout=20) as response:  # noqa: S310  a page of our own
        lines = response.read().decode().splitlines()
    found = (re.fullmatch(r"grpc_server_handled_total\{(.*)\} (\S+)", line) for line in lines)
    ended = [(dict(re.findall(r'(\w+)="([^"]*)"', each[1])), float(each[2])) for each in found if each]
    return sum(
        n
        for labels, n in ended
        if f"/{labels['grpc_service']}/{labels['grpc_method']}" == method
        and (not codes or labels["grpc_code"] in codes)
    )


def memory(server: RunningServer) -> float:
    """Tell how much memory the server and its workers hold, in MiB."""
    process = psutil.Process(server.process.pid)
    return float(sum(each.memory_info().rss for each in (process, *process.children(recursive=True)))) / (1 << 20)
