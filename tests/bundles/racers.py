"""Sixteen processes that give one name to a bundle each, at once; prints what each of them was told, one line each.

They are forked from a process with all imports done, and start when a pipe is closed. The registry is that of a spec.
"""

import os
import sys
from pathlib import Path

from engine.bundles.project_bundles import require_published
from engine.errors import BundleError
from engine.spec import load

registry = require_published(load(Path(sys.argv[1])))
start, closed = os.pipe()
children = []
for archive in map(Path, sys.argv[2:]):
    child = os.fork()
    if not child:
        os.close(closed)
        os.read(start, 1)
        try:
            id_ = registry.put(archive)
            registry.assign("p", "v1", id_)
            os.write(1, f"won {id_}\n".encode())
        except BundleError as error:
            os.write(1, f"lost {error}\n".encode())
        os._exit(0)
    children.append(child)
os.close(closed)
for child in children:
    os.waitpid(child, 0)
