"""`engine validate`: checks spec files and files of nodes, without reading data and without importing user code."""

import os
from functools import partial
from pathlib import Path
from typing import Annotated

import typer

from engine.cli.kept_verdicts import Question, find_kept_verdict, keep_verdict
from engine.cli.options import AsOf, Format, Variables, load_project
from engine.cli.verdicts import Verdict, print_verdicts
from engine.errors import SpecError


def command(
    specs: Annotated[
        list[Path],
        typer.Argument(metavar="SPEC", help="Spec files, and files of nodes (node.yaml).", show_default=False),
    ],
    var: Variables = None,
    as_of: AsOf = None,
    format_: Format = "text",
) -> int:
    """Check spec files and show every problem with its position. Reads no data."""
    verdicts = []
    for path in specs:
        question = Question(path, tuple(var or ()), as_of)
        verdicts.append(find_kept_verdict(question) or keep_verdict(question, partial(_judge, path, var, as_of)))
    return print_verdicts(specs, verdicts, format_)


def _judge(path: Path, variables: list[str] | None, as_of: str | None) -> Verdict:
    """Return what is to be told of a spec, or of the file of a node."""
    from engine.spec.channel_urls import check_channel_urls
    from engine.spec.node_file import load_node, names_node
    from engine.spec.rules.switched_off import list_inactive

    try:
        if names_node(path):
            return Verdict(load_node(path).warnings, (), wrong=False)
        project = load_project(path, variables, as_of)
    except SpecError as error:
        return Verdict(error.diagnostics, (), wrong=True)
    urls = check_channel_urls(project, os.environ)
    return Verdict((*project.warnings, *urls), tuple(list_inactive(project.resources)), wrong=bool(urls))
