"""Messages about runs: composing them, and delivering them through channels.

`compose_message` makes a message from the facts of a run, the store queues it with the run, and `deliver_messages`
sends the queued messages. The modules that compose are imported at their first use, because they load polars: a server
that only sends needs less memory.
"""

from typing import TYPE_CHECKING

from engine.lazy_exports import export_lazily
from engine.notifications.attempt import Delivery, add_delivery_event, describe_event
from engine.notifications.delivery import LAST_SECONDS, DeliveryTime, deliver_messages, send_unrecorded
from engine.notifications.sending import Sending, decide_sending, describe_state, follow_state, has_state

if TYPE_CHECKING:
    from engine.notifications.facts import RunFacts, create_check_event, create_step_event, format_event
    from engine.notifications.message_document import write_message_schema
    from engine.notifications.messages import compose_message
    from engine.notifications.preview import is_silent, preview_message, preview_silence

_LAZY_EXPORTS = {
    "RunFacts": "facts",
    "compose_message": "messages",
    "create_check_event": "facts",
    "create_step_event": "facts",
    "format_event": "facts",
    "is_silent": "preview",
    "preview_message": "preview",
    "preview_silence": "preview",
    "write_message_schema": "message_document",
}
__getattr__, __dir__ = export_lazily(__name__, _LAZY_EXPORTS)

__all__ = [
    "LAST_SECONDS",
    "Delivery",
    "DeliveryTime",
    "RunFacts",
    "Sending",
    "add_delivery_event",
    "compose_message",
    "create_check_event",
    "create_step_event",
    "decide_sending",
    "deliver_messages",
    "describe_event",
    "describe_state",
    "follow_state",
    "format_event",
    "has_state",
    "is_silent",
    "preview_message",
    "preview_silence",
    "send_unrecorded",
    "write_message_schema",
]
