"""Telling people: what a run's reporters say, the outbox that nothing gets lost in, the channels out.

`compose` makes a message of a run's facts, the store queues it with the run, `deliver` sends what is queued.
"""

from engine.reporting.delivery import Delivery, deliver
from engine.reporting.facts import RunFacts, check_event, event_line, step_event
from engine.reporting.messages import compose
from engine.reporting.preview import preview

__all__ = ["Delivery", "RunFacts", "check_event", "compose", "deliver", "event_line", "preview", "step_event"]
