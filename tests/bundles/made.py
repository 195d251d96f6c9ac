"""Bundles for tests: a small one that is right, and archives built record by record, each field of which can be wrong.

The records are written here once more, and not by the engine: what builds the archives does not share its mistakes.
"""

import base64
import hashlib
import json
import struct
import subprocess
import unicodedata
import zlib
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from engine.bundles.archive_writing import describe_content, write_archive
from engine.bundles.manifest import BundledDataset, Manifest, Provenance, Role
from engine.bundles.signatures import TrustedKey, load_trusted_key, sign_bundle

CONTENTS = {
    "data/orders.parquet": b"PAR1" + bytes(range(200)) + b"PAR1",
    "data/résumé.csv": b"a,b\n1,2\n",
    "empty.txt": b"",
    "my_code.py": b"raise SystemExit('the code of a bundle was run')\n",
    "spec.yaml": b"version: 1\nproject: p\ndatasets: {orders: {path: data/orders.parquet}}\n",
}
ROLES: Mapping[str, Role] = {".py": "code", ".yaml": "spec", ".txt": "file"}
PROVENANCE = Provenance(created="2026-11-28T23:00:00Z", by="ada", engine="0.4", python="3.11")


def make_manifest(contents: Mapping[str, bytes] = CONTENTS, notes: str = "", project: str = "p") -> Manifest:
    """Return the manifest of these files."""
    roles = {path: ROLES.get(Path(path).suffix, "data") for path in contents}
    files = {path: describe_content(content, roles[path]) for path, content in contents.items()}
    orders = BundledDataset(path="data/orders.parquet", rows=200, columns=("a", "b"), fingerprint="x")
    return Manifest(project=project, spec="spec.yaml", release_notes=notes, files=files, datasets={"orders": orders})


def make_keys(folder: Path, name: str) -> TrustedKey:
    """Make a pair of keys as users do, `<name>.private.pem` and `<name>.pem`, and return the public one."""
    private, public = folder / f"{name}.private.pem", folder / f"{name}.pem"
    subprocess.run(["openssl", "genpkey", "-algorithm", "ed25519", "-out", private], check=True, capture_output=True)
    subprocess.run(["openssl", "pkey", "-in", private, "-pubout", "-out", public], check=True, capture_output=True)
    return load_trusted_key(name, public)


def make_archive(path: Path, notes: str = "", private: Path | None = None, project: str = "p") -> str:
    """Write the archive of the small bundle, signed if a key is given, and return its id."""
    manifest = make_manifest(notes=notes, project=project)
    signatures = [sign_bundle(manifest.id, PROVENANCE, private)] if private else []
    return write_archive(path, manifest, CONTENTS, PROVENANCE, signatures)


def encode_canonically(value: object) -> bytes:
    """Return JSON as the engine writes it."""
    return (json.dumps(value, sort_keys=True, ensure_ascii=False) + "\n").encode("utf-8", "surrogatepass")


@dataclass
class Entry:
    """A file of an archive; `local` and `central` replace fields of its two records by their names."""

    name: bytes
    content: bytes
    local: dict[str, Any] = field(default_factory=dict)
    central: dict[str, Any] = field(default_factory=dict)
    before: bytes = b""


LOCAL_FIELDS = ("mark", "needed", "flags", "method", "time", "date", "crc", "packed", "size")


