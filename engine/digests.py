"""BLAKE2b digests of 16 bytes, as hex: the fingerprints of files, texts and settings."""

import hashlib
import json
from io import BufferedReader
from pathlib import Path

DIGEST_SIZE = 16


def digest_texts(*texts: str) -> str:
    """Return one digest of several texts in order. Each is preceded by its length, so different lists never collide."""
    digest = hashlib.blake2b(digest_size=DIGEST_SIZE)
    for text in texts:
        content = text.encode("utf-8", "surrogatepass")
        digest.update(len(content).to_bytes(8, "little") + content)
    return digest.hexdigest()


def canonical_json(value: object) -> str:
    """Return data as JSON with sorted keys; values that JSON lacks, such as dates, as text."""
    return json.dumps(value, sort_keys=True, ensure_ascii=False, default=str)


def digest_json(value: object) -> str:
    """Return the digest of JSON-ready data; the order of keys does not matter."""
    return hashlib.blake2b(canonical_json(value).encode("utf-8", "surrogatepass"), digest_size=DIGEST_SIZE).hexdigest()


def digest_bytes(content: bytes) -> str:
    """Return the digest of bytes, which equals that of a file with these bytes."""
    return hashlib.blake2b(content, digest_size=DIGEST_SIZE).hexdigest()


def digest_file(path: Path) -> str:
    """Return the digest of a file's bytes."""
    with path.open("rb") as file:
        return digest_stream(file)


def digest_stream(file: BufferedReader) -> str:
    """Return the digest of the bytes of an open file, from its current position to its end."""
    return hashlib.file_digest(file, lambda: hashlib.blake2b(digest_size=DIGEST_SIZE)).hexdigest()
