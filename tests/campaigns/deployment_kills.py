"""Updates of a deployment, killed after times drawn at random: there is one active revision, and nothing half made.

    python tests/campaigns/deployment_kills.py --number 200 --seed 1
    python tests/campaigns/deployment_kills.py --number 20 --proofs

Each round begins an update to a bundle that is healthy or to one that is not, and kills it; then what it has left is
concluded, and what must hold of an infrastructure is checked. With `--proofs`, the proofs and the health check run in
processes of their own, and the kill is of the deployer or of one of these; without, the health check is a hook, so that
a round takes less than a second.
"""

import argparse
import os
import random
import signal
import sys
import tempfile
import time
from collections import Counter
from contextlib import suppress
from pathlib import Path

from engine.service.deployments.deploying import deploy_bundle
from engine.service.deployments.directory_target import conclude_directory
from engine.spec import ProjectSpec, load
from engine.store.node import OperationState

sys.path.insert(0, str(Path(__file__).parents[2]))
from tests.deployments.deployed import HEALTH, HOOK, check_infrastructure, make_project
from tests.processes import list_descendants


def begin_update(project: ProjectSpec, bundle: str, *, proofs: bool) -> int:
    """Update in a forked process, which has imported all that it needs; return its id."""
    pid = os.fork()
    if pid:
        return pid
    try:
        os.chdir(project.folder)
        os.dup2(os.open(os.devnull, os.O_WRONLY), 2)
        deploy_bundle(project, "production", bundle, environ=os.environ, now=not proofs, again=True)
    finally:
        os._exit(0)


def main() -> None:
    """Run the campaign and print what the operations have come to."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--number", type=int, default=200)
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--proofs", action="store_true")
    options = parser.parse_args()
    chosen, killed = random.Random(options.seed), 0
    with tempfile.TemporaryDirectory(prefix="kills-") as temporary:
        folder = Path(temporary)
        make_project(folder, care=HEALTH if options.proofs else f"{HOOK}\nkeep: 2")
        os.chdir(folder)
        project = load(folder / "spec.yaml")
        first = deploy_bundle(project, "production", "v3", environ=os.environ, now=True)
        assert first.state is OperationState.HEALTHY, first
        began = time.monotonic()
        os.waitpid(begin_update(project, "v3", proofs=options.proofs), 0)
        longest = 1.3 * (time.monotonic() - began)  # of what one takes here, so that a kill may come anywhere in it
        for number in range(options.number):
            pid = begin_update(project, chosen.choice(["v3", "v3", "v4"]), proofs=options.proofs)
            time.sleep(chosen.uniform(0, longest))
            others = list_descendants(pid) if options.proofs and chosen.random() < 0.5 else []
            victim = chosen.choice(others) if others else pid
            with suppress(ProcessLookupError):
                os.kill(victim, signal.SIGKILL)
            killed += os.WIFSIGNALED(os.waitpid(pid, 0)[1])
            conclude_directory(folder / "automation", os.environ, lambda _: None)
            active, states = check_infrastructure(folder / "automation")
            assert active is not None
            if number % 20 == 19:
                print(
                    f"{number + 1} rounds: {dict(Counter(map(str, states)))}, revision {active} is active", flush=True
                )
    print(f"{options.number} rounds, {killed} deployers killed before their end; nothing was half made")


if __name__ == "__main__":
    main()
