"""What it costs to pack, verify and lay down a large bundle, beside sha256sum of its files and cp with sync.

    python tests/benchmarks/bundles.py --megabytes 1000

Files of random bytes: one half in one file, the rest in a hundred. `copy` is cp with sync: what any program takes to
bring so many bytes to the disk. What is asked for is at least 0.7 of the speed of sha256sum; where the disk is slower
than that, laying down cannot be faster than `copy`.
"""

import argparse
import os
import shutil
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable
from pathlib import Path

from timing import Cost, in_turns, machine

from engine.bundles.archive_checks import verify_archive
from engine.bundles.archive_writing import Content, describe_content, write_archive
from engine.bundles.extraction import extract_archive, remove_extracted
from engine.bundles.manifest import Manifest, Provenance

PROVENANCE = Provenance(created="2026-11-28T23:00:00Z", by="ada", engine="0.1", python="3.11")
SMALL_FILES = 100


def write_files(folder: Path, size: int) -> dict[str, Content]:
    """Write the files of a bundle of about so many bytes, and return them by their name there."""
    sizes = {"data/large.bin": size // 2}
    sizes |= {f"data/part_{number:03}.bin": size // 2 // SMALL_FILES for number in range(SMALL_FILES)}
    (folder / "data").mkdir()
    for name, bytes_ in sizes.items():
        with (folder / name).open("wb") as file:
            for start in range(0, bytes_, 1 << 20):
                file.write(os.urandom(min(1 << 20, bytes_ - start)))
    (folder / "spec.yaml").write_text("version: 1\nproject: p\n")
    return {name: folder / name for name in (*sizes, "spec.yaml")}


def run_command(*arguments: object) -> Cost:
    """Run a command; return its seconds."""
    before, wall = os.times(), time.perf_counter()
    subprocess.run([str(one) for one in arguments], check=True, stdout=subprocess.DEVNULL)
    wall, after = time.perf_counter() - wall, os.times()
    cpu = after.children_user + after.children_system - before.children_user - before.children_system
    return Cost(wall, cpu)


def main(megabytes: int, turns: int) -> None:
    """Measure, and print the seconds and the ratios."""
    with tempfile.TemporaryDirectory(prefix="bundle-speed-", dir=Path.cwd()) as temporary:
        folder = Path(temporary)
        (folder / "files").mkdir()
        contents = write_files(folder / "files", megabytes * 1_000_000)
        archive, release = folder / "bundle.zip", folder / "release"

        def pack() -> str:
            files = {name: describe_content(one, "data") for name, one in contents.items()}
            manifest = Manifest(project="p", spec="spec.yaml", release_notes="", files=files, datasets={})
            return write_archive(archive, manifest, contents, PROVENANCE)

        id_ = pack()

        def remove_release() -> None:
            if release.exists():
                remove_extracted(release)

        def copy() -> Cost:
            shutil.rmtree(folder / "copy", ignore_errors=True)
            return run_command("sh", "-c", f"cp -r {folder / 'files'} {folder / 'copy'} && sync -f {folder / 'copy'}")

        tasks: dict[str, Callable[[], object]] = {
            "sha256sum": lambda: run_command("sha256sum", *contents.values()),
            "copy": copy,
            "pack": pack,
            "verify": lambda: verify_archive(archive),
            "remove": remove_release,
            "lay down": lambda: extract_archive(archive, release, id_),
        }
        print(f"{megabytes} MB in {len(contents)} files; {machine()}")
        found = in_turns(turns, tasks)
        remove_release()
    bare = found["sha256sum"]
    for name, one in found.items():
        print(
            f"{name:10} {one.wall:6.2f} s {one.cpu:6.2f} s of CPU; speed / sha256sum: "
            f"{bare.wall / max(one.wall, 1e-9):5.2f} by the wall, {bare.cpu / max(one.cpu, 1e-9):5.2f} by CPU"
        )


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--megabytes", type=int, default=1000)
    parser.add_argument("--turns", type=int, default=3)
    given = parser.parse_args()
    sys.exit(main(given.megabytes, given.turns))