@dataclass
class Hostile:
    """An archive that is built record by record, from a manifest whose hash is signed whatever it says."""

    private: Path
    files: dict[str, bytes] = field(default_factory=lambda: dict(CONTENTS))
    manifest: dict[str, Any] = field(default_factory=lambda: json.loads(make_manifest().content))
    entries: Callable[[list[Entry]], object] = list
    encode: Callable[[object], bytes] = encode_canonically
    encode_more: Callable[[object], bytes] = encode_canonically
    end: dict[str, int] = field(default_factory=dict)
    prefix: bytes = b""
    gap: bytes = b""
    more_directory: bytes = b""
    before_end: bytes = b""
    suffix: bytes = b""
    signed_id: str = ""
    changes: list[Callable[[list[Entry]], object]] = field(default_factory=list)

    def list_file(self, path: str, content: bytes = b"x") -> None:
        """Add a file to the archive and to its manifest."""
        self.files[path] = content
        digest = hashlib.sha256(content).hexdigest()
        self.manifest["files"][path] = {"size": len(content), "sha256": digest, "role": "file"}

    def build(self) -> tuple[bytes, str]:
        """Return the bytes of the archive, and the id that its manifest gives it."""
        manifest = self.encode(self.manifest)
        id_ = hashlib.sha256(manifest).hexdigest()
        signature = sign_bundle(self.signed_id or id_, PROVENANCE, self.private)
        provenance = PROVENANCE.model_dump(mode="json", exclude_defaults=True)
        statement = json.dumps({"manifest": self.signed_id or id_, "provenance": provenance}, sort_keys=True)
        envelope = {
            "payload": base64.b64encode(statement.encode()).decode(),
            "payloadType": "application/vnd.engine.bundle+json",
            "signatures": [signature.model_dump()],
        }
        entries = [
            Entry(b"manifest.json", manifest),
            *(Entry(name.encode("utf-8", "surrogatepass"), self.files[name]) for name in sorted(self.files)),
            Entry(b"provenance.json", self.encode_more(provenance)),
            Entry(b"signatures.json", self.encode_more(envelope)),
        ]
        for change in self.changes:
            change(entries)
        return self._pack(entries), id_

    def _pack(self, entries: list[Entry]) -> bytes:
        body, directory = bytearray(self.prefix), bytearray()
        for entry in entries:
            body += entry.before
            common = {"needed": 20, "flags": 0 if entry.name.isascii() else 0x800, "method": 0, "time": 0, "date": 33,
                      "crc": zlib.crc32(entry.content), "packed": len(entry.content), "size": len(entry.content),
                      "name": entry.name, "extra": b""}  # fmt: skip
            place = len(body)
            local = {**common, "mark": b"PK\x03\x04", **entry.local}
            body += struct.pack(
                "<4s5H3I2H", *(local[key] for key in LOCAL_FIELDS), len(local["name"]), len(local["extra"])
            )
            body += local["name"] + local["extra"] + entry.content
            found = {**common, "mark": b"PK\x01\x02", "version": 20, "system": 3, "comment": b"", "disk": 0,
                     "internal": 0, "attributes": 0o100644 << 16, "offset": place, **entry.central}  # fmt: skip
            directory += struct.pack(
                "<4s2B5H3I5H2I",
                *(found[key] for key in ("mark", "version", "system", *LOCAL_FIELDS[1:])),
                *(len(found["name"]), len(found["extra"]), len(found["comment"])),
                *(found[key] for key in ("disk", "internal", "attributes", "offset")),
            )
            directory += found["name"] + found["extra"] + found["comment"]
        body += self.gap
        end = {"disk": 0, "first_disk": 0, "here": len(entries), "number": len(entries), "size": len(directory),
               "start": len(body), "comment": 0, **self.end}  # fmt: skip
        directory += self.more_directory
        end_record = struct.pack("<4s4H2IH", b"PK\x05\x06", *end.values())
        return bytes(body + directory) + self.before_end + end_record + self.suffix


def _add_path(path: str) -> Callable[[Hostile], object]:
    return lambda hostile: hostile.list_file(path)


def _change(place: int, **changed: Any) -> Callable[[Hostile], object]:
    """Return a fault that changes both records of a file."""

    def change(entries: list[Entry]) -> None:
        entries[place].local |= {
            key: value for key, value in changed.items() if key in {*LOCAL_FIELDS, "name", "extra"}
        }
        entries[place].central |= changed

    return lambda hostile: hostile.changes.append(change)


def _change_one(place: int, record: str, **changed: Any) -> Callable[[Hostile], object]:
    def change(entries: list[Entry]) -> None:
        getattr(entries[place], record).update(changed)

    return lambda hostile: hostile.changes.append(change)


def _in_entries(change: Callable[[list[Entry]], object]) -> Callable[[Hostile], object]:
    return lambda hostile: hostile.changes.append(change)


def _set(**values: Any) -> Callable[[Hostile], object]:
    def change(hostile: Hostile) -> None:
        for key, value in values.items():
            setattr(hostile, key, value)

    return change


def _in_manifest(change: Callable[[dict[str, Any]], object]) -> Callable[[Hostile], object]:
    return lambda hostile: change(hostile.manifest)


