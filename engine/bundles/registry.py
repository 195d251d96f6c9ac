"""Registries of bundles: archives by id, and names that never change; and the registry in a folder.

    blobs/<id>.zip   names/<project>/<name>.json

An archive is checked when it is stored, and again when it is used, so that a replaced or damaged file is refused. A
name is assigned by creating its file, in which only one of several writers succeeds; it is never reassigned.
"""

import fnmatch
import json
import os
import re
import secrets
import shutil
import time
from abc import ABC, abstractmethod
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path

from engine.atomic_files import replace_file, sync_path
from engine.bundles.archive_checks import hold_folder, open_archive, read_manifest, verify_open_archive
from engine.bundles.signatures import Signature
from engine.digests import canonical_json
from engine.errors import BundleError, UsageError
from engine.store.folders import safe_name

SHORTEST_ID = 8
"""Fewest digits of an id that can identify a bundle."""
LONGEST_PUT = 86_400
"""Seconds after which an unfinished file counts as left by a killed process."""
MOST_NAME_BYTES = 16_384


@dataclass(frozen=True, slots=True)
class RegisteredBundle:
    """A name of a project in a registry, and the id of its bundle."""

    project: str
    name: str
    id: str


class BundleRegistry(ABC):
    """The base class of registries.

    Attributes
    ----------
    place
        The name of the registry for messages.
    """

    place: str

    @abstractmethod
    def put(self, archive: Path) -> str:
        """Store an archive and return its id; an existing one is replaced only by one with more signatures.

        Raises
        ------
        BundleError
            The archive is damaged, the registry cannot be written, or the stored archive of the same bundle has
            signatures that the new one lacks.
        """

    def assign(self, project: str, name: str, id_: str) -> None:
        """Assign a name to a stored bundle; assigning the same name to the same bundle again is allowed.

        Raises
        ------
        BundleError
            The name belongs to another bundle, the bundle is not in the registry, or the registry cannot be written.
        """
        self.path_of(id_)
        content = canonical_json({"project": project, "name": name, "id": id_}) + "\n"
        if self._create_name(safe_name(project), safe_name(name), content.encode()):
            return
        present = self._find_name(project, name)
        if present is None:
            raise BundleError(
                f'the name "{name}" could not be given: another process gives or removes it just now; try again'
            )
        if present != RegisteredBundle(project, name, id_):
            message = f'the name "{name}" belongs to the bundle {present.id[:12]}… and is never given again'
            raise BundleError(f"{message}: choose another name")

    def resolve(self, project: str, name_or_id: str) -> str:
        """Return the id of a bundle by a name of the project, by its id or by the first digits of it.

        Raises
        ------
        UsageError
            There is no such bundle, or several ids begin with these digits.
        BundleError
            The file of the name is damaged.
        """
        if named := self._find_name(project, name_or_id):
            return named.id
        if re.fullmatch(rf"[0-9a-f]{{{SHORTEST_ID},64}}", name_or_id):
            found = [name.removesuffix(".zip") for name in self._list_files("blobs", f"{name_or_id}*.zip")]
            if len(found) == 1:
                return found[0]
            if found:
                raise UsageError(f'the ids of {len(found)} bundles begin with "{name_or_id}": give more digits')
        known = ", ".join(one.name for one in self.list_bundles(project)) or "none"
        missing = f'there is no bundle "{name_or_id}" of {project} in {self.place} (known: {known})'
        raise UsageError(f"{missing}; engine bundle create makes a bundle that the spec declares")

    def path_of(self, id_: str) -> Path:
        """Return the path of an archive.

        Its records and its manifest are checked here; the content of its files is checked by `verify_archive` and
        `extract_archive`.

        Raises
        ------
        BundleError
            The archive does not exist, is damaged, or was replaced by another one.
        """
        if not re.fullmatch(r"[0-9a-f]{64}", id_):
            raise UsageError(f'"{id_[:80]}" is not the id of a bundle, which has 64 hexadecimal digits')
        path = self._find_archive(id_)
        if path is None:
            raise BundleError(f"the bundle {id_[:12]}… is not in {self.place}")
        found = read_manifest(path).id
        if found != id_:
            raise BundleError(f"{path} is refused: it holds another bundle, {found[:12]}…")
        return path

    def list_bundles(self, project: str) -> list[RegisteredBundle]:
        """Return the names of a project in alphabetical order; raise BundleError if the file of one is damaged."""
        folder = safe_name(project)
        names = [file.removesuffix(".json") for file in self._list_files(f"names/{folder}", "*.json")]
        found = (self._read_name(folder, name) for name in names)
        return sorted((one for one in found if one is not None), key=lambda one: one.name)

    def _find_name(self, project: str, name: str) -> RegisteredBundle | None:
        return self._read_name(safe_name(project), safe_name(name))

    @abstractmethod
    def _find_archive(self, id_: str) -> Path | None:
        """Return the path of an unchecked archive; None if there is none."""

    @abstractmethod
    def _list_files(self, folder: str, pattern: str) -> list[str]:
        """Return the names of matching files; none if the folder is missing; raise BundleError if unreadable."""

    @abstractmethod
    def _read_name(self, folder: str, stem: str) -> RegisteredBundle | None:
        """Return the content of a name's file; None if there is no such file."""

    @abstractmethod
    def _create_name(self, folder: str, stem: str, content: bytes) -> bool:
        """Create the file of a name and return True; return False if it exists already."""


