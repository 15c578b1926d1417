"""What is read from and written for fairseq; the package's only fairseq imports, inside functions."""

from lskd_nmt.fairseq_io.binarised import require_data
from lskd_nmt.fairseq_io.checkpoints import (
    SYMBOLS_KEY,
    allow_safe_unpickling,
    load_model,
    max_source_positions,
    parameter_count,
    positions,
    read_checkpoint,
    section,
    weights,
)
from lskd_nmt.fairseq_io.data import (
    is_translation,
    language_pair,
    net_input,
    piece_lines,
    split_files,
    target_counts,
    translation_data,
    write_pairs,
)
from lskd_nmt.fairseq_io.dictionaries import DictionaryPair, dictionaries, read_dictionary, read_symbols
from lskd_nmt.fairseq_io.finite import require_finite
from lskd_nmt.fairseq_io.literals import is_literal
from lskd_nmt.fairseq_io.models import (
    arch_settings,
    device,
    generate,
    gpus,
    is_recurrent,
    log_probs,
    not_left_to_right,
    output_projection,
    own_transformer,
    several_pairs,
    tied_output,
    transformer_settings,
    unwrapped,
)
from lskd_nmt.fairseq_io.plugin import load_plugin, plugin_folder, quiet
from lskd_nmt.fairseq_io.training_flags import flag_complaint

__all__ = [
    "SYMBOLS_KEY",
    "DictionaryPair",
    "allow_safe_unpickling",
    "arch_settings",
    "device",
    "dictionaries",
    "flag_complaint",
    "generate",
    "gpus",
    "is_literal",
    "is_recurrent",
    "is_translation",
    "language_pair",
    "load_model",
    "load_plugin",
    "log_probs",
    "max_source_positions",
    "net_input",
    "not_left_to_right",
    "output_projection",
    "own_transformer",
    "parameter_count",
    "piece_lines",
    "plugin_folder",
    "positions",
    "quiet",
    "read_checkpoint",
    "read_dictionary",
    "read_symbols",
    "require_data",
    "require_finite",
    "section",
    "several_pairs",
    "split_files",
    "target_counts",
    "tied_output",
    "transformer_settings",
    "translation_data",
    "unwrapped",
    "weights",
    "write_pairs",
]
