"""Patterns of paths, such as `data/**/*.csv`: which paths match them, and in which folder their files are."""

import errno
import os
from collections.abc import Iterator
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


def match_paths(pattern: Path) -> list[Path]:
    """Return the paths on disk that match a pattern, including broken links and names that start with a dot.

    `glob.glob` finds the same files, but it takes a folder that cannot be read for an empty one.

    Raises
    ------
    OSError
        A folder that may hold matching paths cannot be read.
    """
    base = find_fixed_folder(pattern)
    parts = pattern.parts[len(base.parts) :]
    found = [base]
    for part in (*parts, "*") if parts[-1] == "**" else parts:
        if part == "**":
            matches = [folder for one in found for folder, _ in walk_folders(one, base, follow_links=True)]
        elif has_magic(part):
            matches = [one / name for one in found for name in _list_names(one, base) if fnmatchcase(name, part)]
        else:
            matches = [one / part for one in found if _exists(one / part, base)]
        found = list(dict.fromkeys(matches))
    return found


def walk_folders(folder: Path, base: Path, *, follow_links: bool = False) -> Iterator[tuple[Path, list[str]]]:
    """Yield a folder and all folders below it, each with the names of its files.

    Raises
    ------
    OSError
        A folder cannot be read, and its path below `base` does not say that it holds no data.
    """
    for inside, _, names in os.walk(folder, onerror=lambda error: _refuse(error, base), followlinks=follow_links):
        yield Path(inside), names


def is_mark(name: str, marks: tuple[str, ...] = ("_", ".")) -> bool:
    """Return whether a name below a folder says that it is not data; `_year=2026` is a column."""
    return name.startswith(marks) and not (name.startswith("_") and "=" in name) if marks else False


def _list_names(folder: Path, base: Path) -> list[str]:
    try:
        return [one.name for one in folder.iterdir()]
    except OSError as error:
        _refuse(error, base)
        return []


def _exists(path: Path, base: Path) -> bool:
    try:
        path.lstat()
    except OSError as error:
        _refuse(error, base)
        return False
    return True


def _refuse(error: OSError, base: Path) -> None:
    """Raise the error of a path below `base`, unless the path is gone or holds no data.

    `lost+found` belongs to the file system, and only root may read it.
    """
    gone = error.errno in (errno.ENOENT, errno.ENOTDIR, errno.ELOOP)
    parts = Path(error.filename).relative_to(base).parts
    if not gone and not any(is_mark(part) or part == "lost+found" for part in parts):
        raise error
