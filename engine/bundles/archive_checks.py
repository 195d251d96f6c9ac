"""Reads archives of unknown origin safely: their ZIP records must be exactly those that a bundle has.

Everything is checked before it is used: first the limits, then the records, then that the files are those of the
manifest, and the hash of each file when it is read.
"""

import fcntl
import hashlib
import os
import stat
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import UTC, date, datetime
from pathlib import Path

from engine.bundles.archive_records import (
    ATTRIBUTES,
    CENTRAL,
    CENTRAL_MARK,
    DATE,
    END,
    END_MARK,
    MOST_ARCHIVE_BYTES,
    STORED,
    ArchivedFile,
    CentralRecord,
    build_end,
)
from engine.bundles.archive_writing import CHUNK_BYTES, Content, FileSection, write_archive
from engine.bundles.bundle_paths import MOST_PATH_BYTES
from engine.bundles.manifest import (
    MANIFEST_FILE,
    MOST_FILES,
    MOST_MANIFEST_BYTES,
    OWN_FILES,
    PROVENANCE_FILE,
    SIGNATURES_FILE,
    Manifest,
    Provenance,
    decode_document,
    list_entries,
    parse_manifest,
)
from engine.bundles.signatures import Envelope, Signature, TrustedKey, check_signatures
from engine.errors import BundleError
from engine.formatting.control_characters import single_line
from engine.formatting.numbers import format_bytes


@dataclass(frozen=True, slots=True)
class Verified:
    """The contents of a verified archive.

    Attributes
    ----------
    signers
        The names of the trusted keys that have signed it.
    """

    manifest: Manifest
    provenance: Provenance
    signers: tuple[str, ...]


class BundleArchive:
    """An open archive with checked records. The content of its files is checked when they are read.

    Attributes
    ----------
    bytes
        The size of the archive.
    files
        The records of the files, by name.
    own_files
        The bytes of the manifest, the provenance and the signatures.
    id, manifest, provenance, envelope
        The parsed contents of these. The caller must compare the id; the signatures are not checked yet.
    """

    def __init__(self, path: Path, descriptor: int) -> None:
        self.path = path
        self._descriptor = descriptor
        self.bytes = os.fstat(descriptor).st_size
        self.files = _read_records(descriptor)
        self.own_files = {name: self._read_own(name) for name in OWN_FILES}
        self.id = hashlib.sha256(self.own_files[MANIFEST_FILE]).hexdigest()
        self.manifest = parse_manifest(self.own_files[MANIFEST_FILE])
        _compare_with_manifest(self.files, self.manifest)
        self.provenance = decode_document(Provenance, self.own_files[PROVENANCE_FILE], "provenance")
        self.envelope = decode_document(Envelope, self.own_files[SIGNATURES_FILE], "list of signatures")

    def copy_file(self, name: str, write: Callable[[memoryview], object]) -> None:
        """Pass the content of a listed file to `write` in parts.

        Raises
        ------
        BundleError
            The content has not the hash in the manifest; the parts must not be used.
        """
        expected, place = self.manifest.files[name], self.files[name].content_offset
        digest, left = hashlib.sha256(), expected.size
        buffer = memoryview(bytearray(min(CHUNK_BYTES, max(left, 1))))
        while left:
            read = os.preadv(self._descriptor, [buffer[:left]], place)
            if not read:
                break
            digest.update(buffer[:read])
            write(buffer[:read])
            place, left = place + read, left - read
        if left or digest.hexdigest() != expected.sha256:
            raise BundleError(f"{self.path} is refused: the bytes of {_show_name(name)} are not those of the manifest")

    def read_file(self, name: str, limit: int) -> bytes:
        """Return the content of a listed file; raise BundleError if it is damaged or larger than `limit` bytes."""
        if self.manifest.files[name].size > limit:
            raise BundleError(f"{self.path}: {_show_name(name)} is larger than {format_bytes(limit)}")
        parts: list[bytes] = []
        self.copy_file(name, lambda part: parts.append(bytes(part)))
        return b"".join(parts)

    def _read_own(self, name: str) -> bytes:
        """Return the content of an unlisted file, read once so that it cannot change after checks."""
        file = self.files.get(name)
        if file is None:
            raise BundleError(f"it has no {name}")
        if file.size > MOST_MANIFEST_BYTES:
            most = format_bytes(MOST_MANIFEST_BYTES)
            raise BundleError(f"{name} has {format_bytes(file.size)}, but at most {most} are allowed")
        return _read_exactly(self._descriptor, file.size, file.content_offset)


