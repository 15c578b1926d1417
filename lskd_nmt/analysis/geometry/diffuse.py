"""What `lskd diffuse` writes: the diffusion index of a teacher's students."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import asdict, dataclass, replace
from itertools import islice

import numpy as np

from lskd_nmt.analysis.features.folder import Described, Features, described, require_comparable
from lskd_nmt.analysis.geometry import diffusion_index, word_classes
from lskd_nmt.analysis.geometry.confusions import confusion_of
from lskd_nmt.analysis.geometry.diffusion_index import Arm, Assessed, ClassIndex
from lskd_nmt.analysis.geometry.word_classes import ClassChoice, ClassRows, frequent
from lskd_nmt.errors import require
from lskd_nmt.storage.arrays import Float64s, Mask
from lskd_nmt.storage.typed import Json, absent, record, to_json

DIFFUSION = (
    "η(i; S) = mean over j in S of (d₁(i, j) − d_T(i, j)) / d₁(i, j), with d(i, j) = ‖c_i − c_j‖ / mean over "
    "m ≠ i of ‖c_i − c_m‖; a working definition of ours, not that of Chandrasegaran et al. 2022"
)


@dataclass(frozen=True)
class Resampling:
    """How the diffusion index is measured."""

    similar: int = 3  # classes that count as similar to a class
    occurrences: int = 2000  # of a class, at most
    resamples: int = 1000
    seed: int = 12345


Students = Mapping[float, Sequence[Features]]  # by temperature, in one order of seeds


@record
class Diffusion:
    """What `lskd diffuse` writes; by temperature, as text, and by class, as its word."""

    analysis: str
    equation: str
    settings: dict[str, Json]
    features: dict[str, Described]
    occurrences: dict[str, int]
    similar: dict[str, list[str]]
    students: dict[str, Assessed]
    control: dict[str, Assessed] | None = absent()
    difference: dict[str, Assessed] | None = absent()  # the index of the students less that of the control's


def diffuse(
    teacher: Features,
    students: Students,
    control: Students,
    choice: ClassChoice,
    settings: Resampling,
    done: Callable[[int], None],
) -> Diffusion:
    """The diffusion index of a teacher's students, and less that of the control's, on the teacher's confusions.

    `done` is told how many resamples more are done.
    """
    groups = {"students": students, "control": control} if control else {"students": students}
    named = {
        f"{group} {t:g} ({number})": each
        for group, of in groups.items()
        for t, seeds in of.items()
        for number, each in enumerate(seeds, start=1)
    }
    require_comparable({"teacher": teacher, **named})
    require(settings.resamples > 0, f"--resamples is {settings.resamples}: give a number above 0")
    fewest = min(choice.minimum, settings.occurrences)
    require(fewest >= 20, f"--minimum or --occurrences is {fewest}: a mean state needs 20 occurrences or more")
    ids = frequent(teacher, choice)
    rows = word_classes.occurrences(teacher.target, ids, settings.occurrences, choice.seed)
    probabilities, _ = confusion_of(teacher, ids, rows)
    mask = diffusion_index.similar(probabilities, settings.similar)
    arms = united_arms(groups, teacher, rows, mask, settings, done)
    names = [teacher.symbols[i] for i in ids]
    return Diffusion(
        "diffusion",
        DIFFUSION,
        {**to_json(asdict(choice)), "resampling": to_json(asdict(settings))},
        {"teacher": described(teacher), **{name: described(each) for name, each in named.items()}},
        {name: len(mine) for name, mine in zip(names, rows, strict=True)},
        similar_words(names, probabilities, mask),
        **{group: assessed(arm, names) for group, arm in arms.items()},
        difference=diffusion_index.control(arms["students"], arms["control"]) if control else None,
    )


def united_arms(
    groups: Mapping[str, Students],
    teacher: Features,
    rows: ClassRows,
    mask: Mask,
    settings: Resampling,
    done: Callable[[int], None],
) -> dict[str, Arm]:
    """The index of each group, as the mean over its seeds."""
    there, places = np.unique(teacher.sentence, return_inverse=True)  # rows of the split -> 0 … S − 1
    states = {
        group: [
            {t: word_classes.taken(seeds[number].state, rows) for t, seeds in of.items()}
            for number in range(len(of[1.0]))
        ]
        for group, of in groups.items()
    }
    alone = iter(
        diffusion_index.arms(
            [each for of in states.values() for each in of],
            word_classes.taken(places, rows),
            len(there),
            mask,
            settings.resamples,
            settings.seed,
            done,
        )
    )
    return {group: diffusion_index.united(list(islice(alone, len(of)))) for group, of in states.items()}


def similar_words(names: Sequence[str], probabilities: Float64s, mask: Mask) -> dict[str, list[str]]:
    """The words that are similar to each word, the most probable first.   (K, K), (K, K)"""
    return {
        name: [names[j] for j in sorted(np.flatnonzero(near).tolist(), key=lambda j: -probabilities[i, j])]
        for i, (name, near) in enumerate(zip(names, mask, strict=True))
    }


def assessed(arm: Arm, names: Sequence[str]) -> dict[str, Assessed]:
    """The index at each temperature, with that of each class."""
    by_class = {
        f"{t:g}": {name: ClassIndex(float(near), float(far)) for name, near, far in zip(names, *each, strict=True)}
        for t, each in arm.by_class.items()
    }
    return {t: replace(each, by_class=by_class[t]) for t, each in diffusion_index.summary(arm).items()}
