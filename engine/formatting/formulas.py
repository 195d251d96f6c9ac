"""Protect texts that a spreadsheet would run as a formula.

Names of categories and columns come from untrusted data. A spreadsheet takes a cell that begins with =, +, -, @, a tab
or a line break for a formula, which may send the sheet away or start a program (OWASP, "CSV Injection"). As advised
there, an apostrophe is put before it. Numbers are not changed, even if they are text.
"""

import re

FORMULA = r"^\s*[=+\-@" + "\uff1d\uff0b\uff0d\uff20" + r"\t\r\n]"
NUMBER = r"^\s*[+-]?[0-9.,]*[0-9][0-9.,]*([eE][+-]?[0-9]+)?\s?%?\s*$"


def is_formula(text: str) -> bool:
    """Return whether a spreadsheet would take a text for a formula."""
    return bool(re.search(FORMULA, text)) and not re.search(NUMBER, text)
