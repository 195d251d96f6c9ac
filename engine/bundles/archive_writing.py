"""Writes the archive of a bundle: equal contents, provenance and signatures give equal bytes."""

import hashlib
import os
import zlib
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import BinaryIO

from engine.atomic_files import replace_file
from engine.bundles.archive_records import MOST_ARCHIVE_BYTES, ArchivedFile, build_end
from engine.bundles.manifest import (
    MANIFEST_FILE,
    MOST_MANIFEST_BYTES,
    MOST_VALUES,
    PROVENANCE_FILE,
    SIGNATURES_FILE,
    BundledFile,
    Manifest,
    Provenance,
    Role,
    count_values,
    encode_document,
)
from engine.bundles.signatures import Envelope, Signature
from engine.errors import BundleError
from engine.formatting.numbers import format_bytes

CHUNK_BYTES = 1 << 20


@dataclass(frozen=True, slots=True)
class FileSection:
    """A section of a file, such as the content of a file in another archive."""

    file: Path
    offset: int
    size: int


Content = Path | bytes | FileSection


def describe_content(content: Content, role: Role) -> BundledFile:
    """Return the manifest entry of a file, with its size and hash.

    Raises
    ------
    OSError
        The file cannot be read.
    """
    digest, size = hashlib.sha256(), 0
    for chunk in _read_chunks(content):
        digest.update(chunk)
        size += len(chunk)
    return BundledFile(size=size, sha256=digest.hexdigest(), role=role)


def write_archive(
    path: Path,
    manifest: Manifest,
    contents: Mapping[str, Content],
    provenance: Provenance,
    signatures: Sequence[Signature] = (),
) -> str:
    """Write the archive of a bundle to `path` atomically, and return its id.

    Parameters
    ----------
    contents
        The content of each file in the manifest, by its path in the bundle: bytes, or the path or section of a file.

    Raises
    ------
    BundleError
        The contents are not those of the manifest, one of them has changed meanwhile, or there are too many bytes.
    OSError
        A file cannot be read, or the archive cannot be written.
    """
    if contents.keys() != manifest.files.keys():
        different = sorted(contents.keys() ^ manifest.files.keys())
        raise BundleError(f"the manifest and the contents of the bundle differ in {', '.join(different[:5])}")
    if len(manifest.content) > MOST_MANIFEST_BYTES or count_values(manifest.content) > MOST_VALUES:
        most = format_bytes(MOST_MANIFEST_BYTES)
        raise BundleError(
            f"the manifest would have more than {most} or {MOST_VALUES:,} values: pack less files or columns"
        )
    envelope = Envelope.seal(manifest.id, provenance, signatures)
    total = sum(file.size for file in manifest.files.values())
    if total > MOST_ARCHIVE_BYTES:
        largest = max(manifest.files, key=lambda name: manifest.files[name].size)
        raise BundleError(
            f"the bundle would have {format_bytes(total)}, but at most {format_bytes(MOST_ARCHIVE_BYTES)} are allowed: "
            f"leave out data; the largest file is {largest}, {format_bytes(manifest.files[largest].size)}"
        )
    with replace_file(path) as part, part.open("wb") as out:
        written = [_add_file(out, MANIFEST_FILE, manifest.content)]
        for name in sorted(manifest.files):
            written.append(_add_file(out, name, contents[name], manifest.files[name]))
        written.append(_add_file(out, PROVENANCE_FILE, encode_document(provenance)))
        written.append(_add_file(out, SIGNATURES_FILE, encode_document(envelope)))
        directory = b"".join(file.to_central() for file in written)
        start = written[-1].end
        if start + len(directory) + 22 > MOST_ARCHIVE_BYTES:
            raise BundleError(f"the bundle would have more than {format_bytes(MOST_ARCHIVE_BYTES)}: leave out data")
        out.write(directory + build_end(len(written), len(directory), start))
    return manifest.id


def _add_file(out: BinaryIO, name: str, content: Content, expected: BundledFile | None = None) -> ArchivedFile:
    """Write a file with its record; the record is rewritten when the checksum is known."""
    offset = out.tell()
    out.write(ArchivedFile(name, 0, 0, offset).to_local())
    size, crc, digest = 0, 0, hashlib.sha256()
    for chunk in _read_chunks(content):
        size += len(chunk)
        crc = zlib.crc32(chunk, crc)
        digest.update(chunk)
        out.write(chunk)
    if expected is not None and (size, digest.hexdigest()) != (expected.size, expected.sha256):
        raise BundleError(f"{name} has changed while it was packed: pack the bundle again")
    written = ArchivedFile(name, size, crc, offset)
    out.seek(offset)
    out.write(written.to_local())
    out.seek(written.end)
    return written


def _read_chunks(content: Content) -> Iterator[bytes | memoryview]:
    if isinstance(content, bytes):
        yield content
        return
    section = content if isinstance(content, FileSection) else None
    buffer = memoryview(bytearray(CHUNK_BYTES))
    with (section.file if section else content).open("rb", buffering=0) as file:  # type: ignore[union-attr] # a path
        left = section.size if section else None
        file.seek(section.offset if section else 0, os.SEEK_SET)
        while read := file.readinto(buffer if left is None else buffer[:left]):
            yield buffer[:read]
            left = None if left is None else left - read
