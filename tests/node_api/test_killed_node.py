"""Kill -9 of what takes part in an update of a node; `tests/campaigns/node_kills.py` kills more often."""

from collections.abc import Iterator

import pytest

from .killed_node import WAYS, KilledNode, kill_once

pytestmark = pytest.mark.slow


@pytest.fixture(scope="module")
def killed(tmp_path_factory: pytest.TempPathFactory) -> Iterator[KilledNode]:
    made = KilledNode(tmp_path_factory.mktemp("killed"), number=7)
    try:
        yield made
        made.node.end()
    finally:
        made.node.kill()


@pytest.mark.parametrize("way", WAYS)
def test_a_kill_leaves_a_healthy_deployment_and_whole_bundles(killed: KilledNode, way: str) -> None:
    kill_once(killed, way)
