"""What libyaml complains about, in the words of somebody who writes a spec.

One table from libyaml's phrases to ours; what it does not know is passed on with libyaml's own words.
"""

from collections.abc import Callable

import yaml

from engine.errors import Position
from engine.spec.diagnostics import Findings

_WORDS = [
    (
        "mapping values are not allowed",
        "a second colon on this line",
        'quote a text that holds ": "; or check the indentation',
    ),
    ("did not find expected ',' or", "a comma or a closing bracket is missing before this", None),
    ("did not find expected '-'", "a list item that starts with - was expected here", "check the indentation"),
    ("did not find expected key", "a key was expected here", "check the indentation, quotes and brackets above"),
    (
        "did not find expected node content",
        "a value was expected here",
        "is a bracket not closed, or a comma too many?",
    ),
    ("bracket is never closed", "this bracket is never closed", None),
    ("found unexpected end of stream", "this quote is never closed", None),
    ("could not find expected ':'", "a colon is missing after this key", None),
    (
        "unknown escape character",
        "unknown escape after \\ in a text in double quotes",
        "write \\\\ or use single quotes",
    ),
    ("block sequence entries are not allowed", "a list item cannot start here", "put the - on a line of its own"),
    ("block mapping entries are not allowed", "a key cannot start here", "put it on a line of its own"),
    ("found a tab character", "a tab stands where YAML wants spaces", "indent with spaces"),
    ("document start", "the document ended before this", "check the indentation of this line"),
    ("directive", "this line is read as a YAML directive", "quote a text that starts with %"),
    (
        "did not find expected alphabetic",
        "a text cannot start with * or & without quotes",
        'quote the text: "*.parquet"',
    ),
    ("duplicate anchor", "this anchor is used twice", None),
    ("anchor", "this is not a legal anchor", "quote a text that starts with & or *"),
    ("alias", "this is not a legal alias", "quote a text that starts with & or *"),
    ("tag", "this is not a legal tag", "quote a text that starts with !"),
    ("expected '!'", "this is not a legal tag", "quote a text that starts with !"),
    ("expected '>'", "this is not a legal tag", "quote a text that starts with !"),
    ("URI", "this is not a legal tag", "quote a text that starts with !"),
    ("non-alphabetical", "this line is read as a YAML directive", "quote a text that starts with %"),
    ("expected whitespace", "a space is missing before this", "quote a text that starts with ! or %"),
    ("incompatible YAML document", "this version of YAML is not supported", "remove this line"),
    ("version number", "this is not a version of YAML", "remove this line"),
    ("digit or '.'", "this is not a version of YAML", "remove this line"),
    ("Unicode character escape", "this escape does not stand for a character", "write the character itself"),
    ("hexdecimal", "\\x, \\u and \\U take 2, 4 and 8 hexadecimal digits", "write \\\\ or use single quotes"),
    (
        "unexpected ':'",
        "inside { } and [ ] a colon needs a space after it",
        "quote a text that holds a colon",
    ),
    ("mapping keys are not allowed", "a key cannot start here", "quote a text that starts with ?"),
    ("document indicator", "a line of a quoted text starts with --- or ...", "indent that line"),
    ("comment or line break", "only a comment or the end of the line may follow here", None),
    ("indentation indicator", "the number after | or > is 1 to 9", "leave the number out"),
]


def explain(
    problem: yaml.YAMLError, text: str, place: Callable[[int, int | None], Position], findings: Findings
) -> None:
    """Add a finding that says what is wrong with the YAML and what to do."""
    mark = getattr(problem, "problem_mark", None)
    words = str(getattr(problem, "problem", None) or problem)
    at = min(mark.index, len(text)) if mark else 0
    opened = getattr(problem, "context_mark", None)
    if opened and ("end of stream" in words or not text[at:].strip()):
        at = opened.index
        words = "bracket is never closed" if text[at : at + 1] in ("[", "{") else words
    position = place(at, None)
    if text[at - 1 : at + 1] == "${" or (text[at : at + 1] == "}" and "${" in text[text.rfind("\n", 0, at) + 1 : at]):
        start = text.rfind("${", 0, at + 1)
        end = text.find("}", start)
        reference = text[start : end + 1] if 0 < end - start < 80 else "${…}"
        findings.error(
            place(start, start + len(reference)),
            "yaml-quote",
            f"{reference} must be quoted inside {{ }} and [ ]",
            f'quote it: "{reference}" (the whole text, if there is more)',
        )
        return
    if "cannot start any token" in words:
        character = text[at : at + 1]
        if character == "\t":
            words, help_ = "a tab stands where YAML wants spaces", "indent with spaces"
        else:
            words, help_ = f"a text cannot start with {character} without quotes", "quote the text"
        findings.error(position, "yaml", words, help_)
        return
    for theirs, ours, help_or_none in _WORDS:
        if theirs in words:
            findings.error(position, "yaml", ours, help_or_none)
            return
    findings.error(position, "yaml", f"this is not YAML: {words}")
