"""Masks secrets written into a spec by mistake, recognised by their key or their form.

`Redactor` masks known values. Here the values are unknown: a password is under an unknown key, a token in another
section, or the YAML is invalid. So lines are masked as text.

**What is not shown.** Anywhere: a value whose key is called as secrets are, and what looks like a token. In a section
that can hold secrets also the value of an unknown key, and a wrong value of a known one, unless it is harmless: a
number of at most six digits, a duration, a share, true or false, or a word of the language, also one that is spelt
wrong. A list in place of a text is not shown at all, and of a wrong URL only its scheme and host.
In `secrets` itself nothing is harmless.
"""

import re
from collections import Counter
from collections.abc import Collection
from math import log2

_NAMES = re.compile(
    r"passw|pwd|passphrase|secret|token|authorization|api_?key|access_?key|private_?key|credential",
    re.IGNORECASE,
)
_WORDS = ("password", "passphrase", "secret", "token", "credentials", "authorization")
_SECTIONS = ("secrets", "connections", "channels", "infrastructures", "registry", "server")
"""The sections that can hold secrets."""
_HARMLESS = re.compile(
    r"""["']?(?:[-+]?[0-9]{1,6}(?:[.,][0-9]{1,6})?\s?(?:%|ms|s|secs?|m|mins?|h|hrs?|d|w|(?:second|minute|hour|day|week)s?)?"""
    r"""|true|false|yes|no|on|off|null|none|~)["']?(?:\s+\#.*)?""",
    re.IGNORECASE,
)
NOT_SHOWN = "a text that is not shown, as it may be a secret"
"""What a message says instead of such a value; the line of the spec that is shown beside it has stars there."""
_SOURCES = ("env", "file", "optional")
"""The keys of a secret that define the source of its value."""

_TOKENS = re.compile(
    r"\b(?:gh[opsur]_|github_pat_|glpat-|hf_|dckr_pat_|sk_live_|dapi)\w{16,}"
    r"|\b(?:sk|xox[a-z])-(?=[\w-]*[0-9])[\w-]{10,}"
    r"|\b(?:AKIA|ASIA)[A-Z0-9]{12,}|\beyJ[\w-]{10,}\.[\w-]+(?:\.[\w-]+)?"
    r"|-----BEGIN [A-Z ]*PRIVATE KEY-----.*"
)
"""Tokens that are recognizable by their prefix: those of code hosts, chats, clouds, registries, and JWT."""
_LOGIN = re.compile(r"(?<=://)[^\s/\"'$]+(?=@)")
_URL_BEGIN = re.compile(r"""["']?[\w+.-]+:/+(?:(?:localhost|(?:[\w-]+\.)+[\w-]+)(?::\d+)?(?![^/?#\s"']))?""")
"""The scheme of a URL, and a host with its port: of several parts, because the only part may be a token instead."""
_KEY = re.compile(r"""(?P<quote>["']?)(?P<key>[\w][\w .-]*)(?P=quote)\s*:(?=\s|$)\s*""")

_MOST_BITS = 3.0
"""Bits per character from which a long word with letters and digits may be a key."""


def may_be_secret(name: str, value: object, section: str = "") -> bool:
    """Return whether something of this name or value may be a secret: a password, a token, a URL with either.

    In a `section` of the spec that can hold secrets, any text may be one that is not harmless.
    """
    if section in _SECTIONS and isinstance(value, str) and (section == "secrets" or not _HARMLESS.fullmatch(value)):
        return True
    text = value if isinstance(value, str) else ""
    in_url = re.search(r"://[^/\s]*:[^/\s]*@|://hooks\.", text)
    keyed = re.search(r"(^|_|[a-z])key$", name, re.IGNORECASE) and re.search(r"[0-9]", text) and len(text) >= 8
    return bool(_NAMES.search(name) or in_url or keyed or _TOKENS.search(text) or _looks_random(text))


def find_sections_of_secrets(lines: list[str]) -> set[int]:
    """Return the numbers of the lines of a spec, from 1, that belong to a section that can hold secrets."""
    section, found = "", set()
    for number, line in enumerate(lines, start=1):
        if key := re.match(r"""["']?(\w+)["']?:""", line):
            section = key[1]
        if section in _SECTIONS:
            found.add(number)
    return found


