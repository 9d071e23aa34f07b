"""`python -m watchmanager`."""

import sys

from watchmanager.cli import main

sys.exit(main())
