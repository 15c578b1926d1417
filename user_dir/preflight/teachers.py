"""What gives a training its teacher: checkpoints, a store of their probabilities, or hypotheses; refused if unfit."""

from collections.abc import Sequence
from pathlib import Path

from fairseq.dataclass.configs import FairseqConfig

from lskd_nmt.errors import require
from lskd_nmt.fairseq_io import DictionaryPair
from lskd_nmt.seqkd import store as hypotheses
from lskd_nmt.storage.files import sha256
from lskd_nmt.storage.header import read_header
from lskd_nmt.teacher import online, store
from lskd_nmt.teacher.coverage import data_hashes, require_pairs

from ..criterions.flags import options_of
from .lengths import Split, require_stored, require_taken
from .precision import check_recurrent


def check_teachers(cfg: FairseqConfig, student: DictionaryPair, splits: Sequence[Split], longest: int | None) -> int:
    """Refuse teachers that could not be asked; their parameters. `longest`: target symbols of a hypothesis."""
    paths = online.split_paths(cfg.criterion.teacher_path)
    facts = [online.check(path, student, cfg.criterion.teacher_data) for path in paths]
    check_recurrent(cfg, [teacher.arch for teacher in facts])
    for teacher in facts:
        if longest is None:
            require_taken(splits, teacher.path, teacher.positions)
            continue
        train = [split for split in splits if split.name == cfg.dataset.train_subset]
        require_taken(train, teacher.path, teacher.positions, sides=[0])
        most = teacher.positions[1]
        require(
            most is None or longest <= most,
            f"teacher {teacher.path} takes {most} target symbols and --hypotheses "
            f"{cfg.criterion.hypotheses} have up to {longest}: decode shorter ones",
        )
    return sum(teacher.parameters for teacher in facts)


def check_store(cfg: FairseqConfig, student: DictionaryPair, splits: Sequence[Split]) -> None:
    """Refuse a store that cannot stand for the teacher of this training."""
    folder, task = cfg.criterion.teacher_store, cfg.task._name
    require(task == "translation", f"--teacher-store is for the translation task, this is {task}: use --teacher-path")
    opened = store.check(folder, student, cfg.criterion.temperature)
    options_of(cfg.criterion, opened.layout.kept)  # no more symbols than the store keeps
    data, names = cfg.task.data, [cfg.dataset.train_subset, *cfg.dataset.valid_subset.split(",")]
    if cfg.criterion.hypotheses:  # the teacher is asked about its own translations
        data, names = f"{cfg.criterion.hypotheses}/{hypotheses.BIN}", [cfg.dataset.train_subset]
    require_pairs(opened, data, student.langs, names)
    if not cfg.criterion.hypotheses:
        require_stored(splits, opened)


def check_hypotheses(cfg: FairseqConfig, student: DictionaryPair) -> tuple[float, int]:
    """Refuse hypotheses not of this training's data; how many of a sentence are learned, and the longest's symbols."""
    task = cfg.task._name
    require(task == "translation", f"--hypotheses is for the translation task, this is {task}: train on its bin folder")
    require(not cfg.task.truncate_source, "--hypotheses are of whole sentences: leave out --truncate-source")
    require(
        not cfg.distributed_training.broadcast_buffers or cfg.distributed_training.distributed_world_size == 1,
        "--hypotheses with --broadcast-buffers leaves workers waiting for each other: leave it out",
    )
    opened = hypotheses.check(cfg.criterion.hypotheses, student)
    longest, most = opened.header.longest, cfg.task.max_target_positions
    require(
        longest <= most,
        f"--hypotheses {cfg.criterion.hypotheses} have up to {longest} subwords and "
        f"--max-target-positions is {most}: raise it",
    )
    if str(cfg.criterion.kd_level) == "both":
        check_own_prefixes(cfg, opened)
    if opened.header.mixture is not None:
        given = data_hashes(cfg.task.data, student.langs, [cfg.dataset.train_subset])
        require(
            list(given.values()) == list(opened.header.data.values()),
            f"--hypotheses {cfg.criterion.hypotheses} hold monolingual text, so they are of the pairs of their own "
            f"corpus alone: train on {cfg.criterion.hypotheses}/{hypotheses.BIN}",
        )
    require_pairs(opened, cfg.task.data, student.langs, [cfg.dataset.train_subset])
    return opened.per_sentence(cfg.criterion.hypotheses_drawn), longest


def check_own_prefixes(cfg: FairseqConfig, opened: hypotheses.HypothesisStore) -> None:
    """Refuse a teacher that did not decode the hypotheses."""
    flags = cfg.criterion
    if flags.teacher_store:
        given = {entry.sha256 for entry in read_header(flags.teacher_store, store.KIND, store.StoreHeader).teacher}
    else:
        given = {sha256(Path(path)) for path in online.split_paths(flags.teacher_path) if Path(path).is_file()}
    decoders = [decoding.teacher for decoding in opened.header.decoded or []]
    names = ", ".join(sorted({entry.file for teacher in decoders for entry in teacher}))
    unread = not given and not flags.teacher_store  # a teacher that is not there is refused by its own line
    require(
        unread or any(given and given == {entry.sha256 for entry in teacher} for teacher in decoders),
        f"--hypotheses {flags.hypotheses} are of another teacher ({names}) than "
        f"{flags.teacher_store or flags.teacher_path}: decode with this one, or use "
        "--kd-level sequence",
    )
