"""Import the reporters of scenarios, and the channels of their messages."""

import json
from typing import Any

from engine.dss.import_state import ImportState
from engine.dss.json_objects import JsonObject
from engine.dss.names import fill_references, make_name
from engine.dss.report import ObjectLine
from engine.dss.scenarios.conditions import StepNames, TranslatedFormula, translate_formula
from engine.dss.scenarios.html_texts import read_html_text
from engine.dss.spec_writing import Part
from engine.spec.conditions import ALWAYS, name_step_variable
from engine.spec.rules.messages import MESSAGE_NAMES
from engine.spec.rules.placeholders import PLACEHOLDER

_CHANNELS = {
    "mail-scenario": "mail",
    "slack-scenario": "apprise",
    "msft-teams-scenario": "apprise",
    "google-chat-scenario": "apprise",
    "twilio-scenario": "apprise",
    "webhook-scenario": "webhook",
    "dataset-scenario": "dataset",
    "shell-scenario": "command",
}


def import_reporters(state: ImportState, scenario: JsonObject, target: str, steps: StepNames) -> list[Part]:
    """Return the reporters of a scenario.

    Parameters
    ----------
    target
        The place of the scenario in the spec, for the report.
    steps
        Its steps: their names in DSS and in the spec.
    """
    found: list[Part] = []
    names: list[str] = []
    for one in scenario.get_objects("reporters"):
        messaging = one.get_object("messaging")
        label = one.get_text("name") or messaging.get_text("type") or "reporter"
        line = state.report.add("reporter", label, one.place)
        name = make_name(label, names, "reporter")
        part = Part(one.place, {"name": name})
        at_start = one.get_text("phase") == "START"
        content = import_message(state, part, messaging, [] if at_start else steps, line)
        if content is None:
            continue
        line.target = f"{target}.reporters.{name}"
        names.append(name)
        line.note_name(name, label)
        part |= {"active": None if one.get_flag("active", default=True) else False, "at": "start" if at_start else None}
        formula = one.get_text("runCondition")
        if one.get_flag("runConditionEnabled", default=False) and formula.strip():
            found_condition = translate_formula(formula, [] if at_start else steps, state.names.variables)
            for mistake in found_condition.mistakes:
                state.report.add_mistake(f"{one.place}.runCondition", mistake)
            _apply_condition(part, found_condition, formula, line)
        part |= content
        found.append(part)
    return found


def _apply_condition(part: Part, found: TranslatedFormula, formula: str, line: ObjectLine) -> None:
    if found.problem:
        part.add_todo(f"its condition is left out, so that it sends at every run: {formula[:200]}")
        line.note(f"TODO it sends at every run: its condition is left out, {found.problem}")
    elif found.never:
        part["active"] = False
        part.add_todo(f"its condition never holds: write another and switch it on: {formula[:200]}")
        line.note("it is switched off, because its condition never holds, also in DSS")
    elif found.condition == ALWAYS:
        line.note(f"it sends at every run, because its condition always holds, also in DSS: {formula[:200]}")
    else:
        part["run_condition"] = found.condition


def import_message(
    state: ImportState, part: Part, messaging: JsonObject, steps: StepNames, line: ObjectLine
) -> dict[str, Any] | None:
    """Return the keys of a message; None if the engine cannot send it, and it is reported as left out."""
    type_ = messaging.get_text("type")
    kind = _CHANNELS.get(type_)
    if kind is None:
        messaging.read_whole()
        line.leave_out(f"messages of the type {type_[:60] or '(none)'} have no counterpart here")
        return None
    settings = messaging.get_object("configuration")
    sender = settings.get_text("sender")
    if kind in ("dataset", "command"):
        return _write_elsewhere(state, part, settings, kind, line)
    keys: dict[str, Any] = {"channel": _declare_channel(state, settings, type_, kind, sender)}
    also = [*MESSAGE_NAMES, *(name_step_variable(new) for old, new in steps if old == new)]

    def fill(text: str) -> str:
        return fill_references(text, state.names, line, also)

    if kind != "mail":
        settings.read_whole()  # its address is a secret
    if kind == "mail":
        for key, ours in (("recipient", "to"), ("ccRecipient", "cc"), ("bccRecipient", "bcc")):
            if addresses := _read_recipients(settings, key, line):
                keys[ours] = [fill_references(one, state.names, line) for one in addresses]
        if "to" not in keys:
            keys["to"] = [PLACEHOLDER]
            part.add_todo("write the recipients in to")
            line.note("TODO it has no recipient")
    if subject := settings.get_text("subject"):
        keys["subject"] = fill(subject)
    text, source = settings.get_text("message"), settings.get_text("messageSource")
    is_html = settings.get_flag("sendAsHTML", default=False)
    if text and source != "TEMPLATE_FILE":
        keys["message"] = fill(read_html_text(text) if is_html else text)
        if is_html:
            line.note("its text was HTML: here it is plain text")
    else:
        line.note("its text was a template of DSS: it has the usual text here")
    if attached := _read_attachments(state, settings, line):
        keys["attach"] = attached
    return keys


