"""Carries out an operation that a server has recorded; this is the program.

    python -m engine.service.deployments.updates.process FOLDER OPERATION LOCK [--node FILE] [--now]

LOCK is the number of the inherited file descriptor with the lock of the deployment, so the operation does not look
abandoned. Messages of the operation are recorded in node.db; nothing is printed. SIGTERM interrupts it: before its
revision is active it ends FAILED, after that it is left to be concluded.
"""

import os
import signal
import sys
from argparse import ArgumentParser
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from types import FrameType

from engine.errors import EngineError
from engine.service.deployments.updates.order import UpdateContext, UpdateOrder
from engine.store.node import Node, OperationRow, OperationState, RevisionState

UPDATE_PROCESS = ("-m", "engine.service.deployments.updates.process")
"""The program, as arguments for Python."""


def write_arguments(
    folder: Path, operation: OperationRow, lock: int, node_file: Path | None, *, now: bool
) -> list[str]:
    """Return the arguments of the program for an operation."""
    file = ["--node", str(node_file)] if node_file else []
    return [str(folder), operation.id, str(lock), *file, *(["--now"] if now else [])]


def carry_out_operation(
    arguments: Sequence[str], environ: Mapping[str, str], checkpoint: Callable[[str], None] = lambda _: None
) -> None:
    """Carry out the operation; `checkpoint` is called with the name of each point where a crash must be harmless."""
    signal.signal(signal.SIGTERM, _interrupt_process)
    from engine.service.deployments.updates.updater import Updater

    parser = ArgumentParser()
    parser.add_argument("folder", type=Path)
    parser.add_argument("operation")
    parser.add_argument("lock", type=int)
    parser.add_argument("--node", type=Path)
    parser.add_argument("--now", action="store_true")
    given = parser.parse_args(arguments)
    with Node.open(given.folder) as node:
        operation = node.operations.get(given.operation)
        with node.adopt_lock(operation.deployment, given.lock):

            def report(text: str) -> None:
                node.operations.add_event(operation, text)

            def note_point(name: str) -> None:
                if name in OperationState.__members__:
                    report(f"reached {name}")
                checkpoint(name)

            deployment = node.find_deployment(operation.deployment)
            row = node.find_revision(operation.deployment, operation.to_revision)
            if deployment is None or row is None:
                raise RuntimeError(f"the operation {operation.id} has no revision")
            order = UpdateOrder(
                deployment=operation.deployment,
                project=deployment.project,
                bundle=row.bundle,
                bundle_name=row.bundle_name,
                settings=row.settings,
                archive=None,
                expected=operation.from_revision,
                by=operation.by,
                kind=operation.kind,
                now=given.now,
            )
            context = UpdateContext(environ=environ, report=report, node_file=given.node, checkpoint=note_point)
            try:
                updater = Updater(node, deployment, context)
            except EngineError as problem:  # such as a node.yaml with errors
                node.operations.conclude(operation, OperationState.FAILED, RevisionState.FAILED, str(problem))
                return
            updater.carry_out(operation, order)


def _interrupt_process(_number: int, _frame: FrameType | None) -> None:
    raise KeyboardInterrupt


if __name__ == "__main__":
    try:
        carry_out_operation(sys.argv[1:], os.environ)
    except KeyboardInterrupt:
        sys.exit(130)
