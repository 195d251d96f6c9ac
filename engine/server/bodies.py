"""Reads the body of a request, a JSON object or a form, with limits for size and time."""

import asyncio
import json
import math
from typing import Any
from urllib.parse import parse_qsl

from starlette.requests import ClientDisconnect, Request

from engine.server.answers import AnswerError

BODY_BYTES = 65_536
BODY_SECONDS = 10.0
MOST_FIELDS = 500
"""Most fields of a form."""
CLOSE = {"connection": "close"}
"""Header that closes the connection, so that the rest of an unread body is not taken for the next request."""


async def read_body(request: Request, limit: int = BODY_BYTES) -> dict[str, Any]:
    """Return the JSON object in the body of a request, of at most `limit` bytes; an empty one if the body is empty.

    Raises
    ------
    AnswerError
        The body is too large or too slow, is not JSON, or is not an object.
    """
    raw = await _read_bytes(request, limit)
    if not raw:
        return {}
    if _find_kind(request) != "application/json":
        raise AnswerError(415, "the body is not declared to be JSON", "send it with Content-Type: application/json")
    return parse_object(raw)


async def read_form(request: Request) -> dict[str, str]:
    """Return the fields of a page's form; a repeated field has its last value. Raises AnswerError."""
    raw = await _read_bytes(request, BODY_BYTES)
    if raw and _find_kind(request) != "application/x-www-form-urlencoded":
        raise AnswerError(415, "the body is not that of a form of a page")
    try:
        return dict(parse_qsl(raw.decode("ascii"), keep_blank_values=True, errors="strict", max_num_fields=MOST_FIELDS))
    except ValueError:
        raise AnswerError(400, "the body is not that of a form of a page") from None


def _find_kind(request: Request) -> str:
    return request.headers.get("content-type", "").partition(";")[0].strip().lower()


async def _read_bytes(request: Request, limit: int) -> bytes:
    try:
        async with asyncio.timeout(BODY_SECONDS):
            return await _collect_body(request, limit)
    except TimeoutError:
        raise AnswerError(408, f"the body did not arrive within {BODY_SECONDS:g} s", headers=CLOSE) from None
    except ClientDisconnect:
        raise AnswerError(400, "the connection was closed before the end of the body") from None


async def _collect_body(request: Request, limit: int) -> bytes:
    declared = request.headers.get("content-length", "")
    raw = b""
    if not declared.isdecimal() or int(declared[:20]) <= limit:
        async for part in request.stream():
            raw += part
            if len(raw) > limit:
                break
        else:
            return raw
    raise AnswerError(413, "the body is too large", f"at most {limit} bytes are read", CLOSE)


def parse_object(raw: bytes) -> dict[str, Any]:
    """Parse a JSON object; raise AnswerError if the bytes are not one.

    Repeated keys, numbers that are not finite, text that is not UTF-8 and lone surrogates are refused, because other
    parsers would interpret them differently.
    """
    try:
        found = json.loads(
            raw.decode("utf-8"),
            object_pairs_hook=_take_pairs,
            parse_constant=_refuse_constant,
            parse_float=_read_finite,
        )
        json.dumps(found, ensure_ascii=False).encode("utf-8")
    except RecursionError:
        raise AnswerError(400, "the body is nested too deeply") from None
    except UnicodeEncodeError:
        raise AnswerError(400, "the body has an incomplete character, such as \\ud800 without its other half") from None
    except UnicodeDecodeError as problem:
        raise AnswerError(400, f"the body is not UTF-8: byte {problem.start}") from None
    except json.JSONDecodeError as problem:
        raise AnswerError(400, f"the body is not valid JSON: {problem}") from None
    except ValueError as problem:
        raise AnswerError(400, f"the body cannot be read: {str(problem)[:200]}") from None
    if not isinstance(found, dict):
        raise AnswerError(400, "the body is not a JSON object", 'write {"key": value, …}')
    return found


def check_keys(body: dict[str, Any], allowed: tuple[str, ...]) -> None:
    """Raise AnswerError if a body has keys that are not allowed."""
    if unknown := sorted(body.keys() - set(allowed)):
        known = f"the keys are {', '.join(allowed)}" if allowed else "the body has no keys"
        raise AnswerError(422, f'there is no key "{unknown[0][:60]}"', known)


def _take_pairs(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    found = dict(pairs)
    if len(found) < len(pairs):
        names = [name for name, _ in pairs]
        twice = next(name for name in names if names.count(name) > 1)
        raise ValueError(f'the key "{twice[:60]}" is given twice')
    return found


def _refuse_constant(text: str) -> float:
    raise ValueError(f"{text} is not a number of JSON")


def _read_finite(text: str) -> float:
    number = float(text)
    if not math.isfinite(number):
        raise ValueError(f"the number {text[:20]} is too large")
    return number
