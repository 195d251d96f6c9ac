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
from engine.notifications.message_document import write_message_schema
from engine.notifications.messages import compose_message
from engine.notifications.preview import is_silent, preview_message, preview_silence
from engine.notifications.sending import Sending, decide_sending, follow_state, has_state

__all__ = [
    "LAST_SECONDS",
    "Delivery",
    "DeliveryTime",
    "RunFacts",
    "Sending",
    "compose_message",
    "create_check_event",
    "create_step_event",
    "decide_sending",
    "deliver_messages",
    "follow_state",
    "format_event",
    "has_state",
    "is_silent",
    "preview_message",
    "preview_silence",
    "send_unrecorded",
    "write_message_schema",
]
