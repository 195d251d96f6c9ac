"""Who may serve a project: one server at a time, and only from a state on a disk of its machine."""

from pathlib import Path

import pytest

from engine.errors import EngineError
from engine.service.leader_lock import LeaderLock, find_leader, refuse_network_folder


def test_one_server_at_a_time_holds_the_lock_and_notes_its_revision(tmp_path: Path) -> None:
    first, second = LeaderLock(tmp_path), LeaderLock(tmp_path)
    assert find_leader(tmp_path) is None
    assert (first.try_take(), second.try_take()) == (True, False)
    first.note_revision(3)
    found = find_leader(tmp_path)
    assert found is not None
    assert found.revision == 3
    first.release()
    assert find_leader(tmp_path) is None
    assert second.try_take()
    second.release()


def test_a_state_on_a_file_system_of_a_network_is_refused_with_what_to_do(tmp_path: Path) -> None:
    mounts = {Path("/"): "ext4", tmp_path / "share": "nfs4", tmp_path / "share" / "local": "xfs"}
    refuse_network_folder(tmp_path, mounts=mounts)
    refuse_network_folder(tmp_path / "share" / "local" / "state", mounts=mounts)
    with pytest.raises(EngineError) as refused:
        refuse_network_folder(tmp_path / "share" / "state", mounts=mounts)
    assert f"state folder {tmp_path}/share/state is on a file system of type nfs4" in str(refused.value)
    assert "set `state: {path: …}` to a folder on a disk of this machine" in str(refused.value)
