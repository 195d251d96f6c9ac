"""The answer of `engine validate`: the verdicts on specs, cached or new, as text, JSON or annotations."""

import os
import sys
from collections.abc import Mapping, Sequence
from datetime import date, datetime
from functools import partial
from pathlib import Path

from engine.cli.kept_verdicts import Question, Verdict, find_kept_verdict, keep_verdict
from engine.cli.standard_streams import mask_secrets
from engine.errors import SpecError
from engine.outcome import ExitCode
from engine.spec import diagnostics


def answer_validate(
    specs: Sequence[Path],
    variables: Mapping[str, str],
    as_of: date | datetime | None,
    form: diagnostics.DiagnosticFormat,
) -> ExitCode:
    """Print the verdicts on specs and on files of nodes, and return the exit code."""
    questions = [Question(path, variables, as_of) for path in specs]
    verdicts = [find_kept_verdict(one) or keep_verdict(one, partial(judge_spec, one)) for one in questions]
    found = [one for verdict in verdicts for one in verdict.found]
    wrong = any(verdict.wrong for verdict in verdicts)
    if form == "json" or found:
        colour = sys.stdout.isatty() and "NO_COLOR" not in os.environ
        print(diagnostics.render_diagnostics(found, form, colour=colour))
    if form == "text" and not wrong:
        inactive = ", ".join(one for verdict in verdicts for one in verdict.inactive)
        off = f"; switched off: {inactive}" if inactive else ""
        print(f"{', '.join(str(path) for path in specs)}: valid{off}")
    return ExitCode.USAGE if wrong else ExitCode.OK


def judge_spec(question: Question) -> Verdict:
    """Read a spec, or the file of a node; from now on the values of its secrets are masked in everything printed."""
    from engine import spec
    from engine.spec.channel_urls import check_channel_urls
    from engine.spec.reading.node_text import names_node
    from engine.spec.rules.switched_off import list_inactive

    try:
        if names_node(question.path):
            from engine.spec.reading.node_file import load_node

            return Verdict(load_node(question.path).warnings, (), wrong=False)
        project = spec.load(question.path, question.variables, as_of=question.as_of)
    except SpecError as error:
        return Verdict(error.diagnostics, (), wrong=True)
    mask_secrets(project)
    urls = check_channel_urls(project, os.environ)
    return Verdict((*project.warnings, *urls), tuple(list_inactive(project.resources)), wrong=bool(urls))
