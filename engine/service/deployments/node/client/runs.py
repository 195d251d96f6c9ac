"""Runs of scenarios on a node: requests, follows, lists, reads and aborts them."""

import json
import secrets
import time
from collections.abc import Callable, Mapping, Sequence
from datetime import datetime

from engine.errors import EngineError
from engine.outcome import ExitCode
from engine.pipeline.log import LogLine
from engine.service.deployments.node.client.client import NodeClient, quote_name
from engine.service.deployments.node.requests import (
    AbortedRunAnswer,
    FireState,
    LogPart,
    PauseAnswer,
    PauseRequest,
    RequestedRunAnswer,
    ResumeAnswer,
    RunAnswer,
    RunList,
    RunStartRequest,
    RunState,
)

LOOK_SECONDS = 0.5


class RunRefusedError(EngineError):
    """A node did not start a requested run; the message says why."""


def run_on_node(
    client: NodeClient,
    deployment: str,
    scenario: str,
    variables: Mapping[str, str],
    listen: Callable[[LogLine], None],
    report: Callable[[str], None],
) -> RunState:
    """Request a run of a scenario, follow it, and return it after its end.

    Parameters
    ----------
    listen
        Called with each new entry of its log.
    report
        Called with each reason to wait.

    Raises
    ------
    NodeError
        The node cannot be reached, or refuses the request.
    RunRefusedError
        The node starts no run: the same run waits already, or its triggers are skipped.
    """
    path = f"/v1/deployments/{quote_name(deployment)}"
    asked = client.ask(
        "POST",
        f"{path}/scenarios/{quote_name(scenario)}/runs",
        RequestedRunAnswer,
        body=RunStartRequest(variables=dict(variables)),
        key=secrets.token_hex(16),
    )
    fire, reported = asked.fire, ""
    try:
        while fire.run is None:
            if fire.state in ("SKIPPED", "COALESCED"):
                raise RunRefusedError(f"{scenario}: the node starts no run of it: {fire.reason or fire.state}")
            if fire.reason and fire.reason != reported:
                report(f"{scenario}: waits: {fire.reason}")
                reported = fire.reason
            time.sleep(LOOK_SECONDS)
            fire = client.ask("GET", f"{path}/fires/{fire.number}", FireState)
        return _follow_run(client, f"{path}/runs/{quote_name(fire.run)}", scenario, listen)
    except KeyboardInterrupt:
        end = f"; engine abort SPEC {fire.run} --on {deployment} ends it" if fire.run else ""
        report(f"{scenario}: the node continues it{end}; engine status SPEC {deployment} shows its state")
        raise


def choose_exit_code(runs: Sequence[RunState], fail_on: str) -> ExitCode:
    """Return the exit code for ended runs, as for runs here; the node goes on sending messages, so none counts."""
    if any(run.state == "ABORTED" or _read_failure_cause(run) == "failure" for run in runs):
        return ExitCode.COULD_NOT_RUN
    severities = {event["severity"] for run in runs for event in run.events if event["kind"] == "check"}
    found = "error" in severities or any(_read_failure_cause(run) == "check" for run in runs)
    counts = (found and fail_on != "never") or ("warning" in severities and fail_on == "warning")
    return ExitCode.CHECK_ERROR if counts else ExitCode.OK


def _read_failure_cause(run: RunState) -> str | None:
    """Return why steps of a run are FAILED; a node of an earlier version does not say it, so the steps must show it."""
    if run.cause or run.state != "FAILED":
        return run.cause
    failed = [step for step in run.steps if step.outcome == "FAILED"]
    checked = bool(failed) and all(step.kind == "run_checks" and not step.reason for step in failed)
    return "check" if checked else "failure"


def list_runs_on_node(client: NodeClient, deployment: str, last: int) -> RunList:
    """Return the newest runs of a deployment, oldest first, without their steps and events."""
    path = f"/v1/deployments/{quote_name(deployment)}/runs"
    return client.ask("GET", path, RunList, params={"last": str(last)})


def read_run_on_node(client: NodeClient, deployment: str, run: str) -> tuple[RunState, list[LogLine]]:
    """Return a run, by its id or the end of its id, and its whole log."""
    path = f"/v1/deployments/{quote_name(deployment)}/runs/"
    found = client.ask("GET", path + quote_name(run), RunAnswer).run
    lines: list[LogLine] = []
    _read_log(client, path + quote_name(found.id), 0, found.scenario, lines.append)
    return found, lines


def abort_run_on_node(client: NodeClient, deployment: str, run: str) -> AbortedRunAnswer:
    """Request the abort of a run; return its id, and when it ends."""
    path = f"/v1/deployments/{quote_name(deployment)}/runs/{quote_name(run)}/abort"
    return client.ask("POST", path, AbortedRunAnswer)


def pause_on_node(client: NodeClient, deployment: str, scenario: str, until: str | None, reason: str) -> PauseAnswer:
    """Pause the triggers of a scenario; the node records whose token was used."""
    path = f"/v1/deployments/{quote_name(deployment)}/scenarios/{quote_name(scenario)}/pause"
    return client.ask("POST", path, PauseAnswer, body=PauseRequest(reason=reason, until=until))


def resume_on_node(client: NodeClient, deployment: str, scenario: str) -> bool:
    """End the pause of a scenario, and return whether it was paused."""
    path = f"/v1/deployments/{quote_name(deployment)}/scenarios/{quote_name(scenario)}/resume"
    return client.ask("POST", path, ResumeAnswer).resumed


def _follow_run(client: NodeClient, path: str, scenario: str, listen: Callable[[LogLine], None]) -> RunState:
    at = 0
    while True:
        try:
            found = client.ask("GET", path, RunAnswer).run
        except EngineError as problem:
            if getattr(problem, "status", None) != 404:  # its process has not recorded it yet
                raise
            found = None
        if found is not None:
            at = _read_log(client, path, at, scenario, listen)
            if found.ended is not None:
                return found
        time.sleep(LOOK_SECONDS)


def _read_log(client: NodeClient, path: str, at: int, scenario: str, listen: Callable[[LogLine], None]) -> int:
    """Call `listen` with the entries of a log from a byte on; return the offset of the next ones."""
    while True:
        part = client.ask("GET", f"{path}/log", LogPart, params={"from": str(at)})
        for line in part.text.splitlines():
            found = json.loads(line)
            listen(
                LogLine(
                    at=datetime.fromisoformat(found["at"]),
                    level=found["level"],
                    scenario=found.get("scenario", scenario),
                    step=found.get("step", ""),
                    text=found["text"],
                )
            )
        at = part.next
        if not part.more:
            return at
