"""Messages about runs: composing them, delivering them through channels, and the pages about evaluations.

`compose_message` makes a message from the facts of a run, the store queues it with the run, and `deliver_messages`
sends the queued messages.
"""

from engine.notifications.delivery import (
    LAST_SECONDS,
    Delivery,
    DeliveryTime,
    deliver_messages,
    send_unrecorded,
)
from engine.notifications.facts import RunFacts, create_check_event, create_step_event, format_event
from engine.notifications.messages import compose_message
from engine.notifications.preview import is_silent, preview_message

__all__ = [
    "LAST_SECONDS",
    "Delivery",
    "DeliveryTime",
    "RunFacts",
    "compose_message",
    "create_check_event",
    "create_step_event",
    "deliver_messages",
    "format_event",
    "is_silent",
    "preview_message",
    "send_unrecorded",
]
