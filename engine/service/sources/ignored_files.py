"""Names of temporary files and folders that are not content of a project."""

import re

_TEMPORARY = re.compile(
    r"4913|.*\.sw[a-px]|.*~|\.#.*|#.*#|.*\.tmp|.*\.temp|.*\.part|.*\.partial|.*\.crdownload|\.~lock\..*|\.nfs[0-9a-f]+"
    r"|\.goutputstream-.*|.*___jb_(tmp|old)___|sed[A-Za-z0-9]{6}|\..*\.[A-Za-z0-9]{6}|.*\.py[co]",
)
"""The names of temporary files of vim, Emacs, gedit, JetBrains, LibreOffice, browsers, sed -i, rsync and NFS."""
IGNORED_FOLDERS = {".git", ".hg", ".svn", "__pycache__", ".venv", "node_modules", ".ipynb_checkpoints"}
"""Folders that never contain content of a project."""


def is_temporary(name: str) -> bool:
    """Return whether this is the name of a temporary file of a program, or of compiled Python."""
    return _TEMPORARY.fullmatch(name) is not None