@contextmanager
def open_archive(path: Path) -> Iterator[BundleArchive]:
    """Open the archive of a bundle and check its records; the content of its files is checked when they are read.

    Raises
    ------
    BundleError
        The archive cannot be read, is damaged, or is not a bundle.
    """
    try:
        descriptor = os.open(path, os.O_RDONLY | os.O_CLOEXEC | os.O_NONBLOCK)
    except OSError as error:
        raise BundleError(f"the bundle {path} cannot be read: {error.strerror}") from None
    try:
        try:
            archive = BundleArchive(path, descriptor)
        except BundleError as error:
            raise BundleError(f"{path} is refused: {error}") from None
        except OSError as error:
            raise BundleError(f"the bundle {path} cannot be read: {error.strerror}") from None
        yield archive
    finally:
        os.close(descriptor)


def read_manifest(path: Path) -> Manifest:
    """Return the manifest of an archive with checked records; raise BundleError if it is refused."""
    with open_archive(path) as archive:
        return archive.manifest


def verify_archive(
    path: Path, keys: Sequence[TrustedKey] = (), require: int = 0, today: date | None = None
) -> Verified:
    """Check the records, the hash of every file, and the signatures of an archive.

    Parameters
    ----------
    keys, require
        The trusted keys, and how many of them must have signed the bundle.
    today
        The day on which the keys must be trusted; by default today in UTC.

    Raises
    ------
    BundleError
        The archive is damaged, or signed by too few, or the signature of a trusted key is wrong.
    """
    with open_archive(path) as archive:
        return verify_open_archive(archive, keys, require, today)


def verify_open_archive(
    archive: BundleArchive, keys: Sequence[TrustedKey] = (), require: int = 0, today: date | None = None
) -> Verified:
    """Verify an open archive; see `verify_archive`."""
    today = today or datetime.now(UTC).date()
    try:
        signers = check_signatures(archive.id, archive.provenance, archive.envelope, keys, require, today)
    except BundleError as error:
        raise BundleError(f"{archive.path} is refused: {error}") from None
    for name in archive.manifest.files:
        archive.copy_file(name, len)
    return Verified(archive.manifest, archive.provenance, signers)


def read_signatures(path: Path) -> set[Signature]:
    """Return the unchecked signatures of an archive."""
    with open_archive(path) as archive:
        return set(archive.envelope.signatures)


