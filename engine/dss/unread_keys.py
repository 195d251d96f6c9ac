"""Report the keys of a project's files that were not read: their settings have no effect in the spec."""

import re
from collections.abc import Iterator, Mapping
from typing import Any

from engine.dss.import_state import ImportState
from engine.dss.json_objects import JsonObject

MEANINGLESS_KEYS = frozenset(
    {
        # who made it and when, and how pages show it
        *("creationTag", "versionTag", "lastModifiedBy", "lastModifiedOn", "lastUpdate", "__dku_object_version__"),
        *("id", "projectKey", "checklists", "tags", "customFields", "customMeta", "dkuProperties", "shortDesc"),
        *("displayedState", "meta", "alwaysShowComment", "imgColor", "imgPattern", "showInitials", "tutorialProject"),
        *("xLabel", "yLabels", "barLabels", "alsoDisplayedLabels", "graphStyle", "sortColumn", "sortDescending"),
        *("pinnedMetrics", "showConfidenceIntervals", "governSyncOptOut", "featureGroup", "userModified", "comment"),
        # who may do it, and where it runs
        *("runAsUser", "owner", "permissions", "permissionsVersion", "additionalDashboardUsers", "exposedObjects"),
        *(
            "dashboardAuthorizations",
            "engineConfig",
            "engineParams",
            "envSelection",
            "containerSelection",
            "backendType",
        ),
        *(
            "sparkParams",
            "gpuConfig",
            "sqlPipelineParams",
            "engineType",
            "sparkJdbcAccess",
            "numPartitions",
            "settings",
        ),
        *("batchSize", "pythonBatchSize", "maxRunningActivities", "codeEnvsBehavior", "bundleContainerSettings"),
        # how DSS writes what it builds
        *("flowOptions", "readWriteOptions", "rebuildBehavior", "redispatchPartitioning", "optionalDependencies"),
        *("neverRecomputeExistingPartitions", "tableCreationMode", "writeInsertBatchSize", "writeJDBCBadDataBehavior"),
        *("writeWithCopyBadDataBehavior", "writeDataTypeMismatchBehavior", "managed", "appendMode", "deps"),
        *("autoUpdateSchemaBeforeEachRecipeRun", "stopAtFlowZoneBoundary", "refreshHiveMetastore", "hiveSeparators"),
        *(
            "publishPolicy",
            "lastTrainIndex",
            "lastTrainJobId",
            "lastExportedFrom",
            "inlineVersions",
            "conditionalOutputs",
        ),
        # repeats a name or a type, or follows from the data here
        *("originalType", "maxLength", "meaning", "computeOnBuildMode", "configuration", "probableNumberOfRecords"),
        *("savedModelType", "contentType", "partitioningType", "normalizeDoubles", "normalizeBooleans"),
        *("arrayMapFormat", "dateSerializationFormat", "readSQLDateColsAsDSSDates", "readColsWithUnknownTzAsDates"),
        *("filterInputColumns", "keptInputColumns", "outputProbaPercentiles", "outputProbabilities"),
        *("forceOriginalEngine", "individualExplanationParams", "outputExplanations", "possibleCustomMetrics"),
        *("automationLocal", "predictionType", "disabledMERunIds", "allAvailableMetrics"),
        *("hasSetupSection", "projectAppType", "ignoreNonMatchingFile", "considerMissingRequestedPartitionsAsEmpty"),
        *("templateFormat", "templateName", "uploadConnection", "exportOptions", "projectType", "description"),
        # when DSS applies checks by itself, which the report mentions for every project
        *("runOnBuild", "monitor", "autoRun", "computeAutomaticRules"),
        # how a model was trained
        *("miniTask", "modeling", "preprocessing", "splitParams", "core", "diagnosticsSettings", "labels"),
    }
)
"""Keys without a meaning for monitoring, by name, including everything inside."""

_READ_FOLDERS = ("datasets/", "model_evaluation_stores/", "saved_models/", "scenarios/", "recipes/", "params.json")


def report_unread_keys(state: ImportState) -> None:
    """Report the keys that no part of the import has read, once for all places of a kind.

    Keys that are known to be meaningless, and those without a value, are skipped.
    """
    for path, found in state.objects.items():
        if not path.startswith(_READ_FOLDERS) or not (found.read or found.whole):
            continue
        folder = re.sub(r"/[^/]*(\.[^./]*)$", r"/*\1", path)
        for place in _list_unread(found, found.values, found.path):
            shown = f"{folder} " + re.sub(r"\[[0-9]+\]", "[]", place)[:300]
            count, first = state.report.unread.get(shown, (0, f"{path} {place}"))
            state.report.unread[shown] = count + 1, first


def _list_unread(found: JsonObject, values: Mapping[str, Any], path: str) -> Iterator[str]:
    if path in found.whole:
        return
    for key, value in values.items():
        here = f"{path}.{key}"
        if here in found.whole or key in MEANINGLESS_KEYS or _says_nothing(value):
            continue
        if here not in found.read:
            yield here
        elif isinstance(value, dict):
            yield from _list_unread(found, value, here)
        elif isinstance(value, list):
            for place, one in enumerate(value):
                if isinstance(one, dict):
                    yield from _list_unread(found, one, f"{here}[{place}]")


def _says_nothing(value: Any) -> bool:
    """Return whether a value is empty, or contains only empty or meaningless values."""
    if isinstance(value, dict):
        return all(key in MEANINGLESS_KEYS or _says_nothing(one) for key, one in value.items())
    return all(map(_says_nothing, value)) if isinstance(value, list) else value in (None, "")
