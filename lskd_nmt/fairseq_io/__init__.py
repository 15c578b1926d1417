"""What is read from fairseq and written for it: the only room that knows its files, models and flags.

fairseq is imported inside of functions, so that importing this room takes no time and does not need it.

    checkpoints   `read_checkpoint` unpickles data and no code; `weights`, `section`, `positions` look into what it
                  returns; `load_model` builds the model
    directions    `direction`: in which of its two directions a folder is read
    data          binarised folders: `language_pair`, `translation_data`, `piece_lines`; `write_pairs` writes one
    dictionaries  `read_symbols` gives the `DictionaryPair` of a folder, by which teacher and student are compared
    models        their settings, parts and device; `log_probs` of the tokens of a batch; `generate` translates
    inference     a transformer without gradient; imported by itself, as it needs torch
    plugin        where `user_dir` is, and `load_plugin`; `quiet` holds back what fairseq says on import
    transformer_parts   a transformer's weights by their parts, without fairseq
    flags         `flag_complaint` asks fairseq's own parser about the words of a training command

`known_flags`, `flag_values` and `literals` judge flags without fairseq; `types` names the keys of a checkpoint.
"""

from lskd_nmt.fairseq_io.binarised import require_data, split_ids
from lskd_nmt.fairseq_io.checkpoints import (
    SYMBOLS_KEY,
    allow_safe_unpickling,
    load_model,
    max_source_positions,
    of_data,
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
from lskd_nmt.fairseq_io.directions import direction, trained_direction
from lskd_nmt.fairseq_io.finite import require_finite
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
from lskd_nmt.fairseq_io.training_flags import flag_complaint, model_settings

__all__ = [
    "SYMBOLS_KEY",
    "DictionaryPair",
    "allow_safe_unpickling",
    "arch_settings",
    "device",
    "dictionaries",
    "direction",
    "flag_complaint",
    "generate",
    "gpus",
    "is_recurrent",
    "is_translation",
    "language_pair",
    "load_model",
    "load_plugin",
    "log_probs",
    "max_source_positions",
    "model_settings",
    "net_input",
    "not_left_to_right",
    "of_data",
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
    "split_ids",
    "target_counts",
    "tied_output",
    "trained_direction",
    "transformer_settings",
    "translation_data",
    "unwrapped",
    "weights",
    "write_pairs",
]