def _write_elsewhere(
    state: ImportState, part: Part, settings: JsonObject, kind: str, line: ObjectLine
) -> dict[str, Any]:
    """Return the keys of a message that is written to a file as a row, or to the input of a program."""
    name = make_name(settings.get_text("datasetName", "dataset") or kind, (), "channel")
    settings.read_whole()
    channels = state.sections["channels"]
    if kind == "dataset":
        channels.setdefault(name, Part("", {"kind": kind, "path": f"messages/{name}.ndjson"}))
        line.note(f"DSS adds a row to its dataset; here it is a row of messages/{name}.ndjson")
        return {"channel": name}
    channels.setdefault(name, Part("", {"kind": kind, "argv": ["./notify.sh"]}))
    part.add_todo("write notify.sh, which gets the message as JSON on its standard input, and switch it on")
    line.note("TODO it is switched off: its script is not imported. Write it as notify.sh, beside the spec")
    return {"channel": name, "active": False}


def _declare_channel(state: ImportState, settings: JsonObject, type_: str, kind: str, sender: str) -> str:
    """Declare the channel of a message once, with its address as a secret, and return its name.

    Messages share a channel if they have the same channel or address in DSS, and the same sender; with different
    senders, they share only the address.
    """
    given, address = settings.get_text("channelId"), settings.get_text("webhookUrl", "url")
    id_ = given or type_.removesuffix("-scenario")
    channels = state.sections["channels"]
    server = type_, given or address
    name = state.channel_names.setdefault(
        (*server, sender if kind == "mail" else ""), make_name(id_, channels, "channel")
    )
    if name not in channels:
        line = state.report.add("channel", id_, f"{settings.place}.channelId", f"channels.{name}")
        line.note("its address is a secret: set the environment variable; until then messages are files in outbox")
        part = Part(f"the channel {name} of DSS", {"kind": kind})
        part["url"] = state.channel_urls[server] = state.channel_urls.get(server) or state.add_secret(f"{name}_url")
        if kind == "mail":
            part["from"] = sender if "@" in sender and "${" not in sender else PLACEHOLDER
            if part["from"] != sender:
                part.add_todo("write the address of the sender in from")
                line.note("TODO write the address of the sender in from")
        part["fallback"] = {"kind": "file", "path": "outbox"}
        channels[name] = part
    return name


def _read_recipients(settings: JsonObject, key: str, line: ObjectLine) -> list[str]:
    """Return addresses from a list with commas, a JSON list, or `{"mails": […]}`, as JSON or as text with JSON."""
    value = settings.get_value(key)
    if isinstance(value, str) and value.lstrip()[:1] in ("[", "{"):
        try:
            value = json.loads(value)
        except (ValueError, RecursionError):
            line.note(f"{key} is not a JSON list of addresses")
            return []
    if isinstance(value, dict):
        value = value.get("mails", [])
    if isinstance(value, str):
        value = value.replace(";", ",").split(",")
    if not isinstance(value, list):
        if value is not None:
            settings.report_type(f"{settings.place}.{key}", "addresses")
        return []
    found = []
    for one in value:
        address = one
        if isinstance(one, dict):
            address = one.get("email") or one.get("mail") or one.get("address")
            line.note("the variables of single recipients are not imported: all get the same message")
        if isinstance(address, str) and ("@" in address or "${" in address):
            found.append(address.strip())
        elif address != "":
            line.note(f"an entry of {key} is not an address")
    return list(dict.fromkeys(found))


def _read_attachments(state: ImportState, settings: JsonObject, line: ObjectLine) -> list[str]:
    found = []
    for one in settings.get_objects("attachments"):
        type_, params = one.get_text("type"), one.get_object("params")
        if "LOG" in type_.upper():
            found.append("scenario_log")
        elif type_ == "DATASET" and (
            name := state.names.find_target(params.get_text("attachedDataset", "dataset", "itemId"), "datasets")
        ):
            found.append(f"dataset:{name}")
        else:
            line.note(f"the attachment {type_[:60] or '(no type)'} is left out")
    return list(dict.fromkeys(found))
