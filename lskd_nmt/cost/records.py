"""`forecast.json`: what a run will cost, and what it was measured on. Words are target subwords."""

from dataclasses import field

from lskd_nmt.storage.typed import record

Number = int | float  # a whole number stays one when its file is written again


@record
class Speed:
    """A trial run: the speed of one kind of training."""

    models: list[str]  # the planned models of this kind
    words_per_second: float  # of training steps
    words_per_update: float
    startup_seconds: float  # everything that is neither a step nor a validation
    validation_seconds: float  # of one validation
    cpu_share: float  # CPU seconds in a second
    gpus: int
    peak_memory_mb: Number
    peak_gpu_memory_mb: Number | None
    parameters: int


@record
class TrainingCost:
    """What one planned training will take."""

    epochs: float
    updates: int
    at_most: bool  # it may stop early
    minutes: float
    cpu_minutes: float
    gpu_hours: float
    peak_memory_mb: Number
    peak_gpu_memory_mb: Number | None
    disk_mb: float


@record
class ModelForecast:
    """A planned model and what its training will take, as in `TrainingCost`; older versions said less."""

    name: str
    arch: str = ""
    targets: str = ""  # what it learns from, see `kinds.signal`
    after: str | None = None  # its teacher
    epochs: float = 0.0
    updates: int = 0
    at_most: bool = False
    minutes: float = 0.0
    cpu_minutes: float = 0.0
    gpu_hours: float | None = 0.0
    peak_memory_mb: Number | None = None
    peak_gpu_memory_mb: Number | None = None
    disk_mb: float = 0.0


@record
class Sweep:
    """All models together, `jobs` at a time."""

    jobs: int = 1
    wall_hours: float = 0.0
    cpu_hours: float = 0.0
    gpu_hours: float = 0.0
    checkpoints_mb: float = 0.0
    stores_mb: float = 0.0
    peak_memory_mb: Number | None = None
    peak_gpu_memory_mb: Number | None = None
    at_most: bool = False


@record
class Forecast:
    """A run: every model and all of them, with the trial runs behind the numbers."""

    other_load: float = 0.0  # cores that were busy with other work
    updates: int = 0  # of each trial run
    target_subwords: int = 0  # of the training data
    not_in_it: list[str] = field(default_factory=list)
    probes: list[Speed] = field(default_factory=list)
    models: list[ModelForecast] = field(default_factory=list)
    sweep: Sweep = Sweep()


@record
class Outcome:
    """A trained model: the forecast beside what it came to; a ratio above 1 took longer than was said."""

    name: str
    at_most: bool
    minutes: float
    actual_minutes: float
    minutes_ratio: float
    cpu_minutes: float
    actual_cpu_minutes: float
    cpu_minutes_ratio: float
    peak_memory_mb: Number | None
    actual_peak_memory_mb: Number | None
