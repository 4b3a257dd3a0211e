"""`python3 -m unittest discover -s benches/session/tests -t benches` runs them; they need no GPU."""

import sys
from pathlib import Path

BENCHES = Path(__file__).resolve().parent.parent.parent
sys.path.insert(0, str(BENCHES))
sys.path.append(str(BENCHES / "peers"))
