"""Print the runs of a deployment on a node, in the same form as local runs."""

from typing import TYPE_CHECKING

from engine.api import tabulation
from engine.api.run_logs import tabulate_entries
from engine.cli.json_output import print_json
from engine.cli.options import TableFormat
from engine.cli.printers import table_printers
from engine.cli.printers.run_printers import print_run_page
from engine.cli.tables import print_data, render_json, to_records
from engine.service.deployments.node.client.runs import list_runs_on_node, read_run_on_node
from engine.views.run_view import DeliveryView, describe_run

if TYPE_CHECKING:
    from engine.service.deployments.node.client.client import NodeClient

MOST_RUNS = 1000
"""Maximum number of runs that a node lists at once."""


def print_runs_of_node(
    node: "NodeClient", deployment: str, format_: TableFormat, sort: str | None, last: int | None
) -> None:
    """Print the newest runs of a deployment."""
    shown = min(last or (table_printers.DEFAULT_ROWS if format_ == "text" else MOST_RUNS), MOST_RUNS)
    found = list_runs_on_node(node, deployment, shown)
    table_printers.print_table(
        f"runs of {deployment} on the node {node.name}",
        tabulation.tabulate_runs([one.to_record() for one in found.runs]),
        table_printers.RUN_HEADERS,
        format_,
        sort=sort,
        last=last,
        total=found.total if format_ == "text" else None,
    )


def print_run_of_node(node: "NodeClient", deployment: str, run: str, format_: TableFormat) -> None:
    """Print a run of a deployment, its steps and its log; as CSV, the log."""
    found, lines = read_run_on_node(node, deployment, run)
    log = tabulate_entries([line._asdict() for line in lines])
    if format_ == "csv":
        print_data(log, format_)
    elif format_ == "json":
        print_json(render_json(found.model_dump(mode="json") | {"log": to_records(log)}))
    else:
        view = describe_run(
            found.to_record(), deliveries=[DeliveryView(**one.model_dump()) for one in found.deliveries]
        )
        print_run_page(view, log, found.release, "" if found.fire is None else str(found.fire))
