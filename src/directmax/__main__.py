"""`python -m directmax` is the same as `directmax`."""

import sys

from directmax.tool.cli import main

sys.exit(main())
