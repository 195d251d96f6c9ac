"""Bundles: every pair of faults of an archive, every flipped bit, and the speed with a large file.

    .venv/bin/python tests/campaigns/hostile_bundles.py --pairs --bits
    .venv/bin/python tests/campaigns/hostile_bundles.py --megabytes 1000

Each pair of faults and each flip of one bit must be refused. The speed is that of packing, verifying and laying down
one file of random bytes, as a share of what `sha256sum` reaches with it; verifying must reach 0.7 of it.
"""

import argparse
import os
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable
from itertools import combinations
from pathlib import Path

sys.path.insert(0, str(Path(__file__).parents[1] / "bundles"))

from made import FAULTS, Hostile, make_archive, make_keys

from engine.bundles.archive_checks import verify_archive
from engine.bundles.archive_writing import describe_content, write_archive
from engine.bundles.extraction import extract_archive
from engine.bundles.manifest import Manifest, Provenance
from engine.errors import BundleError


def is_refused(archive: Path, content: bytes, key: object) -> bool:
    archive.write_bytes(content)
    try:
        verify_archive(archive, [key], require=1)
    except BundleError:
        return True
    return False


def count_pairs(folder: Path) -> int:
    """Return how many pairs of faults were not refused."""
    key, passed, tried = make_keys(folder, "ada"), 0, 0
    for pair in combinations(FAULTS, 2):
        hostile = Hostile(folder / "ada.private.pem")
        try:
            for fault in pair:
                FAULTS[fault](hostile)
            content, _ = hostile.build()
        except (IndexError, KeyError):
            continue  # one fault has taken away what the other changes
        tried += 1
        if not is_refused(folder / "hostile.zip", content, key):
            passed += 1
            print("not refused:", *pair, sep="\n  ")
    print(f"{tried:,} pairs of faults, {passed} not refused")
    return passed


def count_flips(folder: Path) -> int:
    """Return how many archives with one flipped bit were not refused."""
    key, passed = make_keys(folder, "bob"), 0
    make_archive(folder / "right.zip", private=folder / "bob.private.pem")
    content = (folder / "right.zip").read_bytes()
    for place in range(len(content)):
        for bit in range(8):
            flipped = bytearray(content)
            flipped[place] ^= 1 << bit
            if not is_refused(folder / "hostile.zip", bytes(flipped), key):
                passed += 1
                print(f"not refused: bit {bit} of byte {place}")
    print(f"{len(content) * 8:,} flipped bits, {passed} not refused")
    return passed


def measure_speed(folder: Path, megabytes: int) -> None:
    large = folder / "large.bin"
    with large.open("wb") as file:
        for _ in range(megabytes):
            file.write(os.urandom(1_000_000))
    manifest = Manifest(project="p", spec="large.bin", files={"large.bin": describe_content(large, "data")})
    archive = folder / "large.zip"
    actions: dict[str, Callable[[], object]] = {
        "sha256sum": lambda: subprocess.run(["sha256sum", large], check=True, capture_output=True),
        "describe": lambda: describe_content(large, "data"),
        "pack": lambda: write_archive(archive, manifest, {"large.bin": large}, Provenance()),
        "verify": lambda: verify_archive(archive),
        "lay down": lambda: extract_archive(archive, folder / f"laid{time.monotonic_ns()}", manifest.id),
    }
    least: dict[str, float] = {}
    for turn in range(3):
        for name, action in actions.items():
            if turn and name == "lay down":
                continue  # once is enough: it fills the disk
            start = time.monotonic()
            action()
            least[name] = min(least.get(name, 1e9), time.monotonic() - start)
    for name, seconds in least.items():
        print(f"{name:10} {megabytes / seconds:6.0f} MB/s  {least['sha256sum'] / seconds:5.2f} of sha256sum")


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--pairs", action="store_true")
    parser.add_argument("--bits", action="store_true")
    parser.add_argument("--megabytes", type=int, default=0)
    wanted = parser.parse_args()
    with tempfile.TemporaryDirectory() as name:
        passed = count_pairs(Path(name)) if wanted.pairs else 0
        passed += count_flips(Path(name)) if wanted.bits else 0
        if wanted.megabytes:
            measure_speed(Path(name), wanted.megabytes)
        subprocess.run(["chmod", "-R", "u+w", name], check=True)
    sys.exit(1 if passed else 0)
