"""Kill -9 of writers of a state on PostgreSQL, and of moves of a state there, at many more moments than in the gate.

    .venv/bin/python tests/campaigns/state_on_postgresql_kills.py
    .venv/bin/python tests/campaigns/state_on_postgresql_kills.py --kills 600 --seed 1

The tests are those of the gate, `test_killed.py` of the store, with more kills; moves are killed a third as often.
"""

import argparse
import os
import subprocess
import sys
from pathlib import Path

ROOT = Path(__file__).parents[2]

if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--kills", type=int, default=200)
    parser.add_argument("--seed", type=int, default=7)
    asked = parser.parse_args()
    chosen = ["-k", "postgresql or move", "-n", "0", "--timeout", str(60 * asked.kills), "--durations", "2"]
    command = [sys.executable, "-m", "pytest", *chosen, "tests/store/test_killed.py"]
    environment = os.environ | {"ENGINE_KILLS": str(asked.kills), "ENGINE_SEED": str(asked.seed)}
    sys.exit(subprocess.run(command, cwd=ROOT, env=environment, check=False).returncode)
