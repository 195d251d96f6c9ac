"""Files that programs leave beside other files for a while: they are not content of a project."""

import re

_TEMPORARY = re.compile(
    r"4913|.*\.sw[a-px]|.*~|\.#.*|#.*#|.*\.tmp|.*\.temp|.*\.part|.*\.partial|.*\.crdownload|\.~lock\..*|\.nfs[0-9a-f]+"
    r"|\.goutputstream-.*|.*___jb_(tmp|old)___|sed[A-Za-z0-9]{6}|\..*\.[A-Za-z0-9]{6}|.*\.py[co]",
)
"""vim, Emacs, gedit, JetBrains, LibreOffice, browsers, sed -i, rsync and NFS name their temporary files so."""

IGNORED_FOLDERS = {".git", ".hg", ".svn", "__pycache__", ".venv", "node_modules", ".ipynb_checkpoints"}
"""Folders in which nothing is content of a project."""


def is_temporary(name: str) -> bool:
    """Tell whether a file of this name is one that a program leaves for a while, or compiled Python."""
    return _TEMPORARY.fullmatch(name) is not None