ZIP64_EXTRA = struct.pack("<HHQQ", 1, 16, 1, 1)
ZIP64_END = struct.pack("<4sQ2H2I4Q", b"PK\x06\x06", 44, 45, 45, 0, 0, 8, 8, 500, 1000) + struct.pack(
    "<4sIQI", b"PK\x06\x07", 0, 1500, 1
)
ACCENTED = unicodedata.normalize("NFD", "data/résumé.csv")

FAULTS: dict[str, Callable[[Hostile], object]] = {
    # paths that the manifest lists and a trusted key has signed
    "a path out of the folder": _add_path("../evil"),
    "a path out of the folder below": _add_path("data/../../evil"),
    "a path that is absolute": _add_path("/tmp/evil"),
    "a path with a drive": _add_path("C:/evil"),
    "a path with a backslash": _add_path("data\\evil"),
    "a path with a dot": _add_path("./evil"),
    "a path with an empty part": _add_path("data//evil"),
    "a path that ends in a slash": _add_path("evil/"),
    "a path that is empty": _add_path(""),
    "a path that is two dots": _add_path(".."),
    "a path with NUL": _add_path("data/evil\0.csv"),
    "a path with a line end": _add_path("data/evil\n.csv"),
    "a path with an escape": _add_path("data/\x1b[31mevil"),
    "a path with a C1 control": _add_path("data/\x9bevil"),
    "a path with a line separator": _add_path("data/\u2028evil"),
    "a path that is too long": _add_path("/".join(["x" * 200] * 6)),
    "a name that is too long": _add_path("x" * 256),
    "a path that is too deep": _add_path("/".join("x" * 33)),
    "two paths equal but for case": _add_path("DATA/orders.parquet"),
    "two folders equal but for case": _add_path("DATA/other"),
    "two paths equal but for accents": _add_path(ACCENTED),
    "a file below a file": _add_path("spec.yaml/evil"),
    "a file that is a folder": _add_path("data"),
    "the manifest in another case": _add_path("Manifest.json"),
    "a file below the manifest": _add_path("manifest.json/evil"),
    "sharp s and ss": lambda hostile: (hostile.list_file("straße"), hostile.list_file("STRASSE")),
    # what the archive and the manifest say
    "a file that is not listed": lambda hostile: hostile.files.update({"unlisted": b"x"}),
    "a file that is missing": lambda hostile: hostile.files.pop("empty.txt"),
    "no file listed": _in_manifest(lambda manifest: manifest["files"].clear()),
    "no spec": _in_manifest(lambda manifest: manifest.update(spec="other.yaml")),
    "another hash": _in_manifest(lambda manifest: manifest["files"]["my_code.py"].update(sha256="0" * 64)),
    "another size": _in_manifest(lambda manifest: manifest["files"]["my_code.py"].update(size=1)),
    "a huge size": _in_manifest(lambda manifest: manifest["files"]["my_code.py"].update(size=2**62)),
    "a negative size": _in_manifest(lambda manifest: manifest["files"]["my_code.py"].update(size=-1)),
    "an unknown key": _in_manifest(lambda manifest: manifest.update(evil=1)),
    "a number as text": _in_manifest(lambda manifest: manifest["files"]["my_code.py"].update(size="49")),
    "another format": _in_manifest(lambda manifest: manifest.update(format=2)),
    "a manifest with blanks": _set(encode=lambda value: json.dumps(value, sort_keys=True, indent=1).encode()),
    "a manifest with a key twice": _set(
        encode=lambda value: encode_canonically(value).replace(b"{", b'{"project": "other", ', 1)
    ),
    "a manifest that is none": _set(encode=lambda value: b"\x00" * 100),
    "a manifest that is nested": _set(encode=lambda value: b"[" * 100_000),
    "a manifest that is not UTF-8": _set(encode=lambda value: encode_canonically(value).replace(b"spec.yaml", b"\xff")),
    "no manifest": _in_entries(lambda entries: entries.pop(0)),
    "no provenance": _in_entries(lambda entries: entries.pop(-2)),
    "no signatures": _in_entries(lambda entries: entries.pop(-1)),
    "a provenance with blanks": _set(encode_more=lambda value: json.dumps(value, sort_keys=True, indent=1).encode()),
    "a signature of another bundle": _set(signed_id="0" * 64),
    # records
    "encryption": _change(3, flags=1),
    "a size that follows": _change(3, flags=8),
    "a name said to be UTF-8": _change(3, flags=0x800),
    "compression": _change(3, method=8),
    "an unknown compression": _change(3, method=99),
    "a symbolic link": _change(3, attributes=0o120777 << 16),
    "a device": _change(3, attributes=0o020644 << 16),
    "a pipe": _change(3, attributes=0o010644 << 16),
    "a folder": _change(3, attributes=(0o040755 << 16) | 0x10),
    "a program that runs as its owner": _change(3, attributes=0o104755 << 16),
    "no mode": _change(3, attributes=0),
    "another system": _change(3, system=0),
    "a date": _change(3, date=34),
    "a time": _change(3, time=1),
    "another version": _change(3, needed=45),
    "an extra field": _change(3, extra=b"\x99\x99\x00\x00"),
    "an extra field before the file": _change_one(3, "local", extra=b"\x99\x99\x00\x00"),
    "an extra field in the directory": _change_one(3, "central", extra=b"\x99\x99\x00\x00"),
    "sizes in 64 bits": _change(3, size=0xFFFFFFFF, packed=0xFFFFFFFF, extra=ZIP64_EXTRA),
    "a place in 64 bits": _change_one(3, "central", offset=0xFFFFFFFF, extra=ZIP64_EXTRA),
    "a comment of a file": _change_one(3, "central", comment=b"evil"),
    "another disk": _change_one(3, "central", disk=1),
    "inner attributes": _change_one(3, "central", internal=1),
    "a larger size": _change(2, size=50, packed=50),
    "a huge size in its record": _change(2, size=0xFFFFFFF0, packed=0xFFFFFFF0),
    "a smaller size": _change(1, size=3, packed=3),
    "two sizes": _change(1, size=1_000_000),
    "two checksums": _change_one(1, "local", crc=1),
    "two names": _change_one(1, "local", name=b"data/0rders.parquet"),
    "two methods": _change_one(1, "local", method=8),
    "a place too late": _change_one(2, "central", offset=1),
    "a place beyond the end": _change_one(2, "central", offset=0x7FFFFFFF),
    "a record of another kind": _change_one(2, "central", mark=b"PK\x05\x06"),
    "a file without a record": _change_one(2, "local", mark=b"PK\x00\x00"),
    "the same file twice": _in_entries(lambda entries: entries.insert(2, Entry(entries[1].name, entries[1].content))),
    "two records of one place": _in_entries(
        lambda entries: entries.insert(2, Entry(entries[1].name, b"", central={"offset": 0}))
    ),
    "the manifest twice": _in_entries(lambda entries: entries.append(Entry(b"manifest.json", b"{}"))),
    "a name that is not UTF-8": _in_entries(lambda entries: entries.append(Entry(b"\xff\xfe", b""))),
    "another order": _in_entries(lambda entries: entries.insert(1, entries.pop(3))),
    "bytes between files": _in_entries(lambda entries: setattr(entries[3], "before", b"evil")),
    # the archive as a whole
    "bytes before it": _set(prefix=b"#!/bin/sh\n"),
    "bytes after it": _set(suffix=b"evil"),
    "a comment": _set(suffix=b"evil", end={"comment": 4}),
    "bytes before the directory": _set(gap=b"evil"),
    "bytes after the directory": _set(before_end=b"evil"),
    "bytes in the directory": _set(more_directory=b"evil", end={"size": 1000}),
    "an end in 64 bits": _set(before_end=ZIP64_END),
    "too many files": _set(end={"number": 65535, "here": 65535}),
    "too few files": _set(end={"number": 3, "here": 3}),
    "two numbers of files": _set(end={"here": 3}),
    "no files": _set(end={"number": 0, "here": 0}),
    "a directory too long": _set(end={"size": 0x7FFFFFFF}),
    "a directory beyond the end": _set(end={"start": 0x7FFFFFFF}),
    "a directory in 64 bits": _set(end={"start": 0xFFFFFFFF, "size": 0xFFFFFFFF}),
    "an end on another disk": _set(end={"disk": 1}),
    "a start on another disk": _set(end={"first_disk": 1}),
}
"""By what is wrong, what breaks an archive that was right. Each must be refused alone and with any other."""
