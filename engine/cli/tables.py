"""Frames on a terminal: tables that fit its width, numbers that people can read; or as JSON and CSV.

A pipe has 160 columns and no control characters. What does not fit is left out from the right and told, never wrapped
in the middle of a number. Names and categories come from data that nobody has vetted: their control characters
reach no terminal.
"""

import json
import re
import sys
from collections.abc import Mapping
from datetime import datetime
from typing import Any

import polars as pl
from pydantic_core import to_jsonable_python
from rich.cells import cell_len
from rich.console import Console
from rich.markup import escape
from rich.table import Table

from engine.cli.options import TableFormat
from engine.cli.output import COLOURS, WIDTH_IN_A_PIPE

NARROW = (14, 24)
"""A text can do with this many columns of the terminal; with so many where its words are longer."""

GAP = "  "
"""What is left free beside a column."""

_CONTROL = re.compile(r"[\x00-\x1f\x7f-\x9f]+")


class Page:
    """What a verb prints, put together piece by piece."""

    def __init__(self) -> None:
        self._console = Console(highlight=False, width=None if sys.stdout.isatty() else WIDTH_IN_A_PIPE)
        self._console.begin_capture()

    def title(self, text: str) -> None:
        """Add a title, after an empty line."""
        self._console.print(f"\n[bold]{escape(clean(text))}[/]")

    def line(self, text: str, *, style: str | None = None) -> None:
        """Add a line of text, wrapped between words."""
        table = Table(box=None, pad_edge=False, show_header=False)
        table.add_row(" ", escape(clean(text)), style=style)
        self._console.print(table)

    def raw(self, text: str) -> None:
        """Add a line as it is, however long."""
        self._console.print(escape(clean(text)), soft_wrap=True)

    def facts(self, facts: Mapping[str, str]) -> None:
        """Add facts by name; those that are empty are left out."""
        table = Table(box=None, pad_edge=False, show_header=False)
        for name, fact in facts.items():
            if fact:
                table.add_row(" ", f"[dim]{escape(name)}[/]", escape(clean(fact)))
        self._console.print(table)

    def table(self, frame: pl.DataFrame, headers: Mapping[str, str] | None = None, *, empty: str = "none") -> None:
        """Add the columns of a frame that `headers` names, called as it says; those without any value are left out."""
        headers = headers or {name: name for name in frame.columns}
        if frame.is_empty():
            self.line(empty, style="dim")
            return
        shown = [name for name in headers if name in frame.columns and frame[name].null_count() < frame.height]
        cells = {name: [cell(value) for value in frame[name]] for name in shown}
        natural = {name: max(map(cell_len, (headers[name], *cells[name]))) for name in shown}
        texts = {name for name in shown if frame[name].dtype == pl.String}
        needs = {
            name: min(natural[name], _narrow(headers[name], *cells[name])) if name in texts else natural[name]
            for name in shown
        }
        widths = _widths(needs, natural, self._console.width - len(GAP))
        table = Table(box=None, pad_edge=False, padding=(0, len(GAP), 0, 0))
        table.add_column(" ")
        for name, width in widths.items():
            header, justify = escape(clean(headers[name])), "left" if name in texts else "right"
            table.add_column(header, justify=justify, width=width, overflow="fold")  # type: ignore[arg-type] # of the two
        for row in zip(*(cells[name] for name in widths), strict=True):
            table.add_row("", *(f"[{COLOURS[text]}]{text}[/]" if text in COLOURS else escape(text) for text in row))
        self._console.print(table)
        if left_out := [headers[name] for name in shown if name not in widths]:
            self.line(f"no room for {', '.join(left_out)}: they are in --format csv and json", style="dim")

    def print(self) -> None:
        """Print the page to standard output."""
        print("\n".join(line.rstrip() for line in self._console.end_capture().strip("\n").splitlines()))


def _narrow(*texts: str) -> int:
    """Return the width in which texts can be wrapped, between words if those are not too long."""
    low, high = NARROW
    return min(high, max(low, *(cell_len(word) for text in texts for word in text.split())))


def _widths(needs: Mapping[str, int], natural: Mapping[str, int], room: int) -> dict[str, int]:
    """Return the widths of as many columns, from the left, as there is room for, at least one; spare room is shared.

    rich's own widths take from the widest column what another needs, down to the middle of its words and numbers.
    """
    widths: dict[str, int] = {}
    for name, need in needs.items():
        if need + len(GAP) > room and widths:
            break
        widths[name] = min(need, max(room, 1))
        room -= need + len(GAP)
    for place, name in enumerate(sorted(widths, key=lambda name: natural[name] - widths[name])):
        more = max(0, min(natural[name] - widths[name], room // (len(widths) - place)))
        widths[name] += more
        room -= more
    return widths


def cell(value: Any) -> str:
    """Return a value as a table shows it."""
    if value is None:
        return "-"
    if isinstance(value, bool):
        return "yes" if value else "no"
    if isinstance(value, int | float):
        return number(value)
    return f"{value:%Y-%m-%d %H:%M}" if isinstance(value, datetime) else clean(str(value))


def number(value: float) -> str:
    """Return a number with four significant digits; a whole one, or one of a thousand and more, without a fraction."""
    whole = abs(value) < 1e15 and (abs(value) >= 1000 or value == int(value))
    return f"{value:,.0f}" if whole else f"{value:.4g}"


def clean(text: str) -> str:
    """Return a text on one line, without control characters."""
    return _CONTROL.sub(" ", text)


def data(frame: pl.DataFrame, format_: TableFormat) -> str:
    """Return a frame as CSV or as a JSON list of rows."""
    if format_ == "csv":
        return frame.write_csv(datetime_format="%Y-%m-%dT%H:%M:%S%.6fZ").removesuffix("\n")
    return as_json(records(frame))


def records(frame: pl.DataFrame) -> list[dict[str, Any]]:
    """Return a frame's rows."""
    return frame.to_dicts()


def as_json(value: Any) -> str:
    """Return records, frozen data and what they are made of as JSON; an infinite number is null."""
    return json.dumps(to_jsonable_python(value, inf_nan_mode="null"), ensure_ascii=False, indent=1, allow_nan=False)
