"""Messages about runs: composing them, delivering them through channels, and the pages about evaluations.

`compose_message` makes a message from the facts of a run, the store queues it with the run, and `deliver_messages`
sends the queued messages.
"""

from engine.reporting.delivery import Delivery, deliver
from engine.reporting.facts import RunFacts, check_event, event_line, step_event
from engine.reporting.messages import compose
from engine.reporting.preview import preview

__all__ = ["Delivery", "RunFacts", "check_event", "compose", "deliver", "event_line", "preview", "step_event"]
