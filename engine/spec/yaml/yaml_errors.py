"""Plain-English messages for the syntax errors that libyaml reports.

A table maps phrases of libyaml to messages. An error that is not in the table keeps the message of libyaml.
"""

from collections.abc import Callable

import yaml

from engine.errors import Position
from engine.spec.diagnostics import Findings
from engine.spec.yaml.likely_mistakes import find_likely_mistake
from engine.spec.yaml.missing_colons import find_missing_colon

_EXPLANATIONS = [
    (
        "mapping values are not allowed",
        "this line has a second colon",
        'put a text that contains ": " in quotes, or check the indentation',
    ),
    (
        "did not find expected ',' or",
        "a comma or a closing bracket is missing before this place",
        'put a comma between two entries, and quotes around a text that contains [ ] { } , or ": "',
    ),
    (
        "did not find expected '-'",
        "an entry of the list, which starts with -, was expected here",
        "check the indentation",
    ),
    (
        "did not find expected key",
        "a key was expected here",
        "check the indentation, and the quotes and brackets above",
    ),
    (
        "did not find expected node content",
        "a value was expected here",
        "check for an unclosed bracket or a surplus comma",
    ),
    ("bracket is never closed", "this bracket is never closed", None),
    (
        "found unexpected end of stream",
        "this quote is never closed",
        "add the closing quote where the text ends; put a text that contains quotes into quotes of the other kind",
    ),
    (
        "unknown escape character",
        "unknown escape after \\ in a text with double quotes",
        "write \\\\ for a backslash, or use single quotes",
    ),
    (
        "block sequence entries are not allowed",
        "an entry of a list cannot start here",
        "put the - on a line of its own",
    ),
    ("block mapping entries are not allowed", "a key cannot start here", "put it on a line of its own"),
    ("found a tab character", "YAML does not allow a tab here", "indent with spaces"),
    ("document start", "the document ended before this", "check the indentation of this line"),
    ("directive", "this line is read as a YAML directive", "put a text that starts with % in quotes"),
    (
        "did not find expected alphabetic",
        "a text cannot start with * or & without quotes",
        'put the text in quotes, as in "*.parquet"',
    ),
    ("duplicate anchor", "this anchor is used twice", None),
    ("anchor", "this is not a valid anchor", "put a text that starts with & or * in quotes"),
    ("alias", "this is not a valid alias", "put a text that starts with & or * in quotes"),
    ("tag", "this is not a valid tag", "put a text that starts with ! in quotes"),
    ("expected '!'", "this is not a valid tag", "put a text that starts with ! in quotes"),
    ("expected '>'", "this is not a valid tag", "put a text that starts with ! in quotes"),
    ("URI", "this is not a valid tag", "put a text that starts with ! in quotes"),
    ("non-alphabetical", "this line is read as a YAML directive", "put a text that starts with % in quotes"),
    ("expected whitespace", "a space is missing before this", "put a text that starts with ! or % in quotes"),
    ("incompatible YAML document", "this version of YAML is not supported", "remove this line"),
    ("version number", "this is not a version of YAML", "remove this line"),
    ("digit or '.'", "this is not a version of YAML", "remove this line"),
    ("Unicode character escape", "this escape is not the code of a character", "write the character itself"),
    ("hexdecimal", "\\x, \\u and \\U take 2, 4 and 8 hexadecimal digits", "for a backslash write \\\\"),
    (
        "unexpected ':'",
        "inside { } and [ ] a colon needs a space after it",
        "put a text that contains a colon in quotes",
    ),
    ("mapping keys are not allowed", "a key cannot start here", "put a text that starts with ? in quotes"),
    ("document indicator", "a line inside a quoted text cannot start with --- or ...", "indent that line"),
    ("comment or line break", "only a comment or the end of the line may follow here", None),
    ("indentation indicator", "the number after | or > must be 1 to 9", "remove the number"),
]


def explain_yaml_error(
    problem: yaml.YAMLError, text: str, place: Callable[[int, int | None], Position], findings: Findings
) -> None:
    """Add a finding with the error in the YAML, its place, and what to do."""
    mark = getattr(problem, "problem_mark", None)
    words = str(getattr(problem, "problem", None) or problem)
    at = min(mark.index, len(text)) if mark else 0
    # What is never closed is noticed at the end of the file, but the place to correct is where it was opened.
    opened = getattr(problem, "context_mark", None)
    if opened and ("end of stream" in words or not text[at:].strip()):
        at = opened.index
        words = "bracket is never closed" if text[at : at + 1] in ("[", "{") else words
    if mistake := find_likely_mistake(text, words, at, opened.index if opened else None):
        findings.error(place(mistake.start, mistake.end), "yaml", mistake.message, mistake.help)
        return
    noticed = opened.index if opened and "could not find expected ':'" in words else at
    if ("expected ':'" in words or "mapping values" in words) and (found := find_missing_colon(text, noticed)):
        start, help_ = found
        findings.error(place(start, None), "yaml", "a colon is missing in this line", help_)
        return
    position = place(at, None)
    # Inside { } and [ ], libyaml takes the braces of an unquoted ${name} for a mapping.
    if text[at - 1 : at + 1] == "${" or (text[at : at + 1] == "}" and "${" in text[text.rfind("\n", 0, at) + 1 : at]):
        start = text.rfind("${", 0, at + 1)
        end = text.find("}", start)
        reference = text[start : end + 1] if 0 < end - start < 80 else "${…}"
        findings.error(
            place(start, start + len(reference)),
            "yaml-quote",
            f"{reference} must be in quotes inside {{ }} and [ ]",
            f'write "{reference}"; if the text has more parts, put all of it in quotes',
        )
        return
    if "cannot start any token" in words:
        character = text[at : at + 1]
        if character == "\t":
            words, help_ = "YAML does not allow a tab here", "indent with spaces"
        else:
            words, help_ = f"a text cannot start with {character} without quotes", "put the text in quotes"
        findings.error(position, "yaml", words, help_)
        return
    before = text[text.rfind("\n", 0, at) + 1 : at].rstrip()
    if "did not find expected key" in words and before.endswith(('"', "'")):
        message = "a text that starts with a quote ends at the next one, but more follows"
        findings.error(position, "yaml-quote", message, "put all of it into quotes, single ones around double ones")
        return
    for theirs, ours, help_or_none in _EXPLANATIONS:
        if theirs in words:
            findings.error(position, "yaml", ours, help_or_none)
            return
    findings.error(position, "yaml", f"this is not valid YAML: {words}")
