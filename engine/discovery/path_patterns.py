"""Patterns of paths, such as `data/**/*.csv`: which paths match them, and in which folder their files are."""

from fnmatch import fnmatchcase
from glob import has_magic
from pathlib import Path


def names_file(path: Path, file: Path) -> bool:
    """Return whether a path, folder or pattern names a file, which need not exist; both are absolute.

    It does not check whether the file would be left out, for example because its name starts with `_`.
    """
    if not has_magic(str(path)):
        return file == path or path in file.parents
    return match_parts(path.parts, file.parts)


def match_parts(pattern: tuple[str, ...], parts: tuple[str, ...]) -> bool:
    """Return whether the parts of a path match those of a pattern; `**` stands for any number of folders."""
    if not pattern:
        return not parts
    if pattern[0] == "**":
        return any(match_parts(pattern[1:], parts[skipped:]) for skipped in range(len(parts) + 1))
    return bool(parts) and fnmatchcase(parts[0], pattern[0]) and match_parts(pattern[1:], parts[1:])


def find_fixed_folder(pattern: Path) -> Path:
    """Return the folder before the first part of a pattern that has a wildcard."""
    parts = pattern.parts
    magic = next(i for i, part in enumerate(parts) if has_magic(part))
    return Path(*parts[:magic]) if magic else Path()
