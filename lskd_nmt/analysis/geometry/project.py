"""What `lskd project` writes: the plane of three words in which models' states are drawn."""

from collections.abc import Mapping, Sequence
from dataclasses import asdict
from itertools import combinations

from lskd_nmt.analysis.features.folder import Described, Features, described, require_comparable
from lskd_nmt.analysis.geometry import confusions, projection, word_classes
from lskd_nmt.analysis.geometry.confusions import confusion_of
from lskd_nmt.analysis.geometry.projection import Picture
from lskd_nmt.analysis.geometry.word_classes import ClassChoice, ClassRows, frequent
from lskd_nmt.errors import require
from lskd_nmt.storage.typed import Json, absent, record, to_json

PROJECTION = (
    "plane of three words (Müller et al. 2019; algorithm of Chandrasegaran et al. 2022): QR of their rows of "
    "the output projection, PCA to two dimensions fitted on train"
)


ModelSplits = Mapping[str, Mapping[str, Features]]  # the features of each model, by split


@record
class Proposal:
    """Three words; of each pair (first and second, first and third, second and third) how much they are confused."""

    tokens: list[str]
    confusion: list[float]
    top_rates: list[float]  # how often one is the most probable symbol where the other is the target


@record
class ProposedBy:
    """Whose confusions the words were proposed by."""

    classes: int
    minimum: int
    seed: int
    features: Described


@record
class Projection:
    """What `lskd project` writes."""

    analysis: str
    equation: str
    tokens: list[str]
    settings: dict[str, Json]
    occurrences: dict[str, list[int]]  # by split, of each token
    features: dict[str, dict[str, Described]]  # by model and split
    models: dict[str, Picture]
    proposed: list[Proposal] | None = absent()
    proposed_by: ProposedBy | None = absent()


def proposals(teacher: Features, choice: ClassChoice, count: int = 5) -> list[Proposal]:
    """Triples of words by the teacher's confusions: the most confused pairs, each with a word far from both."""
    ids = frequent(teacher, choice)
    rows = word_classes.occurrences(teacher.target, ids, len(teacher.target), 0)
    probabilities, tops = confusion_of(teacher, ids, rows)
    confusion, rates, names = (
        confusions.mutual(probabilities),
        confusions.mutual(tops),
        [teacher.symbols[i] for i in ids],
    )
    return [
        Proposal(
            [names[place] for place in triple],
            [float(confusion[a, b]) for a, b in combinations(triple, 2)],
            [float(rates[a, b]) for a, b in combinations(triple, 2)],
        )
        for triple in confusions.triples(confusion, count)
    ]


def proposed_by(teacher: Features, choice: ClassChoice) -> ProposedBy:
    """The teacher and the choice of words behind `proposals`."""
    return ProposedBy(**asdict(choice), features=described(teacher))


def project(models: ModelSplits, tokens: Sequence[str], points: Mapping[str, int], seed: int) -> Projection:
    """The plane of three tokens for each model, fitted on its features of `train`; `points` are drawn, by split."""
    require(len(set(tokens)) == 3, f"--tokens are {', '.join(tokens)}: give three different ones, the third distant")
    ids, rows = occurrences(models, tokens, points, seed)
    pictures = {
        name: projection.picture(
            each["train"].projection,
            each["train"].bias,
            ids,
            {split: word_classes.taken(features.state, rows[split]) for split, features in each.items()},
        )
        for name, each in models.items()
    }
    return Projection(
        "projection",
        PROJECTION,
        list(tokens),
        {"points": to_json(dict(points)), "seed": seed},
        {split: [len(mine) for mine in found] for split, found in rows.items()},
        {name: {split: described(each) for split, each in splits.items()} for name, splits in models.items()},
        pictures,
    )


def occurrences(
    models: ModelSplits, tokens: Sequence[str], points: Mapping[str, int], seed: int
) -> tuple[list[int], dict[str, ClassRows]]:
    """The ids of the tokens, and by split the rows that are drawn of each; models must be of the same data."""
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
    return ids, rows
