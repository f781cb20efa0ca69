"""`python -m tigerfans`: the same as the command `tigerfans`."""

import sys

from tigerfans.cli import main

sys.exit(main())
