"""What `lskd project`, `diffuse` and `diagnose` write, made from open features folders."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import asdict, dataclass
from itertools import combinations, islice
from typing import Any

import numpy as np

from lskd_nmt.analysis import classes, confusions, diagnosis, diffusion, projection
from lskd_nmt.analysis.classes import Rows
from lskd_nmt.analysis.frame import Features, described, require_comparable
from lskd_nmt.errors import LskdError, require

PROJECTION = (
    "plane of three words (Müller et al. 2019; algorithm of Chandrasegaran et al. 2022): QR of their rows of "
    "the output projection, PCA to two dimensions fitted on train"
)
DIFFUSION = (
    "η(i; S) = mean over j in S of (d₁(i, j) − d_T(i, j)) / d₁(i, j), with d(i, j) = ‖c_i − c_j‖ / mean over "
    "m ≠ i of ‖c_i − c_m‖; a working definition of ours, not that of Chandrasegaran et al. 2022"
)
TAIL = "m = 1 − Σ of the k largest p(T), evenness = exp(H(p(T) / m outside of the top k)) / (V − k); means over tokens"


@dataclass(frozen=True)
class Choice:
    """Which words are classes."""

    classes: int = 50  # at most, the most frequent
    minimum: int = 50  # occurrences
    seed: int = 1


def confusion_of(teacher: Features, ids: Sequence[int], rows: Rows) -> tuple[diffusion.Matrix, diffusion.Matrix]:
    """The teacher's mean probabilities between classes, and how often each is its top.   (K, K), (K, K)"""
    probabilities = confusions.mean_probabilities(
        teacher.state, teacher.target_log_prob, teacher.projection, teacher.bias, ids, rows
    )
    classes.forget(teacher.state)
    return probabilities, confusions.top_rates(teacher.top, ids, rows)


def frequent(features: Features, choice: Choice) -> list[int]:
    """The classes; too few are refused."""
    require(choice.classes >= 3, f"--classes is {choice.classes}: give 3 or more")
    found = classes.frequent_words(features.target, features.symbols, choice.classes, choice.minimum)
    require(
        len(found) >= 3,
        f"{len(found)} words have {choice.minimum} occurrences or more, three are needed: "
        "lower --minimum or take features of more tokens",
    )
    return found


def proposals(teacher: Features, choice: Choice, count: int = 5) -> list[dict[str, Any]]:
    """Triples of words by the teacher's confusions: the most confused pairs, each with a word far from both."""
    ids = frequent(teacher, choice)
    probabilities, tops = confusion_of(teacher, ids, classes.occurrences(teacher.target, ids, len(teacher.target), 0))
    confusion, names = confusions.mutual(probabilities), [teacher.symbols[i] for i in ids]
    return [
        {
            "tokens": [names[place] for place in triple],
            "confusion": [float(confusion[a, b]) for a, b in combinations(triple, 2)],
            "top_rates": [float(confusions.mutual(tops)[a, b]) for a, b in combinations(triple, 2)],
        }
        for triple in confusions.triples(confusion, count)
    ]


def project(
    models: Mapping[str, Mapping[str, Features]], tokens: Sequence[str], points: Mapping[str, int], seed: int
) -> dict[str, Any]:
    """The plane of three tokens for each model; of each its features by split, `train` among them."""
    require(len(set(tokens)) == 3, f"--tokens are {', '.join(tokens)}: give three different ones, the third distant")
    ids, rows = [], {}
    for split in points:
        these = {f"{name} ({split})": each[split] for name, each in models.items() if split in each}
        if these:
            require_comparable(these)
            one = next(iter(these.values()))
            ids = classes.ids_of(tokens, one.symbols)
            rows[split] = classes.occurrences(one.target, ids, points[split], seed)
    for name, each in models.items():
        same = all(features.symbols == each["train"].symbols for features in each.values())
        require(same, f"train and valid of {name} are of other symbols: run lskd features for both on one data folder")
    lacking = [
        f"{token} in {split}"
        for split, found in rows.items()
        for token, mine in zip(tokens, found, strict=True)
        if len(mine) < 2
    ]
    require(not lacking, f"less than two occurrences: {', '.join(lacking)}: give other --tokens or more features")
    pictures = {
        name: projection.picture(
            each["train"].projection,
            each["train"].bias,
            ids,
            {split: classes.taken(features.state, rows[split]) for split, features in each.items()},
        )
        for name, each in models.items()
    }
    return {
        "analysis": "projection",
        "equation": PROJECTION,
        "tokens": list(tokens),
        "settings": {"points": dict(points), "seed": seed},
        "occurrences": {split: [len(mine) for mine in found] for split, found in rows.items()},
        "features": {
            name: {split: described(each) for split, each in splits.items()} for name, splits in models.items()
        },
        "models": pictures,
    }


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
    rows = classes.occurrences(teacher.target, ids, settings.occurrences, choice.seed)
    probabilities, _ = confusion_of(teacher, ids, rows)
    mask = diffusion.similar(probabilities, settings.similar)
    there, places = np.unique(teacher.sentence, return_inverse=True)  # rows of the split -> 0 … S − 1
    states = {
        group: [
            {t: classes.taken(seeds[number].state, rows) for t, seeds in of.items()} for number in range(len(of[1.0]))
        ]
        for group, of in groups.items()
    }
    alone = iter(
        diffusion.arms(
            [each for of in states.values() for each in of],
            classes.taken(places, rows),
            len(there),
            mask,
            settings.resamples,
            settings.seed,
            done,
        )
    )
    arms = {group: diffusion.united(list(islice(alone, len(of)))) for group, of in states.items()}
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
        content[group] = {t: {**each, "by_class": by_class[t]} for t, each in diffusion.summary(arm).items()}
    if control:
        content["difference"] = diffusion.control(arms["students"], arms["control"])
    return content


def diagnose(
    teacher: Features,
    temperatures: Sequence[float],
    tops: Sequence[int],
    tokens: int,
    seed: int,
    done: Callable[[int], None],
) -> dict[str, Any]:
    """The tail of a teacher, on `tokens` tokens drawn by the seed."""
    if min(tops, default=0) < 1 or min(temperatures, default=0) <= 0 or tokens < 1:
        raise LskdError("--temperatures, --top and --sample must be above 0")
    rows = np.arange(teacher.tokens)
    if tokens < teacher.tokens:
        rows = np.sort(np.random.default_rng(seed).choice(teacher.tokens, tokens, replace=False))
    found = diagnosis.tail(teacher.state[rows], teacher.projection, teacher.bias, temperatures, sorted(tops), done)
    return {
        "equation": TAIL,
        "settings": {"tokens": len(rows), "seed": seed},
        "features": described(teacher),
        "symbols": len(teacher.symbols),
        "temperatures": found,
    }
