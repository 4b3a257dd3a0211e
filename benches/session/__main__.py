"""The entry point of `benches/gpu_session.sh`."""

import sys
from pathlib import Path

# The package itself, `report` and `run` beside it, and the peers' shapes.
BENCHES = Path(__file__).resolve().parent.parent
sys.path.insert(0, str(BENCHES))
sys.path.append(str(BENCHES / "peers"))
# The folder may be read-only, and belongs to a checkout.
sys.dont_write_bytecode = True

from session.cli import main  # noqa: E402

if __name__ == "__main__":
    sys.exit(main())
