"""A file system that does not answer, as one of a network whose server is gone: every access waits in the kernel."""

import ctypes
import os
import struct
import threading
from contextlib import suppress
from pathlib import Path
from tempfile import TemporaryDirectory
from types import TracebackType
from typing import Final, Self

_DEVICE: Final = "/dev/fuse"
_FLAGS: Final = 2 | 4 | 8  # no set-user-id programs, no devices, no execution
_DETACH: Final = 2
_LIBC: Final = ctypes.CDLL(None, use_errno=True)
_MAX_REQUEST: Final = 1 << 17  # bytes
_READ_SECONDS: Final = 0.02  # between two reads
_INIT: Final = 26  # the kernel's first request
_VERSION: Final = (7, 12)  # of the protocol, in the short form of its answer


class UnansweredMount:
    """A FUSE file system over a folder, of which this process reads no request, so that a signal ends an access.

    After `take_requests` an access waits in the kernel even if its process is killed. `fail` closes it: accesses that
    wait, and later ones, fail. `remove` uncovers the folder. Needs the right to mount.
    """

    def __init__(self, folder: Path) -> None:
        """Mount it.

        Raises:
            OSError: there is no FUSE here, or no right to mount.
        """
        self._folder = os.fsencode(folder)
        self._is_over = threading.Event()
        self._reader: threading.Thread | None = None
        self._device: int | None = os.open(_DEVICE, os.O_RDWR | os.O_CLOEXEC)
        options = f"fd={self._device},rootmode=40000,user_id={os.getuid()},group_id={os.getgid()},allow_other".encode()
        if _LIBC.mount(b"unanswered", self._folder, b"fuse", _FLAGS, options):
            number = ctypes.get_errno()
            self.fail()
            raise OSError(number, os.strerror(number))

    def take_requests(self) -> None:
        """Answer the first request of the kernel; from now on read the others, and answer none."""
        assert self._device is not None
        _, kind, unique = struct.unpack_from("IIQ", os.read(self._device, _MAX_REQUEST))
        assert kind == _INIT
        answer = struct.pack("6I", *_VERSION, 0, 0, 0, 1 << 12)
        os.write(self._device, struct.pack("IiQ", 16 + len(answer), 0, unique) + answer)
        os.set_blocking(self._device, False)
        self._reader = threading.Thread(target=self._read_requests, args=[self._device])
        self._reader.start()

    def _read_requests(self, device: int) -> None:
        while not self._is_over.wait(_READ_SECONDS):  # a read that waits would keep the device open
            with suppress(BlockingIOError):
                os.read(device, _MAX_REQUEST)

    def fail(self) -> None:
        """Let accesses fail, as if the file system were gone."""
        self._is_over.set()
        if self._reader is not None:
            self._reader.join()
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
