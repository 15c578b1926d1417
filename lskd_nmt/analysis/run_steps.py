"""All analyses of a run, as calls of `lskd`."""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path

from lskd_nmt.analysis.features.folder import Sample
from lskd_nmt.analysis.model_groups import by_temperature, groups, name_of, shared
from lskd_nmt.errors import require
from lskd_nmt.experiment.records import PlannedModel
from lskd_nmt.experiment.run import Run
from lskd_nmt.storage.typed import read_record, record

OWN = "own"  # features of a model's own translations
TEXTS = ("--reference", "--source", "--train-target")  # of lskd diagnose


@record
class Sampled:
    """What is read of a features folder's header."""

    sample: Sample


@dataclass(frozen=True)
class Step:
    """One call of `lskd`: what it makes, and what that is made of."""

    words: Sequence[str]
    output: Path
    inputs: Sequence[Path]
    sample: int | None = None  # of features: the tokens that were asked for

    @property
    def is_done(self) -> bool:
        """Whether the output is there, of this sample, and no input is younger."""
        if not self.output.is_file():
            return False
        written = self.output.stat().st_mtime
        same = self.sample is None or read_record(self.output, Sampled).sample.tokens == self.sample
        return same and all(file.stat().st_mtime <= written for file in self.inputs if file.is_file())


