"""Proofs about the machine that a release runs on: connections, channels, the state, disk space."""

import os
import shutil
from contextlib import suppress
from os.path import normpath

from engine.errors import DeliveryError, EngineError
from engine.formatting.lists import join_words
from engine.notifications.channel_reach import find_channel_refusal
from engine.notifications.channels import describe_channel, greet_channel
from engine.scenarios.preload.needed_connections import list_needed_connections
from engine.scenarios.preload.revision import ProofFailed, Revision
from engine.spec import ProjectSpec
from engine.spec.opened_connections import open_connection, open_object_folder, open_spark_session
from engine.spec.resources.connections import (
    Connection,
    DuckdbConnection,
    FileConnection,
    S3Connection,
    SparkConnection,
)
from engine.spec.secrets.values import Secrets
from engine.store.location import locate_state, resolve_state_folder


def prove_connections(revision: Revision) -> str:
    """Prove that each connection that the deployment reads from or writes to can be opened."""
    project = revision.loaded
    connections = list_needed_connections(project)
    for name, connection in connections.items():
        try:
            _try_connection(project, name, connection)
        except (EngineError, OSError) as problem:
            text = (problem.strerror or str(problem)) if isinstance(problem, OSError) else str(problem)
            raise ProofFailed(
                f"{name}: {text}; correct it, or replace it under `connections:` of the deployment"
            ) from None
    return join_words(connections) if connections else "no connections are needed"


def _try_connection(project: ProjectSpec, name: str, connection: Connection) -> None:
    folder = project.folder_of("connections", name)
    if isinstance(connection, FileConnection):
        root = folder / connection.root
        if not root.is_dir():
            raise ProofFailed(f"the folder {root} does not exist")
        next(root.iterdir(), None)  # raises if it cannot be read
    elif isinstance(connection, S3Connection):
        next(open_object_folder(project, name, Secrets(project, os.environ)).list_objects(), None)  # one page
    elif isinstance(connection, SparkConnection):
        open_spark_session(project, name, Secrets(project, os.environ))
    elif isinstance(connection, DuckdbConnection) and not (path := folder / connection.path).exists():
        if not path.parent.is_dir():  # the file itself may be made by a step
            raise ProofFailed(f"the folder {path.parent} does not exist")
    else:
        with open_connection(project, name, Secrets(project, os.environ), read_only=True):
            return


def prove_channels(revision: Revision) -> str:
    """Prove that each channel can be used; with `probe_channels`, that mail servers answer."""
    project, described = revision.loaded, []
    secrets = Secrets(project, os.environ)
    for name, channel in project.channels.items():
        try:
            if refusal := find_channel_refusal(project, name, secrets):
                raise DeliveryError(refusal)
            text = describe_channel(channel, secrets)
            if revision.request.probe_channels:
                text += greet_channel(channel, secrets, project.folder_of("channels", name))
        except DeliveryError as problem:
            raise ProofFailed(
                f"{name}: {secrets.redact(str(problem))}; correct it, or replace it under `channels:` of the deployment"
            ) from None
        described.append(f"{name}: {text}")
    return "; ".join(described) or "no channels are needed"


def prove_state(revision: Revision) -> str:
    """Prove that the state of the deployment can be written."""
    folder = resolve_state_folder(revision.loaded)
    probe = folder / f".writable.{os.getpid()}"
    try:
        folder.mkdir(parents=True, exist_ok=True)
        probe.write_bytes(b"x")
    except OSError as error:
        raise ProofFailed(f"{folder} cannot be written ({error.strerror}): give this user write access to it") from None
    finally:
        with suppress(OSError):
            probe.unlink(missing_ok=True)
    database = locate_state(revision.loaded).open_database()
    try:
        database.prove_usable()
    finally:
        database.close()
    rows = "" if database.name == "state.db" else f", and so can {database.name}"
    return f"{normpath(folder)} can be written{rows}"


def prove_disk(revision: Revision) -> str:
    """Prove that the disk has free space of at least twice the size of the release."""
    size = sum(file.size for file in revision.manifest.files.values())
    free = shutil.disk_usage(revision.request.released).free
    if free < 2 * size:
        raise ProofFailed(
            f"the disk has {free / 1e6:,.0f} MB left, but twice the release are {2 * size / 1e6:,.0f} MB: free "
            "some space"
        )
    return f"{free / 1e6:,.0f} MB are free, the release has {size / 1e6:,.1f} MB"
