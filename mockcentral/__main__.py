"""`python -m mockcentral`."""

import sys

from mockcentral.cli import main

sys.exit(main())
