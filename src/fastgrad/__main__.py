"""``python -m fastgrad`` is the ``fastgrad`` command."""

import sys

from fastgrad.cli import main

sys.exit(main())
