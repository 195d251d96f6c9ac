"""The output of `engine watch`: a short result per run on standard output, everything else on standard error."""

import json
import sys
from collections.abc import Sequence
from datetime import datetime
from pathlib import Path
from typing import Literal

from engine.errors import Diagnostic
from engine.evaluation.checks.counts import sort_by_severity
from engine.evaluation.record import CheckResult
from engine.formatting.control_characters import escape_controls
from engine.formatting.lists import join_some
from engine.formatting.redacted_output import RedactedStream
from engine.outcome import CheckOutcome
from engine.pipeline.log import LogLine
from engine.scenarios.result import RunResult
from engine.spec import ProjectSpec, Secrets, diagnostics

SHOWN_CHECKS = 3
"""Maximum number of results other than OK that are listed per run, the worst first."""

SHOWN_FILES = 3
"""Maximum number of changed files that are named."""


class WatchPrinter:
    """Prints events while projects are watched."""

    def __init__(self, form: Literal["text", "json"], *, verbose: bool) -> None:
        self._form, self._verbose = form, verbose
        self._streams = sys.stdout, sys.stderr
        self._secrets: dict[Path, Secrets] = {}

    def report(self, text: str) -> None:
        """Print a message about the watching itself."""
        self._print_aside(f"{datetime.now():%H:%M:%S} {text}")  # noqa: DTZ005 - the user's local time

    def show_findings(self, findings: Sequence[Diagnostic]) -> None:
        """Print the problems of a spec."""
        self._print_aside(diagnostics.render_diagnostics(findings))

    def show_line(self, line: LogLine) -> None:
        """Print an entry of a run's log, if `verbose` or if it belongs to no run."""
        if self._verbose or (line.level != "info" and not line.scenario):
            self.report(f"{line.level} {line.located_text}")

    def show_run(self, spec: Path, run: RunResult, changed: Sequence[str]) -> None:
        """Print the result of a run."""
        if self._form == "json":
            print(json.dumps(_describe_run(spec, run, changed), ensure_ascii=False), flush=True)
        else:
            print("\n".join(map(escape_controls, _format_run(run, changed))), flush=True)

    def mask_secrets(self, project: ProjectSpec) -> None:
        """Mask the current secrets of a project in everything printed."""
        if project.secrets:
            self._secrets[project.path] = Secrets(project)
        if self._secrets:
            out, err = self._streams
            sys.stdout, sys.stderr = RedactedStream(out, self._redact), RedactedStream(err, self._redact)

    def _redact(self, text: str) -> str:
        for secrets in self._secrets.values():
            text = secrets.redact(text)
        return text

    def _print_aside(self, text: str) -> None:
        print(text, file=sys.stderr, flush=True)


def _format_run(run: RunResult, changed: Sequence[str]) -> list[str]:
    """Return `14:03:22 default WARNING in 0.6 s, after a change of 2026-W07.csv`, and the results other than OK."""
    seconds = (run.ended - run.started).total_seconds() if run.ended else 0.0
    cause = f", after a change of {join_some(list(changed), SHOWN_FILES)}" if changed else ""
    when = f"{(run.ended or run.started).astimezone():%H:%M:%S}"
    lines = [f"{when} {run.scenario} {run.outcome} in {seconds:.1f} s{cause}"]
    lines += [f"  {step.name} {step.outcome}: {step.reason}" for step in run.all_steps() if step.cause == "failure"]
    lines += [f"  {one.reporter} to {one.channel} {one.state}: {one.details}" for one in run.deliveries if one.remark]
    checks = _collect_checks(run)
    wrong = [check for check in sort_by_severity(checks) if check.counts_as is not CheckOutcome.OK]
    lines += [f"  {check.outcome} {check.summary}" for check in wrong[:SHOWN_CHECKS]]
    if len(wrong) > SHOWN_CHECKS:
        lines.append(f"  … and {len(wrong) - SHOWN_CHECKS} more")
    if good := len(checks) - len(wrong):
        lines.append(f"  {good} {'result of a check is' if good == 1 else 'results of checks are'} OK")
    return lines


def _describe_run(spec: Path, run: RunResult, changed: Sequence[str]) -> dict[str, object]:
    checks = _collect_checks(run)
    return {
        "schema_version": 1,
        "spec": str(spec),
        **run.model_dump(
            mode="json", include={"project", "scenario", "id", "outcome", "started", "ended", "deliveries"}
        ),
        "changed": list(changed),
        "checks": {str(outcome): sum(one.counts_as is outcome for one in checks) for outcome in CheckOutcome},
        "failures": [f"{step.name}: {step.reason}" for step in run.all_steps() if step.cause == "failure"],
        "worst": [
            {"check": one.check, "metric": one.metric, "outcome": str(one.outcome), "summary": one.summary}
            for one in sort_by_severity(checks)[:SHOWN_CHECKS]
            if one.counts_as is not CheckOutcome.OK
        ],
    }


def _collect_checks(run: RunResult) -> list[CheckResult]:
    return [check for step in run.all_steps() for check in step.checks]
