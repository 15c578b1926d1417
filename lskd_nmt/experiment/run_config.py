"""An experiment's YAML as records: what each key means and what it is where the YAML leaves it out.

`config.read_config` makes them of a YAML file and checks every value; a plan has them under `config`. There, keys that
are new since the plan was made have their defaults.
"""

from collections.abc import Mapping
from dataclasses import field

from lskd_nmt.storage.typed import Json, record

Flags = dict[str, Json]  # of a command, by their names without dashes


@record
class Method:
    """A method of distillation: the flags of kd_ls that make it."""

    about: str = ""  # what it is, and where from
    teacher: bool = True  # false: it reads none
    live: bool = False  # true: it needs the teacher itself, whatever `student.store` says
    flags: Flags = field(default_factory=dict)


@record
class DataConfig:
    """Which text: a prepared folder (`dir`), or a corpus and how it is prepared."""

    dir: str | None = None
    corpus: str | None = None
    source_lang: str | None = None
    target_lang: str | None = None
    train: str | None = None
    valid: str | None = None
    test: str | None = None
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


@record
class TeacherConfig:
    """The teachers: one for each label smoothing and seed."""

    arch: str = ""
    label_smoothing: tuple[float, ...] = (0.1,)
    smoothing_over: str = "others"
    average: dict[str, int] | None = None  # {"last": N} or {"best": N} checkpoints become one
    seed: int | None = None  # students of all seeds learn from this teacher; else each from that of its own seed
    run: str | None = None  # the run folder that has the teachers, which are not trained again
    train: Flags = field(default_factory=dict)


@record
class StudentConfig:
    """The students: plain ones, and those that learn of a teacher, by `methods` or by all combinations of settings.

    With `methods` the settings that a method's flags say are None.
    """

    arch: str = ""
    plain: bool = True
    label_smoothing: float = 0.0
    smoothing_over: str = "others"
    methods: dict[str, Method] | None = None
    temperature: tuple[float, ...] | None = (1.0,)
    kd_level: tuple[str, ...] | None = ("word",)
    hypotheses: tuple[str, ...] | None = ("beam",)
    kd_weight: tuple[float, ...] | None = (1.0,)
    tail: tuple[str, ...] | None = ("dense",)
    store: str = "none"
    temper: str | None = "both"
    temperature_squared: bool | None = True
    average: dict[str, int] | None = None
    train: Flags = field(default_factory=dict)


@record
class SeqkdConfig:
    """How a teacher translates the training source, and which of its translations are taken."""

    engine: str = "ctranslate2"
    quantization: str = "float32"
    beam: int = 5
    nbest: int = 1
    sampling: bool = False
    temperature: float = 1.0
    sampling_topk: int | None = None
    similarity: str = "bleu"
    max_ratio: float | None = None
    drop_copies: bool = False
    shard_sentences: int = 1000


@record
class DecodeConfig:
    """How the test set is decoded."""

    beam: int = 5
    lenpen: float = 1.0
    max_len_a: float = 1.5  # at most a · source length + b subwords
    max_len_b: int = 20
    max_tokens: int = 4000


@record
class RunConfig:
    """A whole experiment."""

    name: str = ""
    data: DataConfig = DataConfig()
    teacher: TeacherConfig = TeacherConfig()
    student: StudentConfig = StudentConfig()
    seqkd: SeqkdConfig = SeqkdConfig()
    train: Flags = field(default_factory=dict)  # flags of fairseq-train for all models
    seeds: tuple[int, ...] = (1,)
    decode: DecodeConfig = DecodeConfig()

    @property
    def methods(self) -> Mapping[str, Method]:
        """The methods of the students by name; none where settings are combined instead."""
        return self.student.methods or {}
