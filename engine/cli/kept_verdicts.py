"""Cache the verdict on a spec in the user's cache folder until something on which it depends has changed.

Most of the time of `engine validate` is the import of the spec language. So a verdict is stored with everything on
which it depends: the arguments and the working directory, the facts observed while the spec was read
(`engine.spec.observations`), and the files of all loaded modules. Each of them is checked before a stored verdict is
used. A verdict is not stored if one of them could not be checked, or if its texts contain a value from outside the
spec.
"""

import hashlib
import json
import os
import sys
from collections.abc import Callable, Mapping, Sequence
from contextlib import suppress
from dataclasses import asdict, dataclass
from datetime import date, datetime
from pathlib import Path
from typing import Any

from engine import __version__
from engine.cli import STARTED_NS
from engine.errors import Diagnostic, Position, Severity
from engine.file_identity import FileIdentity
from engine.spec.observations import Observations, collect_observations, look_again
from engine.user_cache import keep_bytes, read_kept

MOST_VERDICTS = 200
"""Maximum number of stored verdicts; if there are more, the older half is removed."""
MOST_BYTES = 1 << 18
"""Maximum size of a stored verdict, in bytes."""

_KIND = "verdicts"
_LAYOUT = 1
"""The version of the file format."""


@dataclass(frozen=True, slots=True)
class Verdict:
    """The output of `engine validate` for one spec: its problems, what it switches off, and whether it is invalid."""

    found: tuple[Diagnostic, ...]
    inactive: tuple[str, ...]
    wrong: bool


@dataclass(frozen=True, slots=True)
class Question:
    """The input of a verdict: a spec, the given values of variables, and the `--as-of` moment."""

    path: Path
    variables: Mapping[str, str]
    as_of: date | datetime | None


def find_kept_verdict(question: Question) -> Verdict | None:
    """Return the stored verdict; None if there is none, or if it may have changed."""
    with suppress(OSError, ValueError, KeyError, TypeError):  # it is damaged, or a dependency cannot be checked
        kept = read_kept(_KIND, _name_file(question))
        return None if kept is None else _read_verdict(kept, question)
    return None


def keep_verdict(question: Question, judge: Callable[[], Verdict]) -> Verdict:
    """Return the verdict computed by `judge`, and store it if possible."""
    with collect_observations() as observations:
        verdict = judge()
    if observations.complete and not _shows_values(verdict, observations, question):
        with suppress(OSError):
            _write_verdict(question, verdict, observations)
    return verdict


def _name_file(question: Question) -> str:
    """Return the file name of a verdict: a digest of the question without values of variables, and of Python.

    Raises
    ------
    OSError
        There is no working directory.
    """
    asked = [_LAYOUT, __version__, str(question.path), repr(question.as_of), str(Path.cwd()), sys.path]
    built = [sys.version, sys.executable, sys.prefix, repr(sys.flags), sys.warnoptions, sys.getfilesystemencoding()]
    return hashlib.sha256(json.dumps([asked, built]).encode()).hexdigest()


def _read_verdict(kept: bytes, question: Question) -> Verdict | None:
    """Return the verdict in the bytes of a file; None if they are damaged or something has changed.

    Raises
    ------
    OSError, ValueError, KeyError, TypeError
        It cannot be determined.
    """
    digest, _, content = kept.partition(b"\n")
    if digest != hashlib.sha256(content).hexdigest().encode():
        return None
    document = json.loads(content)
    salt = bytes.fromhex(document["salt"])
    if document["given"] != _digest_variables(question, salt):
        return None
    if document["code"] != _digest_code(document["folders"], None):
        return None
    if any(_digest(look_again(kind, what), salt) != found for kind, what, found in document["facts"]):
        return None
    found = tuple(_read_diagnostic(one) for one in document["found"])
    return Verdict(found, tuple(document["inactive"]), document["wrong"])


def _write_verdict(question: Question, verdict: Verdict, observations: Observations) -> None:
    salt = os.urandom(16)
    folders = _list_code()
    code = _digest_code(folders, STARTED_NS)
    if code is None:
        return
    facts = [(kind, what, _digest(found, salt)) for (kind, what), found in observations.facts.items()]
    record: dict[str, Any] = {"salt": salt.hex(), "given": _digest_variables(question, salt), "facts": facts}
    content = json.dumps({**record, "folders": folders, "code": code, **asdict(verdict)}).encode()
    if len(content) <= MOST_BYTES:
        keep_bytes(
            _KIND, _name_file(question), hashlib.sha256(content).hexdigest().encode() + b"\n" + content, MOST_VERDICTS
        )


def _shows_values(verdict: Verdict, observations: Observations, question: Question) -> bool:
    """Return whether the texts of a verdict contain a value of a variable, which may be secret whatever its name."""
    values = [*question.variables.values()]
    values += [os.fsdecode(found) for (kind, _), found in observations.facts.items() if kind == "variable" and found]
    if not values:
        return False
    from engine.spec.secrets.redaction import Redactor

    redactor = Redactor()
    for value in values:
        redactor.add(value)
    texts = [text for one in verdict.found for text in (one.message, one.help) if text]
    return any(redactor.redact(text) != text for text in (*texts, *verdict.inactive))


def _digest(found: bytes | None, salt: bytes) -> str | None:
    """Return the digest of what was found. The salt hides that two files contain the same value."""
    return None if found is None else hashlib.blake2b(found, key=salt, digest_size=32).hexdigest()


def _digest_variables(question: Question, salt: bytes) -> str | None:
    return _digest(json.dumps([*question.variables.items()]).encode(), salt)


def _list_code() -> dict[str, list[str]]:
    """Return the files of all loaded modules, by folder, and the folders in which modules are searched."""
    folders: dict[str, list[str]] = {one or ".": [""] for one in sys.path}
    for module in list(sys.modules.values()):
        file = getattr(module, "__file__", None)
        if isinstance(file, str):
            folder, name = os.path.split(file)
            folders.setdefault(folder, []).append(name)
    return folders


def _digest_code(folders: Mapping[str, Sequence[str]], settled_at: int | None) -> str | None:
    """Return a digest of the states of files; None if one may have changed since the process was started.

    An installation changes the folder of the package, and an edit changes the file of the module.

    Raises
    ------
    OSError
        A module has no file of its own, or its file was removed.
    """
    states: list[FileIdentity | None] = []
    for folder, names in folders.items():
        for name in names:
            try:
                identity = FileIdentity.from_stat(os.stat(os.path.join(folder, name)))  # noqa: PTH116, PTH118  quicker
            except FileNotFoundError:
                if name:
                    raise
                states.append(None)  # a folder of the search path that does not exist
                continue
            if settled_at is not None and not identity.is_settled(settled_at):
                return None
            states.append(identity)
    return hashlib.sha256(json.dumps(states).encode()).hexdigest()


def _read_diagnostic(found: Mapping[str, Any]) -> Diagnostic:
    position, also = Position(**found["position"]), found["also"] and Position(**found["also"])
    return Diagnostic(position, found["code"], found["message"], found["help"], Severity(found["severity"]), also)
