"""`python -m ccapi`: the same command as `ccapi`."""

import sys

from ccapi.cli.main import main

sys.exit(main())
