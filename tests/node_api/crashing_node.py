"""`engine serve --node` whose operations end themselves where a file says: crashing_node.py FILE ARGUMENT….

What carries out its operations is crashing_update.py, which takes the point from the file. While it is empty, nothing
ends itself. A point is taken once: the file is emptied before.
"""

import sys
from pathlib import Path

from engine.cli.main import main
from engine.service.deployments.node.updates import NodeUpdates

PROGRAM = Path(__file__).with_name("crashing_update.py")

if __name__ == "__main__":
    NodeUpdates.program = (str(PROGRAM), sys.argv[1])
    sys.argv = [sys.argv[0], *sys.argv[2:]]
    main()