class Analyses:
    """The steps over the trained models of a run."""

    def __init__(self, run: Run, tokens: int, device: str = "auto") -> None:
        """`tokens` are those of train in each model's sample."""
        self.run, self.tokens, self.device = run, tokens, device
        self.models = [model for model in run.models if (run.model_folder(model.name) / "model.pt").is_file()]
        self.teachers = [model for model in self.models if model.role == "teacher"]
        self.out = run.folder / "analysis"
        require(bool(self.models), f"{run.folder} has no trained model: train them first")

    def steps(self) -> list[Step]:
        """All steps, each after what it needs."""
        return [
            *self.features(),
            *self.calibrations(),
            *self.confidences(),
            *self.diffusions(),
            *self.projections(),
            *self.diagnoses(),
            *self.robustness(),
        ]

    def folder(self, model: PlannedModel, split: str) -> Path:
        """The folder of a model's features; `split` is train, valid or `OWN`."""
        return self.run.folder / "features" / f"{model.name}.{split}"

    def header(self, model: PlannedModel, split: str) -> Path:
        """The header of these features, which is written last."""
        return self.folder(model, split) / "header.json"

    def features(self) -> Iterable[Step]:
        """Of all models: the whole of valid, a sample of train, and the models' own translations of valid."""
        data, beam = self.run.plan.data, str(self.run.plan.decode.beam)
        kinds = {
            "valid": ["--split", "valid"],
            "train": ["--split", "train", "--tokens", str(self.tokens)],
            OWN: ["--split", "valid", "--own-output", beam],
        }
        for model in self.models:
            checkpoint = self.run.model_folder(model.name) / "model.pt"
            for kind, options in kinds.items():
                words = [
                    "features",
                    "--checkpoint",
                    str(checkpoint),
                    "--data",
                    str(self.run.data / "bin"),
                    "--source-lang",
                    data.source_lang,
                    "--target-lang",
                    data.target_lang,
                    *options,
                    "--device",
                    self.device,
                    "--out",
                    str(self.folder(model, kind)),
                ]
                yield Step(words, self.header(model, kind), [checkpoint], self.tokens if kind == "train" else None)

    def step(self, words: Sequence[str], out: Path, made: Path, features: Iterable[Path]) -> Step:
        """A step on features, by their headers."""
        return Step([*words, "--out", str(out)], made, list(features))

    def calibrations(self) -> Iterable[Step]:
        """Of each model on valid, after the reference's words and after its own."""
        for model in self.models:
            for kind, suffix in (("valid", ""), (OWN, f"-{OWN}")):
                file = self.out / f"calibration-{model.name}{suffix}.json"
                yield self.step(["calibrate", str(self.folder(model, kind))], file, file, [self.header(model, kind)])

    def confidences(self) -> Iterable[Step]:
        """Of all models of each seed side by side, against the student without KD if there is one."""
        for seed in sorted({model.seed for model in self.models if model.role == "student"}):
            members = [m for m in self.models if m.seed == seed or m in self.teachers]
            plain = [m.name for m in members if m.is_plain]
            smoothest = max(self.teachers, key=lambda m: (m.label_smoothing or 0, m.seed == seed), default=None)
            words = ["confidence", "--models", *(f"{m.name}={self.folder(m, 'valid')}" for m in members)]
            words += ["--baseline", plain[0]] if plain else []
            words += ["--teacher", smoothest.name] if smoothest else []
            file = self.out / f"confidence-s{seed}.json"
            yield self.step(words, file, file, [self.header(m, "valid") for m in members])

    def diffusions(self) -> Iterable[Step]:
        """Of each group that has T = 1 and others: students of the smoothest teacher, those of α = 0 as control.

        Temperatures that share other seeds with T = 1 are compared apart.
        """
        for key, members in groups(self.models).items():
            alphas = sorted({model.label_smoothing or 0.0 for model in members})
            treated = by_temperature(members, alphas[-1])
            control = by_temperature(members, 0) if alphas[0] == 0 and len(alphas) > 1 else {}
            parts = shared(treated, control)
            for temperatures, seeds in parts:
                used = [self.teacher_of(treated[1][seeds[0]])]
                words = ["diffuse", "--teacher", str(self.folder(used[0], "train"))]
                for flag, side in (("--students", treated), ("--control", control)):
                    if side:
                        words += [
                            flag,
                            *(
                                f"{t:g}=" + ":".join(str(self.folder(side[t][s], "train")) for s in seeds)
                                for t in (1, *temperatures)
                            ),
                        ]
                        used += [side[t][seed] for t in (1, *temperatures) for seed in seeds]
                suffix = "-t" + "-".join(f"{t:g}" for t in temperatures) if len(parts) > 1 else ""
                out = self.out / f"diffusion-{name_of(key)}{suffix}"
                yield self.step(words, out, out / "diffusion.json", [self.header(model, "train") for model in used])

    def teacher_of(self, model: PlannedModel) -> PlannedModel:
        """The teacher of a student, which need not be trained yet."""
        return self.run.model(str(model.teacher))

    def projections(self) -> Iterable[Step]:
        """Of each group, for its first seed: the planes at every α and T, words proposed by the smoothest teacher."""
        for key, members in groups(self.models).items():
            seed = min(model.seed for model in members)
            shown = [model for model in members if model.seed == seed]
            teacher = self.teacher_of(max(shown, key=lambda model: model.label_smoothing or 0))
            words = [
                "project",
                "--teacher",
                str(self.folder(teacher, "train")),
                "--models",
                *(f"{m.name}={self.folder(m, 'train')}:{self.folder(m, 'valid')}" for m in shown),
            ]
            out = self.out / f"projection-{name_of(key)}"
            used = [self.header(model, split) for model in shown for split in ("train", "valid")]
            yield self.step(words, out, out / "projection.json", [*used, self.header(teacher, "train")])

    def diagnoses(self) -> Iterable[Step]:
        """Of each teacher: its tail, and the test sentences that it translates well and its first student does not."""
        for teacher in self.teachers:
            out, students = self.out / f"diagnosis-{teacher.name}", self.students_of(teacher)
            words, used = ["diagnose", "--teacher", str(self.folder(teacher, "valid"))], [self.header(teacher, "valid")]
            texts = [self.run.text("test", "target"), self.run.text("test", "source"), self.run.text("train", "target")]
            pair = [self.translations(model) for model in (teacher, *students[:1])]
            if len(pair) == 2 and all(file.is_file() for file in (*pair, *texts)):
                words += ["--hypotheses", *map(str, pair)]
                words += [word for flag, file in zip(TEXTS, texts, strict=True) for word in (flag, str(file))]
                words += ["--tokenize", wish] if (wish := self.run.plan.data.tokenize) else []
                used += pair
            yield self.step(words, out, out / "diagnosis.json", used)

    def robustness(self) -> Iterable[Step]:
        """Of all models that have translations of the test set, those of others among them."""
        files = [file for model in self.run.models if (file := self.translations(model)).is_file()]
        texts = [self.run.text(split, side) for split in ("test", "train") for side in ("source", "target")]
        if files and all(file.is_file() for file in texts):
            words, made = ["robustness", str(self.run.folder), "--device", self.device], self.out / "robustness.json"
            yield self.step(words, self.out, made, files)

    def students_of(self, teacher: PlannedModel) -> list[PlannedModel]:
        """A teacher's trained students, in the order of the plan."""
        return [model for model in self.models if model.teacher == teacher.name]

    def translations(self, model: PlannedModel) -> Path:
        """A model's translations of the test set."""
        return self.run.model_folder(model.name) / "test.hyp"
