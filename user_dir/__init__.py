"""fairseq plugin of lskd_nmt: `fairseq-train DATA --user-dir user_dir --criterion kd_ls …`."""

from lskd_nmt.fairseq_io import allow_safe_unpickling

from . import criterions  # noqa: F401
from .preflight import guard_training
from .resume import keep_batches_on_resume

allow_safe_unpickling()
guard_training()
keep_batches_on_resume()
