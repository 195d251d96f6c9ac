"""Import the settings of a project's bundles."""

from engine.dss.import_state import ImportState
from engine.dss.json_objects import JsonObject
from engine.dss.spec_writing import Part


def import_bundles(state: ImportState, params: JsonObject) -> None:
    """Declare a bundle with the content of the project's bundles."""
    options = params.get_object("bundleExporterSettings").get_object("exportOptions")
    if not options.values:
        return
    line = state.report.add("bundle settings", "bundle", options.place, "bundles.first")
    datasets = []
    for one in options.get_objects("includedDatasetsData"):
        if name := state.names.find_target(one.get_text("name"), "datasets"):
            datasets.append(name)
        else:
            line.note(f"the dataset {one.get_text('name')[:60]} is left out: it is not in the spec")
    if options.get_value("includedSavedModels"):
        line.note("its models run elsewhere: they are not part of a bundle here")
    if options.get_value("includedManagedFolders"):
        line.note("folders are not part of a bundle here: list files in include: files:")
    if not datasets:
        line.leave_out("it includes no dataset of the spec")
        return
    state.sections["bundles"]["first"] = Part(options.place, {"include": {"datasets": list(dict.fromkeys(datasets))}})
