"""Scans that polars lacks: Arrow streams, JSON arrays, and columns from folder names.

An Arrow file in the stream format has no index at its end, so polars reads it only as a whole. Here each record batch
is read separately: a stream is a sequence of messages, each preceded by its length (Apache Arrow, columnar format,
section "Encapsulated message format"), so it can be split without decoding.
"""

import struct
from collections.abc import Callable, Iterator, Mapping, Sequence
from glob import escape
from io import BytesIO
from pathlib import Path
from typing import IO, TYPE_CHECKING

import polars as pl
from polars.io.plugins import register_io_source

from engine.discovery.compression import read_unpacked
from engine.discovery.file_endings import is_unpacked_here
from engine.errors import DataError

if TYPE_CHECKING:
    from engine.discovery.listing import KeyValue

MAX_JSON_BYTES = 256 << 20
"""Maximum size in bytes of a file with one JSON array, which polars reads as a whole."""

_CONTINUATION = b"\xff\xff\xff\xff"
_END_OF_STREAM = _CONTINUATION + bytes(4)
_SCHEMA_MESSAGE, _DICTIONARY_MESSAGE = 1, 2
_PATH_COLUMN = "path of the file\0"  # no column of a file has this name

ScanFiles = Callable[[Sequence[Path], str | None], pl.LazyFrame]
"""Scans files; the second argument, if not None, names an additional column with the path of each row's file."""


def add_key_columns(
    paths: Sequence[Path], keys: "Mapping[Path, Mapping[str, KeyValue]]", scan: ScanFiles, *, apart: bool
) -> pl.LazyFrame:
    """Return the rows of files with the columns given by their folder names.

    Parameters
    ----------
    keys
        Per file, the values in its folder names; empty if they name no columns.
    apart
        Whether each file must be scanned alone, because a joint scan cannot tell which rows belong to which file.
    """
    named = list(next(iter(keys.values()), {}))
    dtypes = {name: _key_dtype([values[name] for values in keys.values()]) for name in named}
    if len(paths) > 1 and apart:
        return pl.concat([add_key_columns([path], keys, scan, apart=True) for path in paths], how="vertical_relaxed")
    if not named:
        return scan(paths, None)
    if len(paths) == 1:
        return scan(paths, None).with_columns(pl.lit(keys[paths[0]][name], dtypes[name]).alias(name) for name in named)
    texts = [str(path) for path in paths]
    return (
        scan(paths, _PATH_COLUMN)
        .with_columns(
            pl.col(_PATH_COLUMN)
            .replace_strict(
                texts, pl.Series([keys[path][name] for path in paths], dtype=dtypes[name]), return_dtype=dtypes[name]
            )
            .alias(name)
            for name in named
        )
        .drop(_PATH_COLUMN)
    )


def _key_dtype(values: "Sequence[KeyValue]") -> pl.DataType:
    kinds = {type(value) for value in values if value is not None}
    if kinds == {int}:
        return pl.Int64()
    return pl.String() if kinds <= {str} else pl.Date()


def scan_typed_files(
    format_: str, compression: str | None, paths: Sequence[Path], path_column: str | None
) -> pl.LazyFrame:
    """Scan Parquet, Arrow or NDJSON files as one frame; a file for which `is_read_alone` holds must be the only one.

    `compression` is the compression of NDJSON; None to recognize it by the files' endings.
    """
    if format_ == "parquet":
        return pl.scan_parquet(list(paths), glob=False, hive_partitioning=False, include_file_paths=path_column)
    if format_ == "arrow":
        if is_arrow_stream(paths[0]):
            return scan_arrow_stream(paths[0])
        return pl.scan_ipc(list(paths), glob=False, hive_partitioning=False, include_file_paths=path_column)
    if is_json_array(paths[0]):
        return scan_json_array(paths[0])
    if is_unpacked_here(paths[0], compression):
        return pl.scan_ndjson(read_unpacked(paths[0], compression), infer_schema_length=None)
    # scan_ndjson has no `glob` option, so a name with brackets must be escaped.
    files = [escape(str(path)) for path in paths]
    return pl.scan_ndjson(files, infer_schema_length=None, include_file_paths=path_column)


def is_read_alone(path: Path, compression: str | None = None) -> bool:
    """Return whether polars cannot scan a file together with others: an Arrow stream, a JSON array, zip, bzip2."""
    return is_arrow_stream(path) or is_json_array(path) or is_unpacked_here(path, compression)


def is_json_array(path: Path) -> bool:
    """Return whether a JSON file holds one array of rows rather than one row per line."""
    try:
        with path.open("rb") as file:
            return file.read(64).removeprefix(b"\xef\xbb\xbf").lstrip().startswith(b"[")
    except OSError:
        return False  # reported when the file is read


