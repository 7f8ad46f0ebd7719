"""``python -m sigmamind_async`` is the command ``sigmamind``."""

import sys

from sigmamind_async.cli import main

if __name__ == "__main__":
    sys.exit(main())
