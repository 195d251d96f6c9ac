"""Import the names of a project's connections, never their addresses."""

from engine.dss.import_state import ImportState
from engine.dss.names import make_name
from engine.dss.report import ObjectLine
from engine.dss.spec_writing import Part
from engine.spec.rules.placeholders import PLACEHOLDER


def import_connection(state: ImportState, name: str, kind: str, place: str) -> str:
    """Declare a connection by its name in DSS, if it is not declared yet, and return its name in the spec."""
    connections = state.sections["connections"]
    ours = make_name(name, (), "connection")
    if ours not in connections:
        line = state.report.add("connection", name, f"{place}.connection", f"connections.{ours}")
        part = Part(f"the connection {ours} of DSS")
        if kind == "postgresql":
            part |= {"kind": "postgresql", "url": state.add_secret(f"{name}_url")}
            line.note("its address is a secret: set the environment variable")
        else:
            part |= {"kind": "file", "root": PLACEHOLDER}
            part.add_todo("root is the folder that the connection has in DSS, or a copy of it")
            line.note("TODO write the folder of the connection in root: it is in no file of the project")
        connections[ours] = part
    return ours


def find_database(state: ImportState, name: str, place: str, line: ObjectLine) -> str:
    """Return the name of the PostgreSQL connection that a query uses, declared if necessary; empty if it is another.

    Parameters
    ----------
    name
        Its name in DSS. Its type is that of the datasets that use it, or the one in the manifest of an export.
    """
    types = {
        found.get_text("type")
        for path, found in state.objects.items()
        if path.startswith("datasets/") and found.get_object("params").get_text("connection") == name
    }
    manifest = state.read_manifest()
    if manifest is not None:
        types.add(manifest.get_object("requiredConnections").get_object(name).get_text("type"))
    types -= {""}
    if not name or types - {"PostgreSQL"}:
        return ""
    if not types:
        line.note(f"TODO the type of the connection {name[:60]} is in no file: it is assumed to be PostgreSQL")
    return import_connection(state, name, "postgresql", place)
