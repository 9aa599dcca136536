"""``python -m ks100.cli``: the command ``ks100`` if it is not on the path."""

from __future__ import annotations

import sys

from ks100_start import main

if __name__ == "__main__":
    sys.exit(main())
