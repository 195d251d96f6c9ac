"""Import `scenarios/`: their steps, triggers and reporters."""

from engine.dss.import_state import ImportState
from engine.dss.json_objects import JsonObject
from engine.dss.names import make_name
from engine.dss.report import ObjectLine
from engine.dss.scenarios.reporters import import_reporters
from engine.dss.scenarios.steps import build_stub, import_steps
from engine.dss.scenarios.triggers import import_triggers
from engine.dss.spec_writing import Part

SERVER_ZONE = "UTC"
"""The time zone that replaces that of the DSS server, which is in no file."""


def import_scenarios(state: ImportState) -> None:
    """Declare the scenarios of the project. All get names before the first is read, because they run each other."""
    found = state.read_folder("scenario", "scenarios")
    for id_, scenario in found:
        label = scenario.get_text("name") or id_
        state.names.scenarios[id_] = make_name(label, list(state.names.scenarios.values()), "scenario")
    for id_, scenario in found:
        state.sections["scenarios"][state.names.scenarios[id_]] = _import_scenario(state, id_, scenario)


def _import_scenario(state: ImportState, id_: str, scenario: JsonObject) -> Part:
    name, label = state.names.scenarios[id_], scenario.get_text("name") or id_
    target = f"scenarios.{name}"
    line = state.report.add("scenario", label, scenario.place, target)
    line.note_name(name, label)
    part = Part(f"{scenario.file} (id {id_})")
    if not scenario.get_flag("active", default=False):
        part["active"] = False
    elif state.triggers_off:
        part["active"] = False
        line.note("it is switched off, because the settings of the project switch all triggers off")
    steps, names = import_steps(state, scenario, target)
    if scenario.get_text("type") == "custom_python":
        line.leave_out(
            f"it is the script scenarios/{id_}.py, which is not imported: write it as steps, perhaps with for_each"
        )
        steps = [_build_stand_in("script", line)]
    elif not steps:
        line.leave_out("it has no step, or none that is needed here: a step that is switched off stands for them")
        steps = [_build_stand_in("no steps", line)]
    line.target = target
    part["triggers"] = import_triggers(state, scenario, target, SERVER_ZONE) or None
    part["steps"] = steps
    part["reporters"] = import_reporters(state, scenario, target, names) or None
    behavior = scenario.get_object("delayedTriggersBehavior").read_whole()
    if part["triggers"] and behavior.get("suppressTriggersWhileRunning") is True:
        line.note("what its triggers start while it runs waits here, and is not lost")
    return part


def _build_stand_in(name: str, line: ObjectLine) -> Part:
    part = Part("", {"name": name})
    part |= build_stub(part, name, line)
    return part
