"""`python -m lskd_nmt.cli VERB`, the same as `lskd VERB`."""

import sys

from lskd_nmt.cli import main

sys.exit(main())
