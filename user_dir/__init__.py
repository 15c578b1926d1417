"""fairseq plugin of lskd_nmt: `fairseq-train DATA --user-dir user_dir --criterion kd_ls …`."""

import warnings

from lskd_nmt.errors import LskdError
from lskd_nmt.fairseq_io import allow_safe_unpickling

from . import criterions  # noqa: F401
from .patches.batches import keep_batches_on_resume, keep_dummy_batch, refuse_no_batch
from .patches.building import explain_flags
from .patches.launch import join_launcher
from .patches.resume import explain_resume
from .patches.saving import copy_whole, save_or_leave_nothing
from .patches.validation import score_silence, tokenise_by_language
from .preflight import guard_training, refuse

# Hydra's advice to fairseq's authors: twenty lines before every command, and none of it is the user's to act on.
warnings.filterwarnings("ignore", category=UserWarning, module="hydra")
warnings.filterwarnings("ignore", message="\\s*'config' is validated against ConfigStore", category=UserWarning)

allow_safe_unpickling()
try:
    join_launcher()
except LskdError as error:
    refuse(str(error))
copy_whole()
save_or_leave_nothing()
guard_training()
keep_batches_on_resume()
keep_dummy_batch()
refuse_no_batch()
explain_flags()
explain_resume()
score_silence()
tokenise_by_language()
