"""Generate the protobuf stubs in proto/gen/python and the client for threads; with --check, only compare.

The client for threads is the asyncio client without `async` and `await`.
"""

import filecmp
import os
import re
import shutil
import subprocess
import sys
import tempfile
from pathlib import Path
from typing import Final

from grpc_tools import protoc

ROOT: Final = Path(__file__).resolve().parent.parent
PROTO: Final = ROOT / "proto"
COMMITTED: Final = PROTO / "gen" / "python"
ROOTS: Final = ("inference", "ondeck")
CLIENT: Final = ROOT / "clients" / "python" / "ondeck_client"
ASYNC_CLIENT: Final = CLIENT / "aio.py"
SYNC_CLIENT: Final = CLIENT / "client.py"

# Patterns in the source of the asyncio client, applied in this order.
SYNC_REPLACEMENTS: Final = (
    (
        r'"""The client for asyncio\."""',
        '"""The client for threads; generated from aio.py by tools/generate.py, do not edit."""',
    ),
    (r"A connection to Ondeck for one event loop\.", "A connection to Ondeck; threads may share it."),
    (r"  # noqa: ASYNC109[^\n]*", ""),
    (r"AsyncGenerator\[(\w+), None\]", r"Generator[\1, None, None]"),
    (r"Iterable\[StreamItem\] \| AsyncIterable\[StreamItem\]", "Iterable[StreamItem]"),
    (
        r"\bAsyncGenerator, AsyncIterable, AsyncIterator, Awaitable, Callable, Iterable\b",
        "Callable, Generator, Iterable, Iterator",
    ),
    (r"\bAwaitable\[(\w+)\]", r"\1"),
    (r"\bAsync(\w+)", r"\1"),
    (r"\b__a(enter|exit)__\b", r"__\1__"),
    (r"\bgrpc\.aio\.", "grpc."),
    (r"\baio_streaming\b", "streaming"),
    (r"\basync (def|with|for)\b", r"\1"),
    (r"\bawait ", ""),
    (r"\nimport asyncio\b", ""),
    (r"\basyncio\.sleep\b", "time.sleep"),
)
ASYNC_DOCS: Final = """\
the last instance, or when the generator is closed; close it with `aclose` to end early, because Python closes
        it only when it is collected. `instances` may be an asynchronous iterable; a separate task iterates it. An
        exception that `instances` raises is raised here, after the answers to all earlier instances. `timeout` is the
        deadline of the whole stream; None, the default: no deadline.
"""
SYNC_DOCS: Final = """\
the last instance, or when the generator is closed. Another thread iterates `instances`; an exception that it
        raises is raised here, after the answers to all earlier instances. `timeout` is the deadline of the whole
        stream; None, the default: no deadline.
"""


def generate_stubs(into: Path) -> None:
    """Compile every proto file into `into`."""
    into.mkdir(parents=True, exist_ok=True)
    os.environ["PATH"] = os.pathsep.join([str(Path(sys.executable).parent), os.environ.get("PATH", "")])
    outputs = [f"--{kind}_out={into}" for kind in ("python", "grpc_python", "mypy", "mypy_grpc")]
    sources = [str(source.relative_to(PROTO)) for root in ROOTS for source in sorted(PROTO.glob(f"{root}/**/*.proto"))]
    if protoc.main(["protoc", f"--proto_path={PROTO}", *outputs, *sources]) != 0:
        sys.exit("protoc failed, see its messages above")
    for folder in {(into / source).parent for source in sources}:
        (folder / "py.typed").touch()


def stub_files(folder: Path) -> set[str]:
    """Return the names of the stubs below `folder`."""
    return {
        str(path.relative_to(folder))
        for path in folder.rglob("*")
        if path.suffix in {".py", ".pyi", ".typed"} and path.is_file()
    }


def stale_stubs(fresh: Path) -> list[str]:
    """Return the names of committed stubs that differ from the fresh ones."""
    names = stub_files(fresh) | stub_files(COMMITTED)
    return sorted(
        name
        for name in names
        if not (COMMITTED / name).is_file()
        or not (fresh / name).is_file()
        or not filecmp.cmp(fresh / name, COMMITTED / name, shallow=False)
    )


def sync_client(source: str) -> str:
    """Return the source of the client for threads, formatted, from that of the asyncio client."""
    if ASYNC_DOCS not in source:
        sys.exit(
            "the docstring of AsyncClient.stream has changed, update ASYNC_DOCS and SYNC_DOCS in tools/generate.py"
        )
    source = source.replace(ASYNC_DOCS, SYNC_DOCS)
    for pattern, replacement in SYNC_REPLACEMENTS:
        source = re.sub(pattern, replacement, source)
    sorted_imports = _ruff("check", "--select", "I", "--fix", "--quiet", source=source)
    return _ruff("format", source=sorted_imports)


def _ruff(*words: str, source: str) -> str:
    command = [sys.executable, "-m", "ruff", *words, "--stdin-filename", str(SYNC_CLIENT), "-"]
    return subprocess.run(command, input=source, capture_output=True, text=True, check=True, cwd=ROOT).stdout  # noqa: S603  a development tool


def main() -> None:
    """Generate into a temporary folder, then compare it with the committed files or replace them."""
    client = sync_client(ASYNC_CLIENT.read_text())
    with tempfile.TemporaryDirectory() as folder:
        fresh = Path(folder)
        generate_stubs(fresh)
        if "--check" in sys.argv:
            stale = stale_stubs(fresh)
            if client != SYNC_CLIENT.read_text():
                stale.append(str(SYNC_CLIENT.relative_to(ROOT)))
            if stale:
                sys.exit("generated files are out of date, run `make gen`: " + ", ".join(stale))
            return
        SYNC_CLIENT.write_text(client)
        shutil.rmtree(COMMITTED, ignore_errors=True)
        shutil.copytree(fresh, COMMITTED)


if __name__ == "__main__":
    main()
