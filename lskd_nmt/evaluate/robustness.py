"""What `lskd robustness` writes, as types: read by tables, figures and the page."""

from dataclasses import field

from lskd_nmt.storage.typed import AnyFloat, absent, record


@record
class Measured:
    """A measure in percent with its 95 % interval; None: without one.

    Of a share, `count` of `of` are counted, summed over seeds. `difference` is to the model that stands beside.
    """

    value: AnyFloat
    low: AnyFloat | None
    high: AnyFloat | None
    count: int | None = absent()
    of: int | None = absent()
    difference: "Measured | None" = absent()


@record
class Definition:
    """What a measure is."""

    title: str
    about: str
    higher_is_better: bool = False


@record
class PerturbedText:
    """A change of the sources, and how many it changes."""

    about: str
    sentences: int


@record
class RobustModel:
    """The seeds of a model: measures of their own translations, and by perturbation."""

    name: str
    role: str  # reference, teacher or student
    seeds: tuple[int, ...]
    members: tuple[str, ...]
    texts: dict[str, Measured]
    perturbed: dict[str, dict[str, Measured]]
    beside: str | None = None  # the model that differences are to
    engines: tuple[str, ...] = ()
    not_decoded: str | None = None  # why nothing was translated anew


@record
class Example:
    """A translation with a defect; of a memorised one the training pair that it is of."""

    model: str
    defect: str
    row: int
    source: str
    translation: str
    reference: str
    training_source: str | None = absent()
    training_target: str | None = absent()


@record
class Examples:
    """The first sentences with each defect."""

    examples: tuple[Example, ...] = ()


@record
class Robustness:
    """All models of a run beside each other."""

    test_sentences: int
    training_pairs: int
    definitions: dict[str, Definition]  # of measures of the models' own translations
    perturbed_definitions: dict[str, Definition]
    perturbations: dict[str, PerturbedText]
    models: tuple[RobustModel, ...]
    sha256: dict[str, str] = field(default_factory=dict)  # of the texts: of each model, and of test and train
    sentences: Examples | None = absent()
