"""Read and write .skops files; their size and types are checked before any object is built.

skops builds only trusted types, which the caller chooses. A file that the installed libraries cannot load is rejected
before anybody is asked to trust its types.
"""

import json
import pkgutil
import sys
import warnings
from collections.abc import Collection, Iterator
from importlib.metadata import version
from importlib.util import find_spec
from io import BytesIO
from typing import Any
from zipfile import BadZipFile, ZipFile, ZipInfo

from engine.errors import ModelError
from engine.formatting.lists import join_some

MAX_MODEL_BYTES = 4 * 2**30
"""Maximum unpacked size of a .skops file, in bytes."""
MAX_WARNINGS = 5
"""Maximum number of different warnings that are kept per loading."""
_INSPECTED_LIBRARIES = {"sklearn", "numpy", "scipy"}
"""Top-level modules that may be imported to check whether they have a type; for others only their presence is
checked."""


class UnloadableModelError(ModelError):
    """The installed libraries cannot load a model that other versions of them saved."""


class UntrustedTypesError(ModelError):
    """A file holds types that are not trusted."""


def dump_estimator(estimator: Any) -> bytes:
    """Return the bytes of a .skops file; equally fitted estimators give equal bytes, at any time and place.

    skops names objects by their memory addresses, and dates the files of the archive. Here objects are numbered in the
    order in which the schema names them, and the files have the earliest date of the format.
    """
    from skops import io

    with ZipFile(BytesIO(io.dumps(estimator))) as archive:
        schema = json.loads(archive.read("schema.json"))
        objects: dict[int, int] = {}
        names: dict[str, str] = {}
        for node in _walk_nodes(schema):
            if "__id__" in node:
                node["__id__"] = objects.setdefault(node["__id__"], len(objects) + 1)
            if node.get("file") in archive.NameToInfo:
                ending = node["file"].rpartition(".")[2]
                node["file"] = names.setdefault(node["file"], f"{len(names) + 1}.{ending}")
        content = BytesIO()
        with ZipFile(content, "w") as written:
            for old, new in names.items():
                written.writestr(ZipInfo(new), archive.read(old))
            written.writestr(ZipInfo("schema.json"), json.dumps(schema))
    return content.getvalue()


def load_estimator(
    content: bytes, allowed: Collection[str] | None, where: str, file: str, remedy: str
) -> tuple[Any, list[str]]:
    """Load an estimator from the bytes of a .skops file.

    Parameters
    ----------
    allowed
        Names of types to trust besides those that skops trusts by default. None trusts all types in the file: only for
        bytes that the engine is known to have written itself.
    file, remedy
        For messages: the file's name, and what to do if it is not a .skops file.

    Returns
    -------
    estimator, notes
        The estimator, and the warnings of the libraries about it.

    Raises
    ------
    UnloadableModelError
        A library is absent, or the file was saved by a version that the installed one cannot load.
    UntrustedTypesError
        The file holds types that are not trusted; the message lists them. Nothing is loaded.
    ModelError
        The bytes are not a .skops file, or unpack to more than `MAX_MODEL_BYTES`.
    """
    from skops import io

    try:
        # Sizes and types are read from the archive's directory and schema, before any object is built.
        with ZipFile(BytesIO(content)) as archive:
            size = sum(member.file_size for member in archive.infolist())
            if size > MAX_MODEL_BYTES:
                raise ModelError(f"{where}: {file} unpacks to {size:,} bytes; at most {MAX_MODEL_BYTES:,} are read")
            schema = json.loads(archive.read("schema.json"))
        saved_by = _describe_writer(schema)
        _require_known_protocol(schema, where, file, saved_by)
        named = io.get_untrusted_types(data=content)
    except (BadZipFile, KeyError, ValueError, TypeError, AttributeError, NotImplementedError, RecursionError) as error:
        raise ModelError(f"{where}: {file} is not a file that skops wrote ({error}); {remedy}") from error
    if absent := [name for name in named if not _is_installed(name)]:
        raise UnloadableModelError(
            f"{where}: {file} cannot be loaded with the installed libraries: it holds {join_some(absent)}, which they "
            f"do not have. {_compare_versions(saved_by, absent)}"
        )
    untrusted = [name for name in named if allowed is not None and name not in allowed]
    if untrusted:
        raise UntrustedTypesError(
            f"{where}: {file} holds types that are not trusted: {', '.join(sorted(untrusted))}. "
            "Nothing was loaded. Check where the file comes from, then add the types that you trust to allow:"
        )
    with warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("always")
        try:
            estimator = io.loads(content, trusted=named)
        except MemoryError as error:
            raise ModelError(f"{where}: there is not enough memory to load {file}") from error
        except Exception as error:
            raise UnloadableModelError(
                f"{where}: {file} cannot be loaded with the installed libraries: {type(error).__name__}: {error}. "
                f"{_compare_versions(saved_by, [])}"
            ) from error
    then, now = saved_by.get("scikit-learn"), version("scikit-learn")
    of_version = (
        [] if then in (None, now) else [f"the model was saved with scikit-learn {then} and is loaded with {now}"]
    )
    return estimator, [*of_version, *_summarize_warnings(caught)]


