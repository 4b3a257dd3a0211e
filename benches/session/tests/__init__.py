"""Tests of the sessions, without a GPU.

`python3 -m unittest discover -s benches/session/tests -t benches` runs them.
"""

import sys
from pathlib import Path

BENCHES = Path(__file__).resolve().parent.parent.parent
sys.path.insert(0, str(BENCHES))
sys.path.append(str(BENCHES / "peers"))
