"""What `lskd project`, `diffuse` and `diagnose` write, made from open features folders."""

from collections.abc import Mapping, Sequence
from itertools import combinations
from typing import Any

from lskd_nmt.analysis.features.folder import Features, described, require_comparable
from lskd_nmt.analysis.geometry import confusions, projection, word_classes
from lskd_nmt.analysis.geometry.confusions import confusion_of
from lskd_nmt.analysis.geometry.word_classes import Choice, frequent
from lskd_nmt.errors import require

PROJECTION = (
    "plane of three words (Müller et al. 2019; algorithm of Chandrasegaran et al. 2022): QR of their rows of "
    "the output projection, PCA to two dimensions fitted on train"
)


def proposals(teacher: Features, choice: Choice, count: int = 5) -> list[dict[str, Any]]:
    """Triples of words by the teacher's confusions: the most confused pairs, each with a word far from both."""
    ids = frequent(teacher, choice)
    probabilities, tops = confusion_of(
        teacher, ids, word_classes.occurrences(teacher.target, ids, len(teacher.target), 0)
    )
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
            ids = word_classes.ids_of(tokens, one.symbols)
            rows[split] = word_classes.occurrences(one.target, ids, points[split], seed)
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
            {split: word_classes.taken(features.state, rows[split]) for split, features in each.items()},
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
