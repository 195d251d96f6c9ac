"""Messages for mistakes in the arguments of a command, instead of those of the library."""

import re
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any

from engine.formatting.hints import suggest_name
from engine.formatting.lists import join_words

if TYPE_CHECKING:
    import typer

_NUMBERS = {
    r"must be a valid integer.*": "expected a whole number",
    r"must be a valid number.*": "expected a number",
    r"must be ((?:greater|less) than(?: or equal to)? \S+)": r"expected a number \1",
}
"""The library's messages for a value that is not a number or out of range, and their replacements."""


@contextmanager
def report_write_errors(folder: Path, argument: str) -> Iterator[None]:
    """Turn an OSError into an error of the argument that names the folder to write to."""
    import typer

    try:
        yield
    except OSError as error:
        what = error.filename or folder
        raise typer.BadParameter(f"{what} cannot be written: {error.strerror}", param_hint=argument) from error


def describe_mistake(mistake: "typer.TyperException", arguments: list[str]) -> str:
    """Return what is wrong with the arguments of a command, and what to write instead.

    Parameters
    ----------
    arguments
        The command's arguments, among which the wrong one is searched.
    """
    context: Any = getattr(mistake, "ctx", None)
    if mistake.format_message().startswith(("Missing argument", "Missing option")):
        return _describe_missing(mistake, getattr(mistake, "param", None))
    if unknown := getattr(mistake, "option_name", None) if mistake.message.startswith("No such option") else None:
        return f"there is no option {unknown}{suggest_name(unknown, _list_options(context))}"
    if found := re.fullmatch(r"No such command '(.*?)'\..*", mistake.message):
        known = context.command.list_commands(context)
        return f"there is no command {found[1]!r}{suggest_name(found[1], known)}"
    if mistake.message == "Missing command.":
        return f"a command is missing: {join_words(context.command.list_commands(context), 'or')}"
    if found := re.fullmatch(r"Got unexpected extra arguments?(?:\(s\))? \((.*)\)", mistake.message):
        return f"too many arguments: {found[1]}"
    if found := re.fullmatch(r"Option '(.*)' requires an argument\.", mistake.message):
        return f"{found[1]} needs a value"
    return _describe_wrong_value(mistake, arguments)


def _describe_missing(mistake: "typer.TyperException", parameter: Any) -> str:
    """Return which argument or option is missing, its meaning, and its possible values if it is a choice."""
    name = parameter.get_error_hint().strip("'")
    about = f" ({parameter.help[0].lower()}{parameter.help[1:].rstrip('.')})" if parameter.help else ""
    choices = " ".join(mistake.format_message().partition("Choose from:")[2].split())
    return f"{name} is missing{about}{f'; choose from {choices}' if choices else ''}"


def _list_options(context: Any) -> list[str]:
    """Return the options of a command that begin with two dashes."""
    names = [name for one in context.command.get_params(context) for name in (*one.opts, *one.secondary_opts)]
    return [name for name in names if name.startswith("--")]


def _describe_wrong_value(mistake: "typer.TyperException", arguments: list[str]) -> str:
    text = mistake.format_message().replace("Value error, ", "").replace("Input should be", "must be")
    text = re.sub(r"^Invalid value(?: for '?([^:']*)'?)?: ", lambda found: f"{found[1]}: " if found[1] else "", text)
    text = text.removesuffix(".")
    name, _, said = text.partition(": ")
    for pattern, instead in _NUMBERS.items():
        if re.fullmatch(pattern, said):
            return f"{name}: {re.sub(pattern, instead, said)}, found {_find_value(name, arguments)!r}"
    return text


def _find_value(option: str, arguments: list[str]) -> str:
    """Return the value of an option among arguments: `--last 3` or `--last=3`."""
    for before, after in zip(["", *arguments], arguments, strict=False):
        if before == option:
            return after
        if after.startswith(f"{option}="):
            return after.partition("=")[2]
    return ""
