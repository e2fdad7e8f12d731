"""The account of the embedded PostgreSQL: which user owns the data and runs the server, and who may log in.

For a cluster that root creates, the account is a user id of its own without an entry in the user database, so that it
shares files and processes with no other service. A cluster in the folder of another user runs as that user.
"""

import os
import pwd
import stat
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from ondeck_core.errors import OndeckError

# No service has this id: systemd and Debian assign none of 65520 to 65533. User namespaces map ids below 65536.
RESERVED_ID: Final = 65525
_CREATORS: Final = ("nobody", "daemon", "bin")


class EmbeddedPostgresError(OndeckError):
    """The embedded PostgreSQL could not be created, started or stopped; the message ends with its own output."""


@dataclass(frozen=True, kw_only=True)
class Account:
    """The user id and group id that own the data and run PostgreSQL."""

    uid: int
    gid: int

    @property
    def owner(self) -> tuple[int, int]:
        """User id and group id."""
        return self.uid, self.gid


def account_of(folder: Path) -> Account:
    """Return the account for the cluster in a folder: the current user; for root, the folder's owner or a reserved id.

    PostgreSQL refuses to run as root.
    """
    if os.geteuid() != 0:
        return Account(uid=os.geteuid(), gid=os.getegid())
    status = folder.stat()
    if status.st_uid != 0:
        return Account(uid=status.st_uid, gid=status.st_gid)
    return Account(uid=RESERVED_ID, gid=RESERVED_ID)


def creator_for(account: Account) -> Account:
    """Return the account for initdb, which requires a name: the account itself, or else an unprivileged one."""
    if os.geteuid() != 0 or _name_of(account.uid) is not None:
        return account
    for name in _CREATORS:
        with suppress(KeyError):
            user = pwd.getpwnam(name)
            return Account(uid=user.pw_uid, gid=user.pw_gid)
    raise EmbeddedPostgresError(f"no unprivileged user found: root needs one of {', '.join(_CREATORS)}")


def login_names(account: Account) -> list[str]:
    """Return the names of the users that may log in: the account's and root's."""
    names = {_name_of(account.uid), _name_of(0)}
    return sorted(name for name in names if name is not None)


def change_owner(folder: Path, account: Account) -> None:
    """Give a folder and the files in it to an account, the folder itself last; follows no link, skips hard links."""
    for _, folders, files, descriptor in os.fwalk(folder, topdown=False):
        for name in [*folders, *files]:
            status = os.stat(name, dir_fd=descriptor, follow_symlinks=False)
            if stat.S_ISDIR(status.st_mode) or status.st_nlink == 1:
                os.chown(name, *account.owner, dir_fd=descriptor, follow_symlinks=False)
    os.chown(folder, *account.owner, follow_symlinks=False)


def _name_of(uid: int) -> str | None:
    try:
        return pwd.getpwuid(uid).pw_name
    except KeyError:
        return None
