"""Programs without privileges: starts this file as a script, which drops the privileges and executes the program.

The script drops user, groups and capabilities, the bounding set included, and what an executed file could add to them.
Code between fork and exec is unsafe in a program with threads, and `subprocess` changes the user before that code runs,
when it may no longer reduce the bounding set. Hence a script; it imports nothing but the standard library.
"""

import ctypes
import errno
import os
import subprocess
import sys
from collections.abc import Sequence
from typing import Final

_ENVIRONMENT: Final = ("PATH", "LD_LIBRARY_PATH")  # the rest of a caller's environment may hold secrets
_CAPABILITIES: Final = 64
_CAPABILITY_VERSION: Final = 0x20080522  # _LINUX_CAPABILITY_VERSION_3
_PR_CAPBSET_DROP: Final = 24
_PR_SET_NO_NEW_PRIVS: Final = 38
_PR_CAP_AMBIENT: Final = 47
_PR_CAP_AMBIENT_CLEAR_ALL: Final = 4


def run_program(command: Sequence[str], owner: tuple[int, int], descriptor: int) -> subprocess.CompletedProcess[str]:
    """Run a program under an account (uid, gid) until it ends; its output is in `stdout`."""
    return subprocess.run(  # noqa: S603  programs of the wheel with constant arguments
        [*_script("wait", owner), *command],
        stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        pass_fds=(descriptor,),
        cwd="/",
        env=_environment(),
        start_new_session=True,
        text=True,
        check=False,
    )


def start_program(command: Sequence[str], owner: tuple[int, int], descriptor: int, log: int) -> int:
    """Start a program under an account (uid, gid); returns its process id. It is not a child of this process."""
    started = subprocess.run(  # noqa: S603  as above
        [*_script("detach", owner), *command],
        stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE,
        stderr=log,
        pass_fds=(descriptor,),
        cwd="/",
        env=_environment(),
        start_new_session=True,
        text=True,
        check=False,
    )
    if started.returncode != 0:
        raise ChildProcessError(errno.ECHILD, f"{command[0]} did not start; its log has the reason")
    return int(started.stdout)


def _script(mode: str, owner: tuple[int, int]) -> list[str]:
    return [sys.executable, "-I", "-S", __file__, mode, *map(str, owner)]


def _environment() -> dict[str, str]:
    return {"LC_ALL": "C", **{name: os.environ[name] for name in _ENVIRONMENT if name in os.environ}}


def _main(mode: str, uid: int, gid: int, command: list[str]) -> None:
    if mode == "detach":
        if pid := os.fork():
            print(pid)  # noqa: T201  the answer to start_program
            return
        os.dup2(2, 1)
    _drop_privileges(uid, gid)
    os.execv(command[0], command)  # noqa: S606  the arguments need no shell


def _drop_privileges(uid: int, gid: int) -> None:
    libc = ctypes.CDLL(None, use_errno=True)
    has_capabilities = sys.platform == "linux"
    if has_capabilities:
        for number in range(_CAPABILITIES):  # fails without CAP_SETPCAP; then no_new_privs alone prevents a gain
            libc.prctl(_PR_CAPBSET_DROP, number, 0, 0, 0)
    if os.geteuid() == 0:
        os.setgroups([])
        os.setgid(gid)
        os.setuid(uid)
    if has_capabilities:
        _require(libc.prctl(_PR_CAP_AMBIENT, _PR_CAP_AMBIENT_CLEAR_ALL, 0, 0, 0))
        _require(libc.capset((ctypes.c_uint32 * 2)(_CAPABILITY_VERSION), (ctypes.c_uint32 * 6)()))
        _require(libc.prctl(_PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0))


def _require(result: int) -> None:
    if result != 0:
        raise OSError(ctypes.get_errno(), f"could not drop privileges: {os.strerror(ctypes.get_errno())}")


if __name__ == "__main__":
    _main(sys.argv[1], int(sys.argv[2]), int(sys.argv[3]), sys.argv[4:])
