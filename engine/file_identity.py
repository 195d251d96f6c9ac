"""What tells one state of a file from another without reading its content.

Size and modification time are not enough. Programs set the modification time (`cp -p`, `rsync -t`, tar), and a link can
turn to another file. The inode differs between two files, and no program can set the time of the last change (ctime).
The number of the device is left out: it may differ each time that a container or a network drive is started, and would
only cause needless hashing.
"""

import os
from typing import NamedTuple, Self

RACY_WINDOW_NS = 2_000_000_000
"""The coarsest tick of a file system's clock (FAT) is two seconds: two changes within it can have the same times."""
_COARSE_NS = 1_000_000


class FileIdentity(NamedTuple):
    """The state of a file: two states of equal identity have equal content, unless `is_settled` says otherwise."""

    inode: int
    size: int
    mtime_ns: int
    ctime_ns: int

    @classmethod
    def from_stat(cls, state: os.stat_result) -> Self:
        """Return the identity that `os.stat` or `os.fstat` has found."""
        return cls(state.st_ino, state.st_size, state.st_mtime_ns, state.st_ctime_ns)

    def is_settled(self, now_ns: int) -> bool:
        """Tell whether any later change would show in the times.

        Parameters
        ----------
        now_ns
            The time before the identity was taken. A file that had been changed just before then may be changed again
            within the same tick of its clock.
        """
        return now_ns - max(self.mtime_ns, self.ctime_ns) >= RACY_WINDOW_NS

    @property
    def has_own_change_time(self) -> bool:
        """Whether the file system seems to record changes itself.

        Read-only images and mounts of object stores repeat the modification time as the time of the change, and may
        number their inodes alike each time they are mounted. Both times are then equal, and of a coarse resolution,
        which on other file systems is rare: one file in a million.
        """
        return self.ctime_ns != self.mtime_ns or self.ctime_ns % _COARSE_NS != 0
