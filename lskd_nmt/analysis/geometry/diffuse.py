"""What `lskd diffuse` writes: the diffusion index of a teacher's students."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import asdict, dataclass
from itertools import islice
from typing import Any

import numpy as np

from lskd_nmt.analysis.features.folder import Features, described, require_comparable
from lskd_nmt.analysis.geometry import diffusion_index, word_classes
from lskd_nmt.analysis.geometry.confusions import confusion_of
from lskd_nmt.analysis.geometry.word_classes import Choice, frequent
from lskd_nmt.errors import require

DIFFUSION = (
    "η(i; S) = mean over j in S of (d₁(i, j) − d_T(i, j)) / d₁(i, j), with d(i, j) = ‖c_i − c_j‖ / mean over "
    "m ≠ i of ‖c_i − c_m‖; a working definition of ours, not that of Chandrasegaran et al. 2022"
)


@dataclass(frozen=True)
class Resampling:
    """Of the diffusion index."""

    similar: int = 3
    occurrences: int = 2000  # of a class, at most
    resamples: int = 1000
    seed: int = 12345


Students = Mapping[float, Sequence[Features]]  # by temperature, in one order of seeds


def diffuse(
    teacher: Features,
    students: Students,
    control: Students,
    choice: Choice,
    settings: Resampling,
    done: Callable[[int], None],
) -> dict[str, Any]:
    """The diffusion index of a teacher's students, and less that of the control's, on the teacher's confusions."""
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
    arms = {group: diffusion_index.united(list(islice(alone, len(of)))) for group, of in states.items()}
    names = [teacher.symbols[i] for i in ids]
    content: dict[str, Any] = {
        "analysis": "diffusion",
        "equation": DIFFUSION,
        "settings": {**asdict(choice), "resampling": asdict(settings)},
        "features": {"teacher": described(teacher), **{name: described(each) for name, each in named.items()}},
        "occurrences": {name: len(mine) for name, mine in zip(names, rows, strict=True)},
        "similar": {
            name: [names[j] for j in sorted(np.flatnonzero(near), key=lambda j: -probabilities[i, j])]
            for i, (name, near) in enumerate(zip(names, mask, strict=True))
        },
    }
    for group, arm in arms.items():
        by_class = {
            f"{t:g}": {
                name: {"similar": float(near), "others": float(far)}
                for name, near, far in zip(names, *each, strict=True)
            }
            for t, each in arm.by_class.items()
        }
        content[group] = {t: {**each, "by_class": by_class[t]} for t, each in diffusion_index.summary(arm).items()}
    if control:
        content["difference"] = diffusion_index.control(arms["students"], arms["control"])
    return content
