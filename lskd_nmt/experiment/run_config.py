"""An experiment's YAML as records: what each key means and what it is where the YAML leaves it out.

`config.read_config` makes them of a YAML file and checks every value; a plan has them under `config`. There, keys that
are new since the plan was made have their defaults.
"""

from collections.abc import Mapping
from dataclasses import field

from lskd_nmt.decode_settings import DecodeSettings
from lskd_nmt.losses.settings import DEFAULTS
from lskd_nmt.storage.typed import Json, absent, record

Flags = dict[str, Json]  # of a command, by their names without dashes
SEARCH = DecodeSettings()
# The weight of a YAML that names none. `kd_ls` itself, and a method's file, then mix teacher and reference in equal
# parts (`losses.settings`). Experiments compare what teachers give, and so their students learn of nothing else; runs
# and the names of their models, which have no weight of 1 in them, depend on it.
KD_WEIGHT = 1.0


@record
class Method:
    """A method of distillation: the flags of kd_ls that make it."""

    about: str = ""  # what it is, and where from
    teacher: bool = True  # false: it reads none
    live: bool = False  # true: it needs the teacher itself, whatever `student.store` says
    flags: Flags = field(default_factory=dict)


@record
class DataConfig:
    """The bitext: a prepared folder (`dir`), or a corpus and how it is prepared. What is None, data-prep decides."""

    dir: str | None = None
    corpus: str | None = None
    source_lang: str | None = None
    target_lang: str | None = None
    train: str | None = None
    valid: str | None = None
    test: str | None = None
    tests: dict[str, str] | None = absent()  # test sets by their names; the first is `test` where nothing else is
    raw_dir: str | None = None
    form: str | None = None
    vocab_size: int | None = None
    pairs: int | None = None
    seed: int | None = None
    expected_counts: str | None = None
    subwords: str | None = None
    spm_sentences: int | None = None
    max_words: int | None = None
    max_ratio: float | None = None
    drop_empty: bool | None = None
    keep_repeated: bool | None = None
    workers: int | None = None
    tokenize: str | None = None  # of BLEU, instead of the target language's own
    dictionary: str | None = absent()  # a folder of lskd import-teacher, by whose subwords the data are cut
    filters: str | None = absent()  # of train: names with commas between
    spm: str | None = absent()  # of a stock data-bin: its sentencepiece model


def brings_test(data: DataConfig) -> bool:
    """Whether the data have a test set of their own, beside which those of `tests` stand; else their first is it."""
    return data.corpus != "files" or data.test is not None


@record
class TeacherConfig:
    """The teachers: one for each label smoothing and seed, or the one that is there already, or none."""

    arch: str = ""
    label_smoothing: tuple[float, ...] = (0.1,)  # a teacher for each
    smoothing_over: str = DEFAULTS.smoothing_over
    average: dict[str, int] | None = None  # {"last": N} or {"best": N} checkpoints become one
    seed: int | None = None  # students of all seeds learn from this teacher; else each from that of its own seed
    run: str | None = None  # the run folder that has the teachers, which are not trained again
    train: Flags = field(default_factory=dict)
    origin: str | None = absent()  # `from` in the YAML: what is there already, KIND:PLACE, or none
    data: str | None = absent()  # where the dict.*.txt of a fairseq teacher are, if its checkpoint does not say
    source_lang: str | None = absent()  # the name of a language as a Hugging Face or CTranslate2 model has it
    target_lang: str | None = absent()
    prefix: str | None = absent()  # before every source
    prompt: str | None = absent()  # a file, of a language model
    tokenizer: str | None = absent()  # hf:DIR, of a CTranslate2 model that has none beside it

    @property
    def kind(self) -> str:
        """What is there already: fairseq, hf, ct2, translations or none; empty for teachers that are trained."""
        return (self.origin or "").partition(":")[0]

    @property
    def place(self) -> str:
        """The path or the name of what is there already."""
        return (self.origin or "").partition(":")[2]


@record
class InitConfig:
    """The layers of its teacher, counted from 0, that a student starts from."""

    encoder: tuple[int, ...]
    decoder: tuple[int, ...]


