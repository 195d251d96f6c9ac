"""Warnings of texts that are taken literally, but were probably meant as quotes or as variables.

Nothing is wrong with such a text in itself: a file may be called `{{ as_of }}.csv`. So these are warnings, and they do
not repeat the text, which may be an address with a password.
"""

import re

from engine.spec.diagnostics import Findings
from engine.spec.rules.draft import Draft
from engine.spec.rules.messages import MESSAGE_NAMES
from engine.spec.variables.moment import FIRE_NAMES, MOMENT_NAMES
from engine.spec.yaml.yaml_tree import walk_scalars

_TYPOGRAPHIC_QUOTES = re.compile("[\u2018-\u201f\u2039\xab].*[\u2018-\u201f\u203a\xbb]", re.DOTALL)
"""Single and double ones in the forms 6, 9 and 66, 99, and as pointed brackets."""

_PROSE = frozenset({"description", "release_notes", "subject", "message"})
"""Keys of texts for people, which may be in any quotes."""

_FOREIGN_REFERENCE = re.compile(
    r"(?<!\$)\{\{-?\s*(?P<template>[A-Za-z_]\w*)[^{}]*\}\}"
    r"|(?<![{$])\{(?P<braces>\w+)\}|(?<!\$)\$(?P<dollar>\w+)|%\((?P<percent>\w+)\)s"
)
"""How Jinja, Python and the shell write variables."""

_WITH_OWN_NOTATION = frozenset({"argv", "run_condition"})
"""Keys of texts in which these notations are allowed, or are errors for another rule."""


def warn_about_foreign_quotes(draft: Draft, findings: Findings) -> None:
    """Warn about texts in typographic quotes without real ones around them: the quotes are part of the text."""
    for key, node in walk_scalars(draft.files.root):
        if not node.quote and key not in _PROSE and _TYPOGRAPHIC_QUOTES.fullmatch(node.text):
            message = f"the quotes {node.text[0]} and {node.text[-1]} are part of this text: YAML only knows \" and '"
            help_ = "write \" at both ends; to keep these quotes, write ' around them"
            findings.warning(node.position, "typographic-quote", message, help_)


def warn_about_foreign_references(draft: Draft, findings: Findings) -> None:
    """Warn about variables in the notation of other tools; one that may mean something else must have a known name."""
    known = {*MOMENT_NAMES, *FIRE_NAMES, *MESSAGE_NAMES, *draft.declared_names("variables")}
    for key, node in walk_scalars(draft.files.root):
        for found in _FOREIGN_REFERENCE.finditer(node.text) if key not in _WITH_OWN_NOTATION else ():
            name = found[found.lastgroup or 0]
            if name in known or found["template"]:
                at = node.position_of(found.start(), len(found[0]))
                message = f"{found[0][:60]} is not filled in: only ${{…}} is"
                help_ = f"write ${{{name}}}" if name in known else f"declare a variable, and write ${{{name}}}"
                findings.warning(at, "foreign-reference", message, help_)
