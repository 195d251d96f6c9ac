"""Caches the results of parsing a text in the user's cache folder, by the hash of the text.

Importing sqlglot and parsing take most of the time of a short command. The results depend only on the text, the
installed sqlglot and this code. So all of these are in the hash, and a cached result is never out of date.
"""

import hashlib
import json
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from contextvars import ContextVar
from functools import cache
from importlib.util import find_spec
from pathlib import Path
from typing import Any

from engine.file_identity import FileIdentity
from engine.user_cache import keep_bytes, read_kept

MOST_ANSWERS = 2_000
"""Most cached results, about 2 MB; above it, the older half is removed."""


_may_parse = ContextVar("_may_parse", default=True)


class AnswerNotKeptError(Exception):
    """The result is not cached, and this process must not compute it."""


@contextmanager
def refuse_parsing() -> Iterator[None]:
    """Raise AnswerNotKeptError in the block instead of parsing, which takes 10 MB of memory permanently."""
    token = _may_parse.set(False)
    try:
        yield
    finally:
        _may_parse.reset(token)


def keep_answer(question: str, text: str, find: Callable[[], Any]) -> Any:
    """Return the JSON result of `find` for a question about a text, or the cached one.

    A failure of the cache, such as a read-only or full folder or a damaged file, costs only time.

    Raises
    ------
    AnswerNotKeptError
        The result is not cached, and parsing is refused here.
    """
    hashed = hashlib.sha256(json.dumps([question, text, _describe_code()]).encode("utf-8", "surrogatepass")).hexdigest()
    name = f"{hashed}.json"
    kept = read_kept("sql", name)
    if kept is not None:
        with suppress(ValueError):  # it is damaged
            return json.loads(kept)
    if not _may_parse.get():
        raise AnswerNotKeptError
    answer = find()
    keep_bytes("sql", name, json.dumps(answer).encode(), MOST_ANSWERS)
    return answer


@cache
def _describe_code() -> list[object]:
    """Return the inputs of a result besides the text."""
    found = find_spec("sqlglot")
    parser = FileIdentity.from_stat(Path(found.origin).stat()) if found and found.origin else ()
    sources = sorted(Path(__file__).parent.glob("*.py"))
    return [parser, hashlib.sha256(b"\0".join(path.read_bytes() for path in sources)).hexdigest()]
