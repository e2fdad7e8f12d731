"""Which account PostgreSQL runs under: it refuses root, and must not need wider rights than the home folder gives."""

import os
import pwd
import shutil
from dataclasses import dataclass
from pathlib import Path
from typing import Final

_CANDIDATES: Final = ("postgres", "nobody")
_REACH_ANYWHERE: Final = ("--inh-caps=-all,+dac_override", "--ambient-caps=-all,+dac_override")


@dataclass(frozen=True, kw_only=True)
class Account:
    """How to start a PostgreSQL program: `prefix` comes before its own words, `owner` owns its data (uid, gid)."""

    prefix: tuple[str, ...]
    owner: tuple[int, int] | None


def account_for(data: Path) -> Account:
    """Choose the account: one's own; for root, the owner of the data, else an unprivileged user of the system.

    As root the programs keep one capability, to pass the folders above the data and the programs, so that no
    folder's rights have to be widened for them.
    """
    if os.geteuid() != 0:
        return Account(prefix=(), owner=None)
    user = _owner_of(data) or _first_existing()
    setpriv = shutil.which("setpriv")
    if setpriv is None:
        return Account(prefix=_switch_user(user), owner=(user.pw_uid, user.pw_gid))
    identity = (f"--reuid={user.pw_uid}", f"--regid={user.pw_gid}", "--clear-groups")
    return Account(
        prefix=(setpriv, "--securebits=+no_setuid_fixup", *identity, *_REACH_ANYWHERE, "--"),
        owner=(user.pw_uid, user.pw_gid),
    )


def _owner_of(data: Path) -> pwd.struct_passwd | None:
    if not data.is_dir() or data.stat().st_uid == 0:
        return None
    return pwd.getpwuid(data.stat().st_uid)


def _first_existing() -> pwd.struct_passwd:
    known = {user.pw_name: user for user in pwd.getpwall()}
    return next(known[name] for name in _CANDIDATES if name in known)


def _switch_user(user: pwd.struct_passwd) -> tuple[str, ...]:
    runuser = shutil.which("runuser") or "runuser"
    return (runuser, "-u", user.pw_name, "--")
