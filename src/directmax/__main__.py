"""`python -m directmax` is the same as `directmax`."""

import sys

from directmax.tool.start import main

sys.exit(main())