def measure_public_part(value: str, kind: str) -> int:
    """Return how many characters of a wrong value may be shown: of a URL the scheme, host and port, of a header none.

    The rest of a URL may be a token or a login, and a value without a scheme may be one as a whole.
    """
    begin = _URL_BEGIN.match(value) if kind == "url" else None
    end = begin.end() if begin else 0
    return len(value) if value[end:] in ("'", '"') else end


def find_last_line(lines: list[str], line: int, start: int) -> int:
    """Return the index of the line in which the bracket at a place is closed; that line itself if there is none."""
    depth, place = 0, start
    for number in range(line, len(lines)):
        rest = lines[number][place:]
        depth += sum(map(rest.count, "[{")) - sum(map(rest.count, "]}"))
        if depth <= 0:
            return number
        place = 0
    return line


def mask_tokens(text: str) -> str:
    """Return a text with tokens that have a known prefix masked."""
    return _TOKENS.sub(_write_stars, text)


def mask_lines(lines: list[str], unknown: Collection[tuple[int, int]]) -> list[str]:
    """Return the lines of a spec with possible secrets masked.

    Parameters
    ----------
    unknown
        Line and column, both from 1, of each key that the language does not have.
    """
    masked = [_LOGIN.sub(_write_stars, mask_tokens(line)) for line in lines]
    section, inner = "", 0  # `inner`: lines indented deeper are the rest of a secret value; 0 if there is none
    for place, line in enumerate(lines):
        indentation = len(line) - len(line.lstrip())
        if inner and (indentation >= inner or not line.strip()):
            masked[place] = line[:indentation] + "*" * len(line[indentation:])
            continue
        inner = 0
        if found := re.match(r"(\w+):", line):
            section = found[1]
        for found in _KEY.finditer(line):
            is_unknown = (place + 1, found.start() + 1) in unknown
            in_flow = "{" in line[: found.start()]
            end = _find_end(line, found.end(), in_flow=in_flow)
            value = line[found.end() : end].strip()
            if is_unknown:
                hidden = may_be_secret(found["key"], value, section) or _resembles_secret(found["key"])
            else:
                named = _NAMES.search(found["key"]) or (section == "secrets" and found["key"] not in _SOURCES)
                hidden = bool(named) and _is_whole_value(value)
            if not hidden:
                continue
            if not value.startswith(("${", "{}", "[]")):
                masked[place] = masked[place][: found.end()] + "*" * (end - found.end()) + masked[place][end:]
            if not in_flow and (is_unknown or value):
                inner = found.start() + 1
    return masked


def _is_whole_value(value: str) -> bool:
    """Return whether the value of a known key is no mapping: those say where a secret is."""
    return value[:1] not in ("{", "#", "")


def _find_end(line: str, start: int, *, in_flow: bool) -> int:
    """Return where the value that begins at `start` ends in its line."""
    quoted = re.compile(r"""\s*(?:"(?:\\.|[^"\\])*"|'(?:''|[^'])*')""").match(line, start)
    if quoted:
        return quoted.end()
    plain = re.compile(r"[^,}\]{\[]*" if in_flow else r".*").match(line, start)
    if in_flow and line[start : start + 1] in ("{", "["):
        return len(line)
    return plain.end() if plain else len(line)


def _resembles_secret(name: str) -> bool:
    """Return whether a name is one of a secret, spelt wrong."""
    from difflib import get_close_matches

    parts = re.split(r"[^a-z]+", name.lower())
    return any(get_close_matches(part, _WORDS, n=1, cutoff=0.75) for part in parts)


def _looks_random(text: str) -> bool:
    """Return whether a part of a text has letters and digits in a random order."""
    return any(
        len(part) >= 16
        and sum(one.isdigit() for one in part) >= 2
        and sum(one.isalpha() for one in part) >= 2
        and -sum(n / len(part) * log2(n / len(part)) for n in Counter(part).values()) >= _MOST_BITS
        for part in re.split(r"[^A-Za-z0-9]+", text)
    )


def _write_stars(found: re.Match[str]) -> str:
    return "*" * len(found[0])
