"""`python3 -m unittest discover -s benches/session/tests -t benches` runs them; they need no GPU."""

import sys
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parent.parent.parent))
