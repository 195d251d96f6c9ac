"""A store, its clock, and the channels that its messages are sent through."""

import dataclasses
from pathlib import Path

from engine.notifications import DeliveryTime, RunFacts, compose_message, deliver_messages
from engine.outcome import Outcome
from engine.spec import ProjectSpec, Secrets, load
from engine.spec.conditions import ConditionFacts
from engine.spec.resources.scenarios import Reporter
from engine.store import MessageState, RunRecord, Store, generate_id

from ..clocks import Clock

PASSWORD = "Zq7planted"


class Office:
    """A project with its store, and a run that says things."""

    def __init__(self, spec: Path, store: Store, clock: Clock) -> None:
        self.spec, self.store, self.clock = spec, store, clock
        self.environ: dict[str, str] = {}
        self.project = load(spec, environ={})

    def queue(self, channel: str, *to: str, outcome: Outcome = Outcome.WARNING) -> str:
        """Finish a run whose reporter sends through `channel`; return the message's id."""
        now = self.clock()
        run = RunRecord(generate_id(now), self.project.name, "monitor", now, "me@here")
        facts = RunFacts(self.project.name, "monitor", run.id, now, ConditionFacts(outcome=outcome), ended=now)
        reporter = Reporter(name="r", channel=channel, to=list(to), subject=f"to {', '.join(to)}")
        secrets = Secrets(self.project, self.environ)
        message = compose_message(reporter, facts, secrets, message_id=generate_id(now), now=now, csv_of=lambda _: ())
        self.store.runs.start(run)
        self.store.runs.finish(dataclasses.replace(run, ended=now, outcome=outcome), [message])
        return message.id

    def deliver(
        self, *, project: ProjectSpec | None = None, time_of_run: DeliveryTime | None = None
    ) -> list[tuple[MessageState, str]]:
        project = project or self.project
        secrets = Secrets(project, self.environ)
        found = deliver_messages(self.store, project, secrets, "run later", time_of_run=time_of_run)
        return [(delivery.state, delivery.reason) for delivery in found]
