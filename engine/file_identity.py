"""Detect that a file has changed without reading its content.

Size and modification time are not enough. Programs set the modification time (`cp -p`, `rsync -t`, tar), and a link can
be redirected to another file. The inode differs between two files, and no program can set the time of the last change
(ctime). The device number is left out: it may differ after each start of a container or network drive, and would only
cause needless hashing.
"""

import os
from typing import NamedTuple, Self

RACY_WINDOW_NS = 2_000_000_000
"""Two changes within this time can have equal times: the coarsest tick of a file system's clock (FAT) is two
seconds."""
_COARSE_NS = 1_000_000


class FileIdentity(NamedTuple):
    """The state of a file: equal identities mean equal content, if `is_settled`."""

    inode: int
    size: int
    mtime_ns: int
    ctime_ns: int

    @classmethod
    def from_stat(cls, state: os.stat_result) -> Self:
        """Return the identity from a result of `os.stat` or `os.fstat`."""
        return cls(state.st_ino, state.st_size, state.st_mtime_ns, state.st_ctime_ns)

    def is_settled(self, now_ns: int) -> bool:
        """Return whether any later change would show in the times.

        Parameters
        ----------
        now_ns
            The time just before the identity was taken. A file changed immediately before may change again within the
            same tick of its clock.
        """
        return now_ns - max(self.mtime_ns, self.ctime_ns) >= RACY_WINDOW_NS

    @property
    def has_own_change_time(self) -> bool:
        """Whether the file system seems to record changes itself.

        Read-only images and mounts of object stores repeat the modification time as the time of the change, and may
        assign new inodes at each mount. Both times are then equal and of a coarse resolution, which is rare on other
        file systems: one file in a million.
        """
        return self.ctime_ns != self.mtime_ns or self.ctime_ns % _COARSE_NS != 0
