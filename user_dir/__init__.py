"""fairseq plugin of lskd_nmt: `fairseq-train DATA --user-dir user_dir --criterion kd_ls …`.

Importing it registers the criterion and lets torch read fairseq's checkpoints safely. What it changes in fairseq, and
when, is said in `patches`.
"""

import warnings

from lskd_nmt.errors import LskdError
from lskd_nmt.fairseq_io import allow_safe_unpickling

from . import criterions  # noqa: F401
from .patches import apply_at_import
from .patches.start import refuse

# Hydra's advice to fairseq's authors: twenty lines before every command, and none of it is the user's to act on.
warnings.filterwarnings("ignore", category=UserWarning, module="hydra")
warnings.filterwarnings("ignore", message="\\s*'config' is validated against ConfigStore", category=UserWarning)

# Not a change of fairseq: more types of plain data that `torch.load` may read, in whatever fairseq loads next.
allow_safe_unpickling()
try:
    apply_at_import()
except LskdError as error:
    refuse(str(error))
