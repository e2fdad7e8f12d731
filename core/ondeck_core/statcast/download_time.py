"""When an export was downloaded, as far as it is known, and which of two downloads is the older one.

The columns show the years of an export: Savant has renamed some and added others. Only columns that one form of the
export has, and no other, count.
"""

from collections.abc import Collection
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import Final, Literal

DownloadOrder = Literal["newer", "older", "unknown"]
EARLIEST: Final = datetime(2008, 1, 1, tzinfo=UTC)
COPY_SPAN: Final = timedelta(days=1)  # files that are copied or unpacked together have times that close
_LAST_USED: Final = {
    "start_speed": datetime(2018, 1, 1, tzinfo=UTC),
    "pos2_person_id": datetime(2019, 1, 1, tzinfo=UTC),
}
_FIRST_USED: Final = {
    "bat_speed": datetime(2024, 1, 1, tzinfo=UTC),
    "attack_angle": datetime(2025, 1, 1, tzinfo=UTC),
}


@dataclass(frozen=True, kw_only=True)
class DownloadTime:
    """The earliest and the latest time at which an export may have been downloaded; equal where the time is known."""

    not_before: datetime
    not_after: datetime


def bound_by_columns(download: DownloadTime, names: Collection[str]) -> DownloadTime:
    """Return the time within the years that the columns show; the latest time may then be before the earliest.

    A known time stays as it is.
    """
    if download.not_before == download.not_after:
        return download
    first = max([download.not_before, *(_FIRST_USED[name] for name in _FIRST_USED if name in names)])
    last = min([download.not_after, *(_LAST_USED[name] for name in _LAST_USED if name in names)])
    return DownloadTime(not_before=first, not_after=last)


def order_downloads(new: DownloadTime, stored: DownloadTime) -> DownloadOrder:
    """Return whether an export is newer or older than the stored one.

    Latest times that are a day or more apart decide for "older", where nothing better is known: a file may have been
    copied long after its download, so that they never decide for "newer".
    """
    if new.not_before >= stored.not_after:
        return "newer"
    if new.not_after <= stored.not_before or new.not_after < stored.not_after - COPY_SPAN:
        return "older"
    return "unknown"
