"""The delivery of a run's messages: through the outbox, or directly if the run cannot be recorded."""

from collections.abc import Iterable, Sequence

from engine import notifications
from engine.outcome import Outcome
from engine.scenarios.context import RunContext
from engine.scenarios.result import Delivery
from engine.store import OutboxMessage

LEFT_TO_SERVER = "the server sends it"


def deliver_waiting_messages(context: RunContext, *, of_earlier_runs: bool) -> list[Delivery]:
    """Send the messages of this run that wait in the outbox; return their deliveries.

    With `of_earlier_runs`, all other waiting messages are sent too. This is done once per run, at its end, so that the
    run waits only once for a server that is down; part of the delivery time is reserved for it. A delivery problem is
    recorded as an event of this run, and the delivery of an earlier run's message as an event of that run. A run that
    does not deliver leaves its messages to the server that started it.
    """
    if context.preview is not None or context.mode != "run":
        return []
    if not context.deliver:
        waiting = context.store.outbox.list_undelivered(context.run)
        return _log_deliveries([notifications.Delivery(one, one.state, LEFT_TO_SERVER) for one in waiting], context)
    by = f"run {context.run}"
    delivered = notifications.deliver_messages(
        context.store,
        context.project,
        context.secrets,
        by,
        messages=None if of_earlier_runs else context.store.outbox.list_undelivered(context.run),
        time_of_run=context.delivery_time,
        reserved=0 if of_earlier_runs else notifications.LAST_SECONDS,
    )
    deliveries = _log_deliveries(delivered, context)
    own = [one for one in delivered if one.message.run == context.run]
    events = [
        notifications.describe_event(one, "", context.clock()) for one in own if one.state != "SENT" or one.remark
    ]
    if events and context.run:
        context.store.runs.add_events(context.run, events)
    for one in delivered:
        if one.message.run != context.run and one.state != "PENDING":
            notifications.add_delivery_event(context.store, one, by)
    return deliveries


def send_unrecorded_messages(messages: Sequence[OutboxMessage], context: RunContext) -> None:
    """Send messages directly, because the outbox cannot be written."""
    sent = notifications.send_unrecorded(context.project, context.secrets, messages, Outcome.ABORTED)
    _log_deliveries(sent, context)


def _log_deliveries(delivered: Iterable[notifications.Delivery], context: RunContext) -> list[Delivery]:
    """Log each delivery; return those of this run."""
    deliveries = []
    for delivery in delivered:
        message = delivery.message
        of_run = f" (run {message.run.rpartition('-')[2]})" if message.run and message.run != context.run else ""
        line = f"{message.reporter} to {message.channel}{of_run}: {delivery.state}"
        text = f"{line}: {delivery.details}" if delivery.details else line
        fine = (delivery.state == "SENT" and not delivery.remark) or delivery.reason == LEFT_TO_SERVER
        context.log.write("info" if fine else "warning", text)
        if message.run == context.run:
            deliveries.append(
                Delivery(
                    message=message.id,
                    reporter=message.reporter,
                    channel=message.channel,
                    state=delivery.state.value,
                    reason=delivery.reason,
                    remark=delivery.remark,
                )
            )
    return deliveries
