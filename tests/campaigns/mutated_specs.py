"""Specs with random mistakes: every one loads or has diagnostics, and two environments agree on every word of them.

    .venv/bin/python tests/campaigns/mutated_specs.py
    .venv/bin/python tests/campaigns/mutated_specs.py --specs 20000 --seed 1 --against .lowest/bin/python

Takes the golden pairs of tests/spec and puts pieces of YAML, SQL and conditions into them at random. `--against` is the
Python of another environment, with other versions of libraries: what differs is printed.
"""

import argparse
import json
import os
import random
import subprocess
import sys
import tempfile
from pathlib import Path

from engine.errors import SpecError
from engine.spec import load
from engine.spec.diagnostics import render_diagnostics

GOLDEN = Path(__file__).parents[1] / "spec"
PIECES = ["x", ":", "${", "}", "]", "'", '"', "null", "3", "[]", "{}", "${name}", "*", ".nan", "|", ">", "&a ", "*a"]
PIECES += ["!", "%", "@", "#", "\\", "[[[", "(", ")", "&&", "1e999", "0x", "é"]
PIECES += ["", "\n", "\t", "- ", "? ", "---\n", "...\n", " AND ", "SELECT ", "\u2028", "9" * 30]


def mutated(chance: random.Random) -> str:
    """Return a spec of tests/spec with one to three mistakes more."""
    files = sorted(path for path in GOLDEN.glob("*/*.yaml") if path.stat().st_size < 20_000)
    text = chance.choice(files).read_text("utf-8", errors="replace")
    for _ in range(chance.randint(1, 3)):
        start = chance.randint(0, len(text))
        text = text[:start] + chance.choice(PIECES) + text[start + chance.choice([0, 0, 1, 2, 10, 40]) :]
    return text


def answers(specs: int, seed: int) -> list[str]:
    """Return what is said of each spec; anything but a SpecError ends the campaign."""
    chance = random.Random(seed)
    found = []
    with tempfile.TemporaryDirectory() as folder:
        os.chdir(folder)
        for _ in range(specs):
            Path("spec.yaml").write_text(mutated(chance), encoding="utf-8")
            try:
                found.append(render_diagnostics(load(Path("spec.yaml"), environ={}).warnings))
            except SpecError as wrong:
                found.append(render_diagnostics(wrong.diagnostics))
            except Exception:
                print(Path("spec.yaml").read_text("utf-8"), file=sys.stderr)
                raise
    return found


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--specs", type=int, default=5000)
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--against", type=Path, help="the Python of another environment")
    parser.add_argument("--json", action="store_true", help=argparse.SUPPRESS)
    asked = parser.parse_args()
    here = Path(__file__).resolve()
    against = asked.against and asked.against.absolute()
    ours = answers(asked.specs, asked.seed)
    if asked.json:
        print(json.dumps(ours))
        sys.exit()
    differences = 0
    if against:
        command = [against, here, "--json", "--specs", str(asked.specs), "--seed", str(asked.seed)]
        theirs = json.loads(subprocess.run(command, check=True, stdout=subprocess.PIPE, text=True).stdout)
        for one, other in zip(ours, theirs, strict=True):
            if one != other:
                differences += 1
                print(f"here:\n{one}\nthere:\n{other}\n")
    foreign = sum("this is not YAML" in answer for answer in ours)
    print(f"{len(ours)} specs; {differences} differ; {foreign} have words of libyaml")
    sys.exit(differences > 0)
