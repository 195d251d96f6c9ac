"""Renders results as tables that fit the terminal's width, with readable numbers; or as JSON and CSV.

A pipe counts as 160 columns wide. Columns that do not fit are left out from the right, with a remark; numbers are never
wrapped. Names and categories come from untrusted data, so control characters are removed before they are printed.
"""

import json
import sys
from collections.abc import Mapping
from datetime import datetime
from typing import Any

from pydantic_core import to_jsonable_python
from rich.cells import cell_len
from rich.console import Console
from rich.markup import escape
from rich.table import Table

from engine.api.result_table import ResultTable
from engine.cli.json_output import print_json
from engine.cli.options import TableFormat
from engine.cli.output import WIDTH_IN_A_PIPE
from engine.formatting.control_characters import remove_controls, single_line
from engine.formatting.numbers import format_cell, format_interval
from engine.formatting.palette import TERMINAL_COLOURS

TEXT_WIDTHS = (14, 24)
"""Minimum widths of a text column; the second one if its words are that long."""

COLUMN_GAP = "  "
"""The space after a column."""


class Page:
    """The output of a verb, built from titles, lines and tables."""

    def __init__(self) -> None:
        self._console = Console(highlight=False, width=None if sys.stdout.isatty() else WIDTH_IN_A_PIPE)
        self._console.begin_capture()

    def add_title(self, text: str) -> None:
        """Add a title, preceded by an empty line."""
        self._console.print(f"\n[bold]{escape(single_line(text))}[/]")

    def add_line(self, text: str, *, style: str | None = None) -> None:
        """Add a line of text, wrapped between words."""
        table = Table(box=None, pad_edge=False, show_header=False)
        table.add_row(" ", escape(single_line(text)), style=style)
        self._console.print(table)

    def add_raw(self, text: str) -> None:
        """Add a line that is not wrapped."""
        self._console.print(escape(remove_controls(text).expandtabs()), soft_wrap=True)

    def add_facts(self, facts: Mapping[str, str]) -> None:
        """Add a list of names with their texts; empty texts are left out."""
        table = Table(box=None, pad_edge=False, show_header=False)
        for name, fact in facts.items():
            if fact:
                table.add_row(" ", f"[dim]{escape(name)}[/]", escape(single_line(fact)))
        self._console.print(table)

    def add_table(self, results: ResultTable, headers: Mapping[str, str] | None = None, *, empty: str = "none") -> None:
        """Add a table.

        Parameters
        ----------
        headers
            The columns to show, with their headers; by default all. Columns without any value are left out.
        empty
            The text shown instead of a table without rows.
        """
        headers = headers or {name: name for name in results.columns}
        if not results.rows:
            self.add_line(empty, style="dim")
            return
        values = {name: results.values(name) for name in headers if name in results.columns}
        shown = [name for name, of_column in values.items() if any(value is not None for value in of_column)]
        cells = {name: [_format_value(value) for value in values[name]] for name in shown}
        natural = {name: max(map(cell_len, (headers[name], *cells[name]))) for name in shown}
        texts = {name for name in shown if results.columns[name] is str}
        needs = {
            name: min(natural[name], _compute_min_width(headers[name], *cells[name]))
            if name in texts
            else natural[name]
            for name in shown
        }
        widths = _fit_widths(needs, natural, self._console.width - len(COLUMN_GAP))
        table = Table(box=None, pad_edge=False, padding=(0, len(COLUMN_GAP), 0, 0))
        table.add_column(" ")
        for name, width in widths.items():
            header, justify = escape(single_line(headers[name])), "left" if name in texts else "right"
            table.add_column(header, justify=justify, width=width, overflow="fold")  # type: ignore[arg-type] # of the two
        for row in zip(*(cells[name] for name in widths), strict=True):
            table.add_row("", *map(_colour_word, row))
        self._console.print(table)
        if left_out := [headers[name] for name in shown if name not in widths]:
            hidden = f"not shown for lack of width: {', '.join(left_out)}"
            self.add_line(f"{hidden}; --format csv and json show all columns", style="dim")

    def print(self) -> None:
        """Print the page to standard output."""
        print("\n".join(line.rstrip() for line in self._console.end_capture().strip("\n").splitlines()))


def _compute_min_width(*texts: str) -> int:
    """Return a width in which the texts can be wrapped, between words unless a word is too long."""
    low, high = TEXT_WIDTHS
    return min(high, max(low, *(cell_len(word) for text in texts for word in text.split())))


def _fit_widths(needs: Mapping[str, int], natural: Mapping[str, int], room: int) -> dict[str, int]:
    """Return the widths of the columns that fit, from the left, at least one; the remaining width is distributed.

    rich's own algorithm shrinks the widest column further, so that words and numbers are broken.

    Parameters
    ----------
    needs, natural
        Per column, the minimum width and the width without wrapping.
    room
        The width of the terminal.
    """
    widths: dict[str, int] = {}
    for name, need in needs.items():
        if need + len(COLUMN_GAP) > room and widths:
            break
        widths[name] = min(need, max(room, 1))
        room -= need + len(COLUMN_GAP)
    # Columns that need little more come first, so that the rest goes to those that need much.
    for place, name in enumerate(sorted(widths, key=lambda name: natural[name] - widths[name])):
        more = max(0, min(natural[name] - widths[name], room // (len(widths) - place)))
        widths[name] += more
        room -= more
    return widths


def _format_value(value: Any) -> str:
    """Return a value as text for a table."""
    if value is None:
        return "-"
    if isinstance(value, bool):
        return "yes" if value else "no"
    if isinstance(value, int | float):
        return format_cell(value)
    return f"{value:%Y-%m-%d %H:%M}" if isinstance(value, datetime) else single_line(str(value))


def render_data(results: ResultTable, format_: TableFormat) -> str:
    """Return results as CSV, without spreadsheet formulas, or as a JSON list of rows."""
    if format_ == "csv":
        from engine.data.output.spreadsheet_csv import disarm_formulas

        frame = disarm_formulas(results.to_frame())
        return frame.write_csv(datetime_format="%Y-%m-%dT%H:%M:%S%.6fZ").removesuffix("\n")
    return render_json(to_records(results))


def print_data(results: ResultTable, format_: TableFormat) -> None:
    """Print results as CSV or JSON."""
    (print_json if format_ == "json" else print)(render_data(results, format_))


def format_with_interval(value: float | None, low: float | None, high: float | None) -> str | None:
    """Return a value with its interval as one text; None without a value."""
    return None if value is None else format_interval(format_cell(value), low, high, format_cell)


def to_records(results: ResultTable) -> list[dict[str, Any]]:
    """Return rows as dictionaries with every column."""
    columns = [results.values(name) for name in results.columns]
    return [dict(zip(results.columns, row, strict=True)) for row in zip(*columns, strict=True)]


def render_json(value: Any) -> str:
    """Return any data (records, dataclasses, dates) as JSON; infinite and undefined numbers become null."""
    return json.dumps(to_jsonable_python(value, inf_nan_mode="null"), ensure_ascii=False, indent=1, allow_nan=False)


def _colour_word(word: str) -> str:
    """Return an outcome as markup in its colour; any other text unchanged."""
    return f"[{TERMINAL_COLOURS[word]}]{word}[/]" if word in TERMINAL_COLOURS else escape(word)
