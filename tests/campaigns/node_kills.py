"""Updates of a node over HTTP, killed at moments drawn at random: server, client, the update and what it has started.

    python tests/campaigns/node_kills.py --number 200 --seed 1

After each kill all operations must end, the deployment must be healthy at its old or a newer revision, each bundle that
is listed must be whole, and the bundle that was on its way can be sent again.
"""

import argparse
import random
import sys
import tempfile
import time
from collections import Counter
from pathlib import Path

sys.path.insert(0, str(Path(__file__).parents[2]))

from tests.node_api.killed_node import WAYS, KilledNode, kill_once


def main() -> None:
    """Run the campaign and print what the operations have come to."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--number", type=int, default=200)
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--minutes", type=float, default=600, help="Stop after so many minutes.")
    options = parser.parse_args()
    chosen, ends = random.Random(options.seed), Counter[tuple[str, str]]()
    until = time.monotonic() + 60 * options.minutes
    with tempfile.TemporaryDirectory(prefix="node-kills-") as temporary:
        killed = KilledNode(Path(temporary), options.seed)
        try:
            for number in range(options.number):
                if time.monotonic() > until:
                    break
                way = chosen.choice([one for one in WAYS if one != "proofs that hang"])
                ends[way, kill_once(killed, way)] += 1
                if number % 10 == 9:
                    print(f"{ends.total()} kills, revision {killed.read_active()} is active", flush=True)
        finally:
            killed.node.kill()
    for (way, state), count in sorted(ends.items()):
        print(f"{count:4} {way}: {state}")
    print(f"{ends.total()} kills, nothing was half made")


if __name__ == "__main__":
    main()