def _summarize_warnings(caught: list[warnings.WarningMessage]) -> list[str]:
    """Return the first lines of different warnings, at most `MAX_WARNINGS`, except those about another version."""
    texts = [
        f"{warning.category.__name__}: {str(warning.message).strip().partition(chr(10))[0]}"
        for warning in caught
        if warning.category.__name__ != "InconsistentVersionWarning"  # one per object; the class is slow to import
    ]
    return list(dict.fromkeys(texts))[:MAX_WARNINGS]


def _require_known_protocol(schema: dict[str, Any], where: str, file: str, saved_by: dict[str, str]) -> None:
    """Raise an error if the file was written by a newer skops in a format unknown to the installed one."""
    from skops.io._protocol import PROTOCOL

    protocol = schema["protocol"]
    if isinstance(protocol, int) and protocol > PROTOCOL:
        raise UnloadableModelError(
            f"{where}: {file} cannot be loaded: it has protocol {protocol} of skops, and the installed skops "
            f"{version('skops')} reads protocols up to {PROTOCOL}. {_compare_versions(saved_by, [])}"
        )


def _describe_writer(schema: dict[str, Any]) -> dict[str, str]:
    """Return the versions of the libraries that saved a file, as far as its schema contains them."""
    found = {"skops": schema["_skops_version"]} if isinstance(schema.get("_skops_version"), str) else {}
    for node in _walk_nodes(schema):
        saved = node.get("_sklearn_version")  # scikit-learn stores it in the state of every estimator
        if isinstance(saved, dict) and isinstance(saved.get("content"), str):
            return {"scikit-learn": saved["content"].strip('"')[:40]} | found
    return found


def _walk_nodes(root: Any) -> Iterator[dict[str, Any]]:
    """Yield every mapping of a JSON document."""
    waiting = [root]
    while waiting:
        value = waiting.pop()
        if isinstance(value, dict):
            yield value
            waiting.extend(value.values())
        elif isinstance(value, list):
            waiting.extend(value)


def _is_installed(name: str) -> bool:
    """Return whether a type exists; for a library outside `_INSPECTED_LIBRARIES`, whether the library is installed.

    Importing a library runs its code, which the user has not been asked about yet.
    """
    library = name.partition(".")[0]
    try:
        if library == "__main__":  # the script that saved the file
            return False
        if library not in _INSPECTED_LIBRARIES:
            return library in sys.modules or find_spec(library) is not None
        pkgutil.resolve_name(name)
    except (ImportError, AttributeError, ValueError):
        return False
    return True


def _compare_versions(saved_by: dict[str, str], absent: list[str]) -> str:
    """Return sentences with the versions that saved a file, the installed ones, and what to install."""
    saved = [f"{library} {then}" for library, then in saved_by.items()]
    installed = [f"{library} {version(library)}" for library in (saved_by or ("scikit-learn", "skops"))]
    says = f"It was saved by {' and '.join(saved) or 'unknown versions'}; installed are {' and '.join(installed)}. "
    libraries = {name.partition(".")[0] for name in absent}
    # A module whose name starts with _ is part of another library: scikit-learn 1.8 has one named _loss.
    others = sorted(name for name in libraries - _INSPECTED_LIBRARIES if not name.startswith("_"))
    if others:
        return f"{says}Install the library that has the module {join_some(others)}"
    exact = [f"{library}=={then}" for library, then in saved_by.items() if then != version(library)]
    if not exact:
        return f"{says}Save the estimator again"
    return f"{says}Install {' '.join(exact)}, or save the estimator again with the installed versions"
