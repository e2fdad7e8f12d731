"""Write the stubs of proto/ into proto/gen/python; with --check, only say whether they are up to date."""

import filecmp
import os
import shutil
import sys
import tempfile
from pathlib import Path

from grpc_tools import protoc

ROOT = Path(__file__).resolve().parent.parent
PROTO = ROOT / "proto"
COMMITTED = PROTO / "gen" / "python"
ROOTS = ("inference", "ondeck")


def generate(into: Path) -> None:
    """Compile every file of the contract into `into`."""
    into.mkdir(parents=True, exist_ok=True)
    os.environ["PATH"] = os.pathsep.join([str(Path(sys.executable).parent), os.environ.get("PATH", "")])
    outputs = [f"--{kind}_out={into}" for kind in ("python", "grpc_python", "mypy", "mypy_grpc")]
    sources = [str(source.relative_to(PROTO)) for root in ROOTS for source in sorted(PROTO.glob(f"{root}/**/*.proto"))]
    if protoc.main(["protoc", f"--proto_path={PROTO}", *outputs, *sources]) != 0:
        sys.exit("protoc failed; its messages stand above")
    for folder in {(into / source).parent for source in sources}:
        (folder / "py.typed").touch()


def files(folder: Path) -> set[str]:
    """Name the stubs below `folder`."""
    return {
        str(path.relative_to(folder))
        for path in folder.rglob("*")
        if path.suffix in {".py", ".pyi", ".typed"} and path.is_file()
    }


def differences(fresh: Path) -> list[str]:
    """Name the stubs that are not what the contract now gives."""
    names = files(fresh) | files(COMMITTED)
    return sorted(
        name
        for name in names
        if not (COMMITTED / name).is_file()
        or not (fresh / name).is_file()
        or not filecmp.cmp(fresh / name, COMMITTED / name, shallow=False)
    )


def main() -> None:
    """Generate into a fresh folder, then compare it with, or put it in place of, the committed one."""
    with tempfile.TemporaryDirectory() as folder:
        fresh = Path(folder)
        generate(fresh)
        stale = differences(fresh)
        if "--check" in sys.argv:
            if stale:
                sys.exit("stubs out of date, run `make gen`: " + ", ".join(stale))
            return
        shutil.rmtree(COMMITTED, ignore_errors=True)
        shutil.copytree(fresh, COMMITTED)


if __name__ == "__main__":
    main()
