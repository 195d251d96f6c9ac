"""The manifest of a bundle: its contents and needs. The hash of the manifest is the id of the bundle.

An archive with files that the manifest does not list is refused. The provenance (who made the bundle, when and with
which versions) is not part of the manifest, so that equal contents have the same id wherever they are packed.
"""

import hashlib
from collections.abc import Mapping
from functools import cached_property
from typing import Annotated, Any, Literal, TypeVar

from pydantic import BaseModel, ConfigDict, Field, JsonValue, ValidationError, field_validator, model_validator

from engine.bundles.bundle_paths import find_collision, find_path_problem
from engine.digests import canonical_json
from engine.errors import BundleError
from engine.formatting.control_characters import single_line

MANIFEST_FILE = "manifest.json"
PROVENANCE_FILE = "provenance.json"
SIGNATURES_FILE = "signatures.json"
OWN_FILES = (MANIFEST_FILE, PROVENANCE_FILE, SIGNATURES_FILE)
"""The entries of an archive that the manifest does not list."""

MOST_FILES = 10_000
MOST_MANIFEST_BYTES = 3 << 20
"""Most bytes of a manifest: about 300 for each of MOST_FILES files."""
MOST_VALUES = 60_000
"""Most values in a document, for more than four per file. Parsing any such JSON takes less than 100 MB of memory."""

Hash = Annotated[str, Field(pattern=r"^[0-9a-f]{64}$")]
"""A SHA-256 as 64 hexadecimal digits in lower case."""
Count = Annotated[int, Field(ge=0, le=2**63 - 1)]
Role = Literal["spec", "message", "code", "data", "model", "file"]


class _Part(BaseModel):
    model_config = ConfigDict(extra="forbid", frozen=True, strict=True, allow_inf_nan=False)


class BundledFile(_Part):
    """A file of a bundle: its size in bytes, the SHA-256 of its content, and its role."""

    size: Count
    sha256: Hash
    role: Role


class BundledDataset(_Part):
    """A dataset whose rows are part of a bundle.

    Attributes
    ----------
    path
        The path of its file in the bundle; a pattern or a folder if it has several files.
    rows, columns
        The number of rows, and the names of the columns in order.
    fingerprint
        The digest by which evaluations recognize the same data.
    frozen
        Whether the rows of a function, a query or a table were written to one file; if not, the original files are
        included, and are read with the settings of the spec.
    entity
        The column that identifies the entity of a row, also if a query inherits it from its inputs.
    """

    path: str
    rows: Count
    columns: tuple[str, ...] = ()
    fingerprint: str = ""
    frozen: bool = False
    entity: str | None = None


class BundledModel(_Part):
    """A model version that is part of a bundle.

    Attributes
    ----------
    folder
        Its folder in the bundle.
    version
        Its number in the state from which it was packed.
    identity
        The digest of the trained model; it is the same in every state that imports the version.
    fingerprint
        The digest of its training inputs.
    held_out, held_out_rows
        The digest of the rows held out from training, and how many of them are in the bundle: 0 if no evaluation store
        uses them as its reference.
    settings
        The recorded training settings: `model` and `dataset` of the spec, and `versions` of libraries.
    datasets
        Name and fingerprint of each table that its training data were made from, the training data last.
    probe, probe_rows
        The path of a file with rows and their scores, which the imported model must reproduce, and their number.
    """

    folder: str
    version: int
    identity: str
    fingerprint: str = ""
    algorithm: str = ""
    held_out: str = ""
    held_out_rows: Count = 0
    settings: Mapping[str, JsonValue] = {}
    datasets: tuple[tuple[str, str], ...] = ()
    probe: str | None = None
    probe_rows: Count = 0


class Needs(_Part):
    """What a deployment's target must provide: connections, channels, external datasets."""

    connections: Mapping[str, str] = {}
    channels: Mapping[str, str] = {}
    datasets: tuple[str, ...] = ()


