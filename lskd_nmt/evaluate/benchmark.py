"""What `lskd compare` measured, as types: size, scores and speed of models side by side, as compare.json has them."""

from dataclasses import field

from lskd_nmt.storage.typed import Json, absent, record, to_json

Number = int | float  # a whole number stays one when its file is written again


@record
class Spread:
    """A number that was measured several times."""

    median: Number
    smallest: Number
    largest: Number
    repeats: tuple[Number, ...]


@record
class Speed(Spread):
    """Output subwords a second with so many threads."""

    threads: int
    subwords: int = field(default=0, kw_only=True)  # that came out
    cores_busy: Number  # seconds of work a second: how many cores worked meanwhile


@record
class Latency:
    """Milliseconds of one sentence alone: the median and the 95th percentile over sentences."""

    median_ms: Spread
    p95_ms: Spread
    cores_busy: Number | None = None


@record
class Ratios:
    """A model's numbers over those of the first model."""

    megabytes: Number | None  # None, as are speeds: a translator of which translations alone are known
    subwords_per_second: tuple[Number, ...]  # in the order of the model's own
    bleu: Number | None  # None: the first model's BLEU is 0


@record
class BenchmarkedModel:
    """One model: what it is, how large, how good, how fast; of translations alone neither size nor speed is known."""

    name: str
    path: str = field(default="", kw_only=True)
    kind: str  # fairseq, ctranslate2 or translations
    quantization: str | None
    parameters: int | None
    megabytes: Number | None  # of 10⁶ bytes; of a checkpoint without the optimizer's state
    file_megabytes: Number | None
    bleu: Number
    chrf: Number
    subwords_per_second: tuple[Speed, ...]  # at each number of threads
    latency: Latency | None
    ratios: Ratios
    scores: dict[str, Number] | None = absent()  # by the metrics beside BLEU and chrF
    vocabulary_map: bool | None = absent()  # it translated with one, whose file counts as part of its size

    @property
    def all_scores(self) -> dict[str, Number]:
        """Its score by each metric of the comparison."""
        return {"bleu": self.bleu, "chrf": self.chrf, **(self.scores or {})}


@record
class ScoreSignature:
    """What a metric's score is of."""

    signature: str
    text: str


@record
class BenchmarkData:
    """The test set; older comparisons do not say what its references are."""

    folder: str = field(default="", kw_only=True)
    langs: tuple[str, str]
    form: str | None = field(default=None, kw_only=True)
    sentences: int
    references: str | None = None  # which text they are
    references_changed_by_subwords: int | None = None
    tokenizer: str | None = None  # of BLEU


@record
class BenchmarkSettings:
    """How the models translated."""

    split: str
    beam: int
    repeats: int
    sentences: int = field(default=0, kw_only=True)  # of which speed was measured; 0: all
    threads: int = field(default=1, kw_only=True)  # that counted as all
    batch_tokens: int
    tokenize: str | None = None  # of BLEU, if the user wished another tokeniser
    metrics: tuple[str, ...] | None = absent()  # beside BLEU and chrF
    within: str | None = absent()  # of the first model's score the smallest model is named
    without_map: tuple[str, ...] | None = absent()  # models whose vocabulary map was left out


@record
class Timed:
    """What was timed, and how busy the machine was before."""

    sentences: int
    load_before: Number
    batches: int


@record
class Host:
    """The machine."""

    system: str = ""
    machine: str = ""
    cores: int | None = None


@record
class Comparison:
    """What was measured of every model; ratios are to the first one."""

    settings: BenchmarkSettings
    data: BenchmarkData
    timed: Timed
    signatures: dict[str, ScoreSignature]  # by metric
    models: tuple[BenchmarkedModel, ...]


@record
class Benchmark(Comparison):
    """The content of compare.json: what was measured, by which command, where."""

    command: str
    commit: str | None
    host: Host

    @property
    def title(self) -> str:
        """What was compared: names, languages and split."""
        names = ", ".join(model.name for model in self.models)
        return f"{names}: {'-'.join(self.data.langs)}, {self.settings.split}"


def comparison_json(content: Comparison) -> dict[str, Json]:
    """A comparison as compare.json has it, where a speed begins with its number of threads."""
    found: dict[str, Json] = to_json(content)
    models = to_json(content.models)
    for model in models:
        model["subwords_per_second"] = [{"threads": each["threads"], **each} for each in model["subwords_per_second"]]
    return {**found, "models": models}
