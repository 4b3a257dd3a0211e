"""The entry point of `benches/gpu_session.sh`."""

import sys
from pathlib import Path

# The package itself, and `report` and `run` beside it.
sys.path.insert(0, str(Path(__file__).resolve().parent.parent))
# The folder may be read-only, and belongs to a checkout.
sys.dont_write_bytecode = True

from session.cli import main  # noqa: E402

if __name__ == "__main__":
    sys.exit(main())