@record
class StudentConfig:
    """The students: plain ones, and those that learn of a teacher, by `methods` or by all combinations of settings.

    With `methods` the settings that a method's flags say are None.
    """

    arch: str = ""
    plain: bool = True
    label_smoothing: float = DEFAULTS.label_smoothing
    smoothing_over: str = DEFAULTS.smoothing_over
    methods: dict[str, Method] | None = None
    temperature: tuple[float, ...] | None = (DEFAULTS.temperature,)
    kd_level: tuple[str, ...] | None = (DEFAULTS.kd_level,)
    hypotheses: tuple[str, ...] | None = ("beam",)
    kd_weight: tuple[float, ...] | None = (KD_WEIGHT,)
    tail: tuple[str, ...] | None = (DEFAULTS.tail_in_use,)
    store: str = "none"
    temper: str | None = DEFAULTS.temper
    temperature_squared: bool | None = not DEFAULTS.no_temperature_squared
    average: dict[str, int] | None = None
    train: Flags = field(default_factory=dict)
    hypotheses_drawn: tuple[int, ...] | None = absent()  # at an update, of a choice of several; 0: all
    init: InitConfig | None = absent()  # of students that learn of a teacher; None: random weights


@record
class MonolingualConfig:
    """Text without a target side, which the teacher translates too."""

    files: tuple[str, ...] = ()
    share: float | None = None  # of the sentences that a student learns; None: all there are
    translations: tuple[str, ...] | None = absent()  # of each file, where they are there already


@record
class SeqkdConfig:
    """How a teacher translates the training source, and which of its translations are taken."""

    engine: str = SEARCH.engine
    quantization: str = SEARCH.quantization
    beam: int = SEARCH.beam
    nbest: int = SEARCH.nbest
    sampling: bool = SEARCH.sampling
    temperature: float = SEARCH.temperature
    sampling_topk: int | None = None
    similarity: str = "bleu"
    max_ratio: float | None = None
    drop_copies: bool = False
    shard_sentences: int = SEARCH.shard_sentences
    monolingual: MonolingualConfig | None = absent()
    filters: str | None = absent()  # of translations: names with commas between
    utility: str | None = absent()  # of mbr: chrf if not given, or bleu
    aggregate: bool | None = absent()  # of mbr: compare with the mean counts of all candidates
    scores: str | None = absent()  # a file with a score for each candidate
    score_command: str | None = absent()  # or a program that is asked for them, in the run folder
    score_batch: int | None = absent()  # candidates that it is asked about at a time
    drop_worst: float | None = absent()  # the share of all candidates with the lowest scores
    min_score: float | None = absent()
    reverse: str | None = absent()  # a checkpoint of the other direction, or a run with one: its worst are dropped
    drop_worst_reverse: float | None = absent()  # the share that goes by it
    forward: str | None = absent()  # a checkpoint of the data's direction, or `teacher`: they go by both


@record
class DecodeConfig:
    """How the test set is decoded."""

    engine: str = "auto"  # CTranslate2 where it translates as fairseq does, else fairseq
    beam: int = SEARCH.beam
    lenpen: float = SEARCH.lenpen
    max_len_a: float = SEARCH.max_len_a  # at most a · source length + b subwords
    max_len_b: int = SEARCH.max_len_b
    max_tokens: int = 4000


@record
class TrackConfig:
    """Where curves, results and costs of all models are logged, beside the run folder."""

    tensorboard: str | None = absent()  # a folder
    wandb: str | None = absent()  # a project of Weights & Biases


@record
class RunConfig:
    """A whole experiment: the keys of its YAML, section by section."""

    name: str = ""
    data: DataConfig = DataConfig()
    teacher: TeacherConfig = TeacherConfig()
    student: StudentConfig = StudentConfig()
    seqkd: SeqkdConfig = SeqkdConfig()
    train: Flags = field(default_factory=dict)  # flags of fairseq-train for all models
    seeds: tuple[int, ...] = (1,)
    decode: DecodeConfig = DecodeConfig()
    metrics: tuple[str, ...] | None = absent()  # the columns of the table, the main one first; None: the usual three
    metric_commands: dict[str, str] | None = absent()  # the commands of the metrics that programs compute
    track: TrackConfig = TrackConfig()

    @property
    def methods(self) -> Mapping[str, Method]:
        """The methods of the students by name; none where settings are combined instead."""
        return self.student.methods or {}