@contextmanager
def hold_folder(folder: Path) -> Iterator[None]:
    """Hold an advisory lock on a folder, so that concurrent callers do not change its archives."""
    descriptor = os.open(folder, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
    try:
        fcntl.flock(descriptor, fcntl.LOCK_EX)
        yield
    finally:
        os.close(descriptor)


def add_signature(path: Path, signature: Signature) -> None:
    """Rewrite an archive with a further signature, which replaces one of the same key.

    Raises
    ------
    BundleError
        The archive is refused, or cannot be written.
    """
    try:
        with hold_folder(path.parent), open_archive(path) as archive:
            kept = [one for one in archive.envelope.signatures if one.keyid != signature.keyid]
            sections: Mapping[str, Content] = {
                name: FileSection(path, archive.files[name].content_offset, archive.files[name].size)
                for name in archive.manifest.files
            }
            write_archive(path, archive.manifest, sections, archive.provenance, [*kept, signature])
    except OSError as error:
        raise BundleError(f"{path} cannot be signed: {error.strerror}") from error


def _read_records(descriptor: int) -> dict[str, ArchivedFile]:
    """Return the files of an archive by name, after checking all records."""
    total = os.fstat(descriptor).st_size
    if total > MOST_ARCHIVE_BYTES:
        raise BundleError(f"it has {format_bytes(total)}, but at most {format_bytes(MOST_ARCHIVE_BYTES)} are allowed")
    if total < END.size:
        raise BundleError("it is not an archive, or its end is missing")
    last = _read_exactly(descriptor, END.size, total - END.size)
    mark, *_, number, size, start, _ = END.unpack(last)
    if mark != END_MARK:
        raise BundleError("it is not an archive of a bundle, or its end is missing, or something follows the archive")
    if last != build_end(number, size, start) or start + size + END.size != total:
        raise BundleError("the record at its end is not that of a bundle")
    most = MOST_FILES + len(OWN_FILES)
    if number > most or size > number * (CENTRAL.size + MOST_PATH_BYTES):
        raise BundleError(f"it has {number:,} files or very long names, but at most {most:,} files are allowed")
    files = _parse_directory(_read_exactly(descriptor, size, start), number)
    place = 0
    for file in files:
        if file.offset != place:
            raise BundleError(f"{_show_name(file.name)} does not begin where the file before it ends")
        if file.end > start:
            raise BundleError(f"{_show_name(file.name)} reaches beyond the files of the archive")
        record = file.to_local()
        if _read_exactly(descriptor, len(record), file.offset) != record:
            raise BundleError(f"the two records of {_show_name(file.name)} differ")
        place = file.end
    if place != start:
        raise BundleError("there is unexpected data between its files and its directory")
    return {file.name: file for file in files}


def _parse_directory(directory: bytes, number: int) -> list[ArchivedFile]:
    """Return the files in the central directory of an archive, in order."""
    files: dict[str, ArchivedFile] = {}
    place = 0
    for _ in range(number):
        if place + CENTRAL.size > len(directory):
            raise BundleError("the directory of the archive is too short")
        found = CentralRecord._make(CENTRAL.unpack_from(directory, place))
        begin = place + CENTRAL.size
        try:
            name = directory[begin : begin + found.name_bytes].decode()
        except UnicodeDecodeError:
            raise BundleError("the name of a file is not UTF-8") from None
        file = ArchivedFile(name, found.size, found.crc, found.offset)
        record = file.to_central()
        if directory[place : place + len(record)] != record:
            raise BundleError(f"{_show_name(name)} {_find_difference(found)}")
        if name in files:
            raise BundleError(f"{_show_name(name)} stands in it twice")
        files[name] = file
        place += len(record)
    if place != len(directory):
        raise BundleError("the directory of the archive has more than its files")
    return list(files.values())


def _find_difference(found: CentralRecord) -> str:
    """Return why a record of the central directory cannot be that of a bundle."""
    kind = stat.S_IFMT(found.attributes >> 16)
    differences = {
        "has a record that is none of an archive": found.mark != CENTRAL_MARK,
        "is encrypted": found.flags & 1,
        "is compressed, but the files of a bundle are stored as they are": found.method != STORED,
        "has another size when it is unpacked": found.packed != found.size,
        "has extra fields, such as those of the 64-bit extension": found.extra_bytes,
        "has a comment": found.comment_bytes,
        "is in another part of the archive": found.disk,
        "is a link, a folder or a device": kind not in (0, stat.S_IFREG) or found.attributes & 0x10,
        "has another mode than 0644": found.attributes != ATTRIBUTES,
        "has a date": (found.time, found.date) != (0, DATE),
    }
    return next((words for words, differs in differences.items() if differs), "has a record that no bundle has")


def _compare_with_manifest(files: Mapping[str, ArchivedFile], manifest: Manifest) -> None:
    """Check that an archive has exactly the files of its manifest, in order and with their sizes."""
    listed = {*OWN_FILES, *manifest.files}
    for name in files:
        if name not in listed:
            raise BundleError(f"{_show_name(name)} is not listed in its manifest")
    for name, file in manifest.files.items():
        if name not in files:
            raise BundleError(f"{_show_name(name)} is listed in its manifest, but missing")
        if files[name].size != file.size:
            raise BundleError(f"{_show_name(name)} has {files[name].size} bytes, but {file.size} in the manifest")
    if list(files) != list_entries(manifest):
        raise BundleError("its files are not in the order of a bundle")


def _read_exactly(descriptor: int, size: int, offset: int) -> bytes:
    content = os.pread(descriptor, size, offset)
    if len(content) != size:
        raise BundleError("its end is missing")
    return content


def _show_name(name: str) -> str:
    return single_line(ascii(name), 120)