class Manifest(_Part):
    """The contents and needs of a bundle.

    Attributes
    ----------
    project
        The name of the project.
    spec
        The path of the spec in the bundle.
    engine
        The versions of the engine that can run it, such as `>=0.3`.
    files
        All files by their path in the bundle, except the manifest, the provenance and the signatures.
    estimators
        The path in the bundle of each model of kind skops, by the name of the model.
    secrets
        The names of the declared secrets; never their values.
    """

    format: Literal[1] = 1
    project: str
    spec: str
    engine: str = ""
    release_notes: str = ""
    files: Mapping[str, BundledFile]
    datasets: Mapping[str, BundledDataset] = {}
    models: Mapping[str, BundledModel] = {}
    estimators: Mapping[str, str] = {}
    scenarios: tuple[str, ...] = ()
    secrets: tuple[str, ...] = ()
    needs: Needs = Needs()

    @field_validator("files")
    @classmethod
    def _check_files(cls, files: Mapping[str, BundledFile]) -> Mapping[str, BundledFile]:
        if not files:
            raise ValueError("it lists no file")
        if len(files) > MOST_FILES:
            raise ValueError(f"it lists {len(files):,} files, but a bundle has at most {MOST_FILES:,}")
        for path in files:
            if problem := find_path_problem(path):
                raise ValueError(f"{problem}: {single_line(ascii(path), 120)}")
        if both := find_collision([*OWN_FILES, *files]):
            one, other = (single_line(ascii(path), 120) for path in both)
            raise ValueError(f"{one} and {other} cannot stand in one folder on every file system")
        return files

    @model_validator(mode="after")
    def _check_spec(self) -> "Manifest":
        if self.spec not in self.files:
            raise ValueError("its spec is not among its files")
        return self

    @cached_property
    def content(self) -> bytes:
        """The bytes of `manifest.json`: canonical JSON, the same for equal manifests."""
        return encode_document(self)

    @cached_property
    def id(self) -> str:
        """The id of the bundle: the SHA-256 of its manifest, as 64 hexadecimal digits."""
        return hashlib.sha256(self.content).hexdigest()


class Provenance(_Part):
    """Who made a bundle, when, and with which versions; signed together with the manifest.

    Attributes
    ----------
    created
        The time, as ISO 8601 in UTC.
    by
        The user who made it.
    engine, python, packages
        The versions of the engine, of Python, and of the packages that the scores of a model depend on.
    git
        The commit of the folder of the spec, with "+" if it had changes; None outside of a repository.
    """

    created: str = ""
    by: str = ""
    engine: str = ""
    python: str = ""
    packages: Mapping[str, str] = {}
    git: str | None = None


_Document = TypeVar("_Document", bound=BaseModel)


def encode_document(document: BaseModel) -> bytes:
    """Return a document as canonical JSON: sorted keys, UTF-8, one final line feed."""
    return (canonical_json(dump_document(document)) + "\n").encode()


def dump_document(document: BaseModel) -> dict[str, Any]:
    """Return a document as JSON values, without keys that have their defaults.

    So a key that a later version of the engine adds does not change the bytes, hashes and signatures of older
    documents.
    """
    written = document.model_dump(mode="json", exclude_defaults=True)
    return {**written, "format": document.format} if isinstance(document, Manifest) else written


def count_values(content: bytes) -> int:
    """Return an upper bound for the number of values in JSON, without parsing it."""
    return 1 + sum(map(content.count, (b",", b"[", b"{")))


def decode_document(kind: type[_Document], content: bytes, what: str) -> _Document:
    """Parse a document of unknown origin.

    Bytes that differ from the output of `encode_document` are refused, so that nothing can be hidden in them, such as a
    repeated key.

    Raises
    ------
    BundleError
        The bytes are not such a document; `what` is its name in the message.
    """
    if count_values(content) > MOST_VALUES:
        raise BundleError(f"the {what} is refused: it has more than {MOST_VALUES:,} values")
    try:
        document = kind.model_validate_json(content)
        same = encode_document(document) == content
    except ValidationError as error:
        raise BundleError(f"the {what} is damaged: {_describe_first_problem(error)}") from None
    except (ValueError, RecursionError):
        raise BundleError(f"the {what} is damaged: it is not JSON as this engine writes it") from None
    if not same:
        raise BundleError(f"the {what} is damaged: it is not JSON as this engine writes it")
    return document


def list_entries(manifest: Manifest) -> list[str]:
    """Return the names of the entries of an archive in their order."""
    return [MANIFEST_FILE, *sorted(manifest.files), PROVENANCE_FILE, SIGNATURES_FILE]


def parse_manifest(content: bytes) -> Manifest:
    """Parse a manifest of unknown origin; raise BundleError if it is not valid."""
    return decode_document(Manifest, content, "manifest")


def _describe_first_problem(error: ValidationError) -> str:
    """Return the place and the problem of the first error, on one line and without the value that was found."""
    first = error.errors(include_url=False, include_input=False, include_context=False)[0]
    place = ".".join(map(str, first["loc"]))
    newer = first["type"] == "extra_forbidden" or place == "format"
    message = "this engine does not support it; a newer engine may have written it" if newer else first["msg"]
    message = message.removeprefix("Value error, ").replace("Input should be", "it must be")
    return single_line(f"{place}: {message}" if place else message, 300)
