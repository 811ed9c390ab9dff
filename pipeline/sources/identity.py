"""Tells whether a file is still the same and unchanged: by its size, its times, its device and its inode."""

import os
import stat
from dataclasses import dataclass
from pathlib import Path

from pipeline.errors import InputError


class ChangedError(InputError):
    """A source that changed while it was read."""


@dataclass(frozen=True)
class Identity:
    """What a file system says of a file; any change of the file changes at least one of these.

    Attributes:
        mode: the kind of file and its permissions.
        size: its bytes.
        mtime_ns: when its content was changed, as programs may set it.
        ctime_ns: when its content or its attributes were changed; programs cannot set it.
        device, inode: which file it is.
    """

    mode: int
    size: int
    mtime_ns: int
    ctime_ns: int
    device: int
    inode: int

    @staticmethod
    def of(status: os.stat_result) -> "Identity":
        """The identity in the result of `stat` or `fstat`."""
        return Identity(
            status.st_mode, status.st_size, status.st_mtime_ns, status.st_ctime_ns, status.st_dev, status.st_ino
        )

    def recorded(self) -> tuple[int, int, int, int]:
        """Size, times and inode for a file; not the device, whose number may change when the machine starts again."""
        return self.size, self.mtime_ns, self.ctime_ns, self.inode

    @property
    def is_regular(self) -> bool:
        """Whether it is a regular file; a pipe has no identity that could be compared."""
        return stat.S_ISREG(self.mode)


def identity_of(path: Path) -> Identity:
    """The identity of the file at a path; links are followed.

    Raises:
        InputError: there is none.
    """
    try:
        return Identity.of(path.stat())
    except OSError as error:
        raise InputError(f"{path}: cannot be read ({error.strerror}); is it a file that you may read?") from error


def refuse_change(path: Path, before: Identity, now: Identity | None = None) -> None:
    """Raise an error if a regular file is not what it was before.

    Args:
        path: the path of the file.
        before: its identity when the work began.
        now: its present identity; None looks at the path.

    Raises:
        ChangedError: the file was removed, replaced or changed.
    """
    if now is None:
        try:
            now = Identity.of(path.stat())
        except OSError as error:
            raise _changed(path, f"it cannot be found any more ({error.strerror})") from error
    if now != before:
        raise _changed(path, _difference(before, now))


def _difference(before: Identity, now: Identity) -> str:
    if not now.is_regular:
        return "it is no longer a file"
    if (now.device, now.inode) != (before.device, before.inode):
        if now.recorded()[:3] == before.recorded()[:3]:
            return "only its inode is another; if its file system has no lasting inodes, copy the file to another disk"
        return "another file was put in its place"
    if now.size != before.size:
        return f"it had {before.size:,} bytes and has {now.size:,}"
    if now.mtime_ns != before.mtime_ns:
        return "it was written to"
    return "it was written to and its time was put back, or its attributes or links were changed"


def _changed(path: Path, how: str) -> ChangedError:
    return ChangedError(
        f"{path}: was changed while it was being read: {how}; what was built before is unchanged; run the command "
        "again when no program changes this file"
    )
