"""A file system that does not answer, as one of a network whose server is gone: every access waits in the kernel."""

import ctypes
import os
from pathlib import Path
from tempfile import TemporaryDirectory
from types import TracebackType
from typing import Final, Self

_DEVICE: Final = "/dev/fuse"
_FLAGS: Final = 2 | 4 | 8  # no set-user-id programs, no devices, no execution
_DETACH: Final = 2
_LIBC: Final = ctypes.CDLL(None, use_errno=True)


class UnansweredMount:
    """A FUSE file system over a folder, of which this process reads no request.

    `fail` closes it: accesses that wait, and later ones, fail. `remove` uncovers the folder. Needs the right to mount.
    """

    def __init__(self, folder: Path) -> None:
        """Mount it.

        Raises:
            OSError: there is no FUSE here, or no right to mount.
        """
        self._folder = os.fsencode(folder)
        self._device: int | None = os.open(_DEVICE, os.O_RDWR | os.O_CLOEXEC)
        options = f"fd={self._device},rootmode=40000,user_id={os.getuid()},group_id={os.getgid()},allow_other".encode()
        if _LIBC.mount(b"unanswered", self._folder, b"fuse", _FLAGS, options):
            number = ctypes.get_errno()
            self.fail()
            raise OSError(number, os.strerror(number))

    def fail(self) -> None:
        """Let accesses fail, as if the file system were gone."""
        if self._device is not None:
            os.close(self._device)
            self._device = None

    def remove(self) -> None:
        """Unmount it."""
        self.fail()
        _LIBC.umount2(self._folder, _DETACH)

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.remove()


def can_mount() -> bool:
    """Return whether this process may mount such a file system."""
    with TemporaryDirectory() as folder:
        try:
            UnansweredMount(Path(folder)).remove()
        except OSError:
            return False
    return True
