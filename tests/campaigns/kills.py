"""Kill -9 at many more moments than the gate has time for: runs of a project, and writers of a store.

    .venv/bin/python tests/campaigns/kills.py
    .venv/bin/python tests/campaigns/kills.py --kills 1000 --seed 1

The tests are those of the gate, `test_killed.py` of scenarios and of store, with more kills. 200 take a quarter of an
hour on two cores; another seed kills at other moments.
"""

import argparse
import os
import subprocess
import sys
from pathlib import Path

ROOT = Path(__file__).parents[2]
TESTS = ["tests/scenarios/test_killed.py", "tests/store/test_killed.py"]

if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--kills", type=int, default=200)
    parser.add_argument("--seed", type=int, default=7)
    asked = parser.parse_args()
    limit = str(60 * asked.kills)
    command = [sys.executable, "-m", "pytest", "-k", "killed_at", "-s", "-n", "0", "--timeout", limit, *TESTS]
    environment = os.environ | {"ENGINE_KILLS": str(asked.kills), "ENGINE_SEED": str(asked.seed)}
    sys.exit(subprocess.run(command, cwd=ROOT, env=environment, check=False).returncode)