class FolderRegistry(BundleRegistry):
    """A registry in a folder, which is created at the first write."""

    def __init__(self, folder: Path) -> None:
        self.folder, self.place = folder, str(folder)

    def put(self, archive: Path) -> str:
        """Store an archive and return its id."""
        with self._translate_errors(), self._stage(".zip") as part:
            id_, signed = copy_checked(archive, part)
            target = self._blob(id_)
            target.parent.mkdir(parents=True, exist_ok=True)
            sync_path(part)
            try:
                os.link(part, target)
            except FileExistsError:
                with hold_folder(target.parent):
                    self._replace(target, part, signed)
            sync_path(target.parent)
        return id_

    def _create_name(self, folder: str, stem: str, content: bytes) -> bool:
        target = self.folder / "names" / folder / f"{stem}.json"
        with self._translate_errors(), self._stage(".json") as part:
            part.write_bytes(content)
            sync_path(part)
            target.parent.mkdir(parents=True, exist_ok=True)
            try:
                os.link(part, target)
            except FileExistsError:
                return False
            finally:
                sync_path(target.parent)
        return True

    def _read_name(self, folder: str, stem: str) -> RegisteredBundle | None:
        file = self.folder / "names" / folder / f"{stem}.json"
        try:
            with file.open("rb") as opened:
                content = opened.read(MOST_NAME_BYTES)
        except FileNotFoundError:
            return None
        except OSError as error:
            raise BundleError(f"{file} cannot be read: {error.strerror}") from None
        return parse_name(content, folder, stem, str(file))

    def _find_archive(self, id_: str) -> Path | None:
        path = self._blob(id_)
        return path if self._list_files("blobs", path.name) else None

    def _list_files(self, folder: str, pattern: str) -> list[str]:
        try:
            names = [path.name for path in (self.folder / folder).iterdir()]  # Path.glob hides what it cannot read
            return fnmatch.filter(names, pattern)
        except FileNotFoundError:
            return []
        except OSError as error:
            raise BundleError(f"the registry {self.folder / folder} cannot be read: {error.strerror}") from None

    def _blob(self, id_: str) -> Path:
        return self.folder / "blobs" / f"{id_}.zip"

    def _replace(self, target: Path, part: Path, signed: set[Signature]) -> None:
        """Replace a damaged archive, or one of the same bundle with fewer signatures, by a checked one."""
        if brings_signatures(target, target.stem, signed, str(target)):
            part.replace(target)

    @contextmanager
    def _stage(self, suffix: str) -> Iterator[Path]:
        """Yield the path of a new file in the registry; it is removed at the end unless it was moved away."""
        folder = self.folder / "staging"
        folder.mkdir(parents=True, exist_ok=True)
        for left in folder.iterdir():  # left by killed processes
            with suppress(FileNotFoundError):
                if time.time() - left.stat().st_mtime > LONGEST_PUT:
                    left.unlink()
        part = folder / f"{secrets.token_hex(8)}{suffix}"
        try:
            yield part
        finally:
            part.unlink(missing_ok=True)

    @contextmanager
    def _translate_errors(self) -> Iterator[None]:
        try:
            yield
        except OSError as error:
            where = "" if error.filename is None else f", {error.filename}"
            raise BundleError(f"the registry {self.folder} cannot be written{where}: {error.strerror}") from error


def copy_archive(archive: Path, target: Path) -> str:
    """Copy an archive to a new file, which is checked completely before it gets its name; return its id.

    Raises
    ------
    BundleError
        The archive is damaged, or the file exists already or cannot be written.
    """
    if target.is_symlink() or target.exists():
        raise BundleError(f"{target} is already there: name a new file")
    try:
        with replace_file(target) as part:
            return copy_checked(archive, part)[0]
    except OSError as error:
        raise BundleError(f"{target} cannot be written: {error.strerror}") from error


def copy_checked(archive: Path, part: Path) -> tuple[str, set[Signature]]:
    """Copy an archive and check the copy, which cannot change any more; return its id and its signatures."""
    read_manifest(archive)  # a file that is not a bundle, or is too large, is not copied
    try:
        shutil.copyfile(archive, part)
        with open_archive(part) as copied:
            verify_open_archive(copied)
            return copied.id, set(copied.envelope.signatures)
    except BundleError as error:
        raise BundleError(str(error).replace(str(part), str(archive))) from None


def brings_signatures(stored: Path, id_: str, signed: set[Signature], place: str) -> bool:
    """Return whether an archive with these signatures must replace a stored one: if that is damaged or lacks some.

    Raises
    ------
    BundleError
        The stored archive has signatures of other keys.
    """
    try:
        with open_archive(stored) as opened:
            verify_open_archive(opened)
            before = set(opened.envelope.signatures) if opened.id == id_ else None
    except BundleError:
        before = None
    if before is None:
        return True
    old, new = ({signature.keyid for signature in some} for some in (before, signed))
    if signed <= before or new < old:
        return False
    if not old <= new:
        message = f"{place} has the same bundle with signatures of other keys, which would be lost"
        raise BundleError(f"{message}: export it, sign it, and put that")
    return True


def parse_name(content: bytes, folder: str, stem: str, place: str) -> RegisteredBundle:
    """Parse the file of a name; raise a BundleError if it is damaged, or is the file of another name."""
    try:
        registered = RegisteredBundle(**json.loads(content))
        of = (safe_name(registered.project), safe_name(registered.name))
        if of != (folder, stem) or not re.fullmatch("[0-9a-f]{64}", registered.id):
            raise ValueError  # a file that was moved here
    except (ValueError, TypeError, AttributeError, RecursionError):
        message = f"{place} is damaged: it must give a name of a project the id of a bundle"
        raise BundleError(message) from None
    return registered
