"""What fairseq's own parser, and then the plugin, say of the words of a training command."""

import contextlib
import difflib
import importlib.util
import io
import re
import sys
from argparse import Action, Namespace
from collections.abc import Iterable, Mapping, Sequence

from lskd_nmt.errors import LskdError
from lskd_nmt.fairseq_io.models import not_left_to_right
from lskd_nmt.fairseq_io.plugin import load_plugin, quiet

LONGEST = 300  # letters of what is shown of a line of others


def flag_complaint(command: Sequence[str]) -> tuple[str, str] | None:
    """The flag of a fairseq-train command that is refused (or an empty name), and why; None if all are taken.

    `command` begins with two words that are no flags: the program and the data. Values that fairseq evaluates are
    literals (`flag_values`); what fairseq and the plugin print is not shown.
    """
    if importlib.util.find_spec("fairseq") is None:
        return None  # nothing can be trained here: the machine that trains asks again
    with quiet(), contextlib.redirect_stderr(io.StringIO()), contextlib.redirect_stdout(io.StringIO()):
        load_plugin()
        return complaint_of(list(command[1:]))


def model_settings(command: Sequence[str]) -> dict[str, object]:
    """The settings of the model that a fairseq-train command builds, by their names, as `section` has a checkpoint's.

    The command is one that `flag_complaint` does not refuse, with the place of the plugin as it is run.
    """
    with quiet(), contextlib.redirect_stderr(io.StringIO()), contextlib.redirect_stdout(io.StringIO()):
        load_plugin()
        from fairseq import options

        args, _ = options.parse_args_and_arch(options.get_training_parser(), list(command[1:]), parse_known=True)
    return dict(vars(args))


class _RefusedError(Exception):
    """What argparse would print before it ends the process."""


def complaint_of(words: list[str]) -> tuple[str, str] | None:
    """What is wrong with the words behind the program's name, as `flag_complaint` returns it; the plugin is loaded."""
    from fairseq import options

    complaint = arch_complaint(words[words.index("--arch") + 1])
    if complaint is not None:
        return complaint
    parser = options.get_training_parser()

    def refuse(message: str) -> None:
        raise _RefusedError(message)

    parser.error = refuse
    try:
        args, unknown = options.parse_args_and_arch(parser, words, parse_known=True)
    except _RefusedError as error:
        found = re.match(r"argument --([\w-]+)[^:]*: (.*)", str(error), re.DOTALL)
        return (found[1], f"is refused by fairseq: {short(found[2])}") if found else ("", short(str(error)))
    except SystemExit:
        return "help", "ends fairseq before it trains: remove it"
    except Exception as error:  # whatever its parts raise of a value: it could not be trained with
        return "", f"fairseq does not take its flags: {type(error).__name__}: {short(str(error))}"
    known = parser._option_string_actions
    return unknown_complaint(unknown, args, words, known) or twice(words, known) or plugins_complaint(args)


def arch_complaint(arch: str) -> tuple[str, str] | None:
    """What is wrong with the name of an arch."""
    from fairseq.models import ARCH_MODEL_REGISTRY, FairseqEncoderDecoderModel, FairseqMultiModel

    if arch not in ARCH_MODEL_REGISTRY:
        return "arch", f"is {arch}, and fairseq has no such arch: the nearest is {nearest(arch, ARCH_MODEL_REGISTRY)}"
    if not issubclass(ARCH_MODEL_REGISTRY[arch], FairseqEncoderDecoderModel | FairseqMultiModel):
        return "arch", f"is {arch}, which does not translate: give an arch with an encoder and a decoder"
    reason = not_left_to_right(arch)  # as the plugin asks before it trains
    return ("arch", f"is {arch}, which {reason}: give an encoder-decoder") if reason else None


def unknown_complaint(
    unknown: list[str], args: Namespace, words: list[str], known: Mapping[str, Action]
) -> tuple[str, str] | None:
    """The first of the words that the parser did not know."""
    if not unknown:
        return None
    first = unknown[0]
    if first.startswith("--"):
        near = nearest(first[2:], [name[2:] for name in known if name.startswith("--")])
        return (
            first[2:],
            f"is no flag of fairseq-train with --arch {args.arch} and --optimizer {args.optimizer}: "
            f"the nearest is {near}",
        )
    flag = words[words.index(first) - 1].removeprefix("--")
    return flag, f"is {first}, it must be true or false"


def twice(words: list[str], known: Mapping[str, Action]) -> tuple[str, str] | None:
    """Two names of one flag that are both given."""
    by_action: dict[int, str] = {}
    for word in words:
        if word in known and by_action.setdefault(id(known[word]), word) != word:
            return word[2:], f"is another name of {by_action[id(known[word])][2:]}: give one of them"
    return None


def plugins_complaint(args: Namespace) -> tuple[str, str] | None:
    """What kd_ls would refuse before the first batch, of flags alone."""
    flags, compatible = (sys.modules[f"user_dir.criterions.{name}"] for name in ("flags", "compatible"))
    args.max_update = args.max_update or 0
    try:
        flags.options_of(args)
        compatible.check_flags(args, bool(getattr(args, "eval_bleu", False)), args.best_checkpoint_metric)
    except LskdError as error:
        found = re.match(r"--([\w-]+) (.*)", str(error), re.DOTALL)
        return (found[1], found[2]) if found else ("", str(error))
    return None


def nearest(word: str, known: Iterable[str]) -> str:
    """The name that looks most like a word."""
    found: list[str] = difflib.get_close_matches(word, list(known), n=1, cutoff=0)
    return found[0]


def short(text: str) -> str:
    """One line, and not long."""
    line = " ".join(text.split())
    return line if len(line) <= LONGEST else f"{line[:LONGEST]} …"
