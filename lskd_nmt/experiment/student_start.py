"""`student.init`: students that start from layers of their teacher, planned, refused and made."""

import importlib.util
from dataclasses import replace
from pathlib import Path

from lskd_nmt import fairseq_io
from lskd_nmt.errors import LskdError, require
from lskd_nmt.experiment.records import Plan, PlannedData, PlannedModel
from lskd_nmt.experiment.run import Run
from lskd_nmt.experiment.run_config import Flags, InitConfig, RunConfig
from lskd_nmt.experiment.scripts import runnable, words_of
from lskd_nmt.storage.typed import Json

FILE = "init.pt"  # in the folder of the student
FLAG = "finetune-from-model"  # fairseq reads it as long as the training has no checkpoint of its own


def title(init: InitConfig) -> str:
    """A part of the student's name: `init0.3.5x0.5`."""
    return "init" + "x".join(".".join(map(str, layers)) for layers in (init.encoder, init.decoder))


def objective(init: InitConfig | None, name: str) -> Flags:
    """The flags of a student's training that name its start."""
    return {} if init is None else {FLAG: f"models/{name}/{FILE}"}


def planned(model: PlannedModel, init: InitConfig | None, data: PlannedData, dictionaries: str | None) -> PlannedModel:
    """A student with the command that makes its start."""
    if init is None:
        return model
    flags: Flags = {
        "checkpoint": f"models/{model.teacher}/model.pt",
        "encoder": listed(init.encoder),
        "decoder": listed(init.decoder),
        "data": f"{data.folder}/bin",
        "teacher-data": dictionaries,
        "source-lang": data.source_lang,
        "target-lang": data.target_lang,
        "out": f"models/{model.name}/{FILE}",
    }
    return replace(model, init_command=("lskd", "init-student", *words_of(flags)))


def listed(layers: tuple[int, ...]) -> Json:
    """Numbers of layers as a flag has them."""
    return ",".join(map(str, layers))


def require_startable(plan: Plan) -> None:
    """Refuse a plan with a student that cannot start as `student.init` says, before anything is trained."""
    init, asked = plan.config.student.init, set[tuple[object, ...]]()
    if init is None or importlib.util.find_spec("fairseq") is None:
        return  # nothing can be trained here: the machine that trains asks again
    models = {model.name: model for model in plan.models}
    for student in plan.models:
        teacher = models.get(student.teacher or "")
        if student.init_command is None or teacher is None:
            continue
        key = teacher.origin, teacher.arch, student.arch, *(teacher.train_command and (teacher.label_smoothing,))
        if key not in asked:
            asked.add(key)
            wrong = complaint(plan.config, init, teacher, student)
            require(wrong is None, f"student.init: {wrong}")


def complaint(config: RunConfig, init: InitConfig, teacher: PlannedModel, student: PlannedModel) -> str | None:
    """Why a student cannot start from its teacher, or None."""
    from lskd_nmt.teacher import first_layers  # noqa: PLC0415  torch

    theirs = fairseq_io.model_settings(runnable(teacher.train_command)) if teacher.train_command else None
    if theirs is None:
        place = Path(config.teacher.place)
        if not place.is_file():
            return None  # said elsewhere
        theirs = fairseq_io.section(fairseq_io.read_checkpoint(str(place), "teacher", built=False), "model")
    ours = fairseq_io.model_settings(runnable(student.train_command))
    layers = first_layers.Layers(init.encoder, init.decoder)
    wrong = first_layers.lacking(theirs, layers) or first_layers.wrong_count(layers, ours)
    return wrong or first_layers.misfit(theirs, ours)


def make(run: Run, model: PlannedModel) -> None:
    """Write the start of a student that has no checkpoint of its own yet."""
    folder, init = run.model_folder(model.name), run.plan.config.student.init
    if model.init_command is None or init is None or (folder / "checkpoints" / "checkpoint_last.pt").is_file():
        return
    from lskd_nmt.teacher import first_layers  # noqa: PLC0415  torch

    with fairseq_io.quiet():
        fairseq_io.load_plugin()
        symbols = fairseq_io.read_symbols(str(run.data / "bin"), run.plan.data.langs)
    if symbols is None:
        raise LskdError(f"{run.data}/bin has no dictionaries: prepare the data first")
    teacher = run.model_folder(str(model.teacher)) / "model.pt"
    layers = first_layers.Layers(init.encoder, init.decoder)
    first_layers.write(teacher, layers, folder / FILE, symbols, run.plan.config.teacher.data)