def scan_json_array(path: Path) -> pl.LazyFrame:
    """Return the rows of a file with one JSON array of objects; it is read into memory.

    Raises
    ------
    DataError
        The file is too large, or not an array of objects.
    """
    if path.stat().st_size > MAX_JSON_BYTES:
        raise DataError(
            f"{path} is one JSON array of more than {MAX_JSON_BYTES >> 20} MiB, which can only be read as a whole: "
            "write one object a line (NDJSON)"
        )
    try:
        return pl.read_json(path, infer_schema_length=None).lazy()
    except (pl.exceptions.PolarsError, pl.exceptions.PanicException) as error:
        reason, _, _ = str(error).strip().partition("\n")
        message = f"{path} is not a JSON array of objects ({reason}): write one object a line (NDJSON)"
        raise DataError(message) from error


def is_arrow_stream(path: Path) -> bool:
    """Return whether an Arrow file is in the stream format."""
    with path.open("rb") as file:
        return file.read(4) == _CONTINUATION


def scan_arrow_stream(path: Path) -> pl.LazyFrame:
    """Return the rows of a file in Arrow's stream format; memory holds one record batch at a time.

    Raises
    ------
    DataError
        The file is damaged.
    """
    with path.open("rb") as file:
        first = next(_read_messages(path, file), None)
    if first is None:
        raise DataError(f"{path} cannot be read, it may be damaged: it has no schema")
    schema = pl.read_ipc_stream(BytesIO(first[1] + _END_OF_STREAM)).schema

    def read_batches(
        columns: list[str] | None, predicate: pl.Expr | None, n_rows: int | None, _: int | None
    ) -> Iterator[pl.DataFrame]:
        left = n_rows
        for batch in _read_batches(path):
            part = batch.cast(schema) if batch.schema != schema else batch
            if left is not None:
                part = part.head(left)
                left -= part.height
            part = part.select(columns) if columns is not None else part
            yield part.filter(predicate) if predicate is not None else part
            if left == 0:
                return

    return register_io_source(read_batches, schema=schema, is_pure=True)


def _read_batches(path: Path) -> Iterator[pl.DataFrame]:
    """Yield the record batches of a stream; each is read as its own stream, after the schema and dictionaries."""
    preamble = b""
    with path.open("rb") as file:
        for kind, message in _read_messages(path, file):
            if kind in (_SCHEMA_MESSAGE, _DICTIONARY_MESSAGE):
                preamble += message
            else:
                yield pl.read_ipc_stream(BytesIO(preamble + message + _END_OF_STREAM))


def _read_messages(path: Path, file: IO[bytes]) -> Iterator[tuple[int, bytes]]:
    """Yield the kind and the bytes of each message of a stream.

    Raises
    ------
    DataError
        A message is cut off or invalid.
    """
    size = path.stat().st_size
    while (start := file.read(8)) and start != _END_OF_STREAM:
        length = struct.unpack("<i", start[4:])[0] if len(start) == 8 and start[:4] == _CONTINUATION else -1
        if not 8 <= length <= size - file.tell():
            raise DataError(f"{path} cannot be read, it may be damaged: a message of the Arrow stream is cut off")
        header = file.read(length)
        try:
            kind, body_length = _read_message_header(header)
        except struct.error as error:
            raise DataError(
                f"{path} cannot be read, it may be damaged: a message of the Arrow stream is none"
            ) from error
        if not 0 <= body_length <= size - file.tell():
            raise DataError(f"{path} cannot be read, it may be damaged: a message of the Arrow stream is cut off")
        yield kind, start + header + file.read(body_length)


def _read_message_header(header: bytes) -> tuple[int, int]:
    """Return the kind of a message and the length of its body, from its flatbuffer table.

    A flatbuffer table begins with the distance back to its list of field positions, which are 16 bits each: the size of
    the list, the size of the table, then one position per field, 0 for a field with its default value. The fields are
    version, kind of header, header, length of body.
    """
    table = struct.unpack_from("<I", header, 0)[0]
    fields = table - struct.unpack_from("<i", header, table)[0]
    count = struct.unpack_from("<H", header, fields)[0]

    def position(index: int) -> int:
        at = 4 + 2 * index
        return struct.unpack_from("<H", header, fields + at)[0] if at < count else 0

    kind_at, length_at = position(1), position(3)
    kind = header[table + kind_at] if kind_at else 0
    return kind, struct.unpack_from("<q", header, table + length_at)[0] if length_at else 0
