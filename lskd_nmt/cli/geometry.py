"""Verbs of the geometry of states: `projection`, `diffusion-index`."""

import argparse
import json
from collections.abc import Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING

from lskd_nmt.cli.common import numbers_of, pairs_of, show, verb_of, whole, write
from lskd_nmt.cli.verbs import Verbs
from lskd_nmt.errors import LskdError, require
from lskd_nmt.progress import Progress
from lskd_nmt.storage.typed import from_json, to_json

if TYPE_CHECKING:
    from lskd_nmt.analysis.features.folder import Features
    from lskd_nmt.analysis.geometry.word_classes import ClassChoice


def register(verbs: Verbs) -> None:
    """Add this file's verbs."""
    register_projection(verbs)
    register_diffusion_index(verbs)


def register_projection(verbs: Verbs) -> None:
    """`projection`."""
    about = "the plane of three target words in which models' states are drawn, from features"
    project = verb_of(verbs, "projection", about, run_projection)
    project.add_argument("--out", type=Path, required=True, metavar="DIR")
    project.add_argument("--models", nargs="+", required=True, metavar="NAME=TRAIN[:VALID]", help="features folders")
    project.add_argument("--teacher", metavar="FEATURES", help="of train, to propose three words by its confusions")
    project.add_argument("--tokens", metavar="A,B,C", help="two similar ones and a distant one, as in dict.*.txt")
    project.add_argument("--points", default="150,50", help="of each word in train and valid (default: %(default)s)")
    add_choice(project)


def register_diffusion_index(verbs: Verbs) -> None:
    """`diffusion-index`."""
    about = "the diffusion index: whether students' words move to similar ones as the temperature rises, from features"
    diffuse = verb_of(verbs, "diffusion-index", about, run_diffusion_index)
    diffuse.add_argument("--out", type=Path, required=True, metavar="DIR")
    diffuse.add_argument("--teacher", required=True, metavar="FEATURES", help="whose confusions say what is similar")
    diffuse.add_argument(
        "--students",
        nargs="+",
        required=True,
        metavar="T=FEATURES[:FEATURES…]",
        help="at T = 1 and others; several are seeds, in the same order at each T",
    )
    diffuse.add_argument(
        "--control",
        nargs="+",
        default=[],
        metavar="T=FEATURES[:FEATURES…]",
        help="students of a teacher without label smoothing, at the same temperatures",
    )
    diffuse.add_argument("--similar", type=whole(0), default=3, help="similar words of a word (default: %(default)s)")
    diffuse.add_argument("--occurrences", type=int, default=2000, help="of a word, at most (default: %(default)s)")
    diffuse.add_argument("--resamples", type=int, default=1000, help="of the sentences (default: %(default)s)")
    add_choice(diffuse)


def add_choice(verb: argparse.ArgumentParser) -> None:
    """The flags that `choice` reads: which words are classes."""
    verb.add_argument("--classes", type=int, default=50, help="most frequent words considered (default: %(default)s)")
    verb.add_argument("--minimum", type=int, default=50, help="occurrences of a word (default: %(default)s)")
    verb.add_argument("--seed", type=whole(0), default=1, help="of all draws (default: %(default)s)")


def run_projection(args: argparse.Namespace) -> None:
    """`lskd projection --models NAME=TRAIN:VALID … --teacher FEATURES --out DIR`."""
    from lskd_nmt.analysis.features.folder import open_features
    from lskd_nmt.analysis.geometry import project as geometry_project
    from lskd_nmt.report.figures import projection
    from lskd_nmt.report.results.analyses import Projection

    require(bool(args.tokens or args.teacher), "give --tokens, or --teacher to propose them")
    counts = numbers_of(args.points, "--points", int, distinct=False)
    require(len(counts) == 2 and min(counts) > 1, f"--points is '{args.points}': give two numbers above 1, as 150,50")
    models = {}
    for name, folders in pairs_of(args.models, "--models", "NAME=TRAIN:VALID").items():
        parts = folders.split(":")
        require(len(parts) <= 2, f"--models has {name}={folders}: give one folder of train, and one of valid after ':'")
        models[name] = {split: open_features(part) for split, part in zip(("train", "valid"), parts, strict=False)}
    teacher = open_features(args.teacher) if args.teacher else None
    proposed = geometry_project.proposals(teacher, choice(args)) if teacher else []
    tokens = args.tokens.split(",") if args.tokens else proposed[0].tokens
    points = dict(zip(("train", "valid"), counts, strict=True))
    found = geometry_project.project(models, tokens, points, args.seed)
    if teacher:
        by = geometry_project.proposed_by(teacher, choice(args))
        found = replace(found, proposed=proposed, proposed_by=by)
    content = to_json(found)
    write(
        args,
        "projection",
        content,
        {"projection": projection.figure(from_json(Projection, content, "projection"))},
    )
    print(
        json.dumps(
            {"projection": str(args.out / "projection.json"), "tokens": list(tokens), "models": list(models)},
            ensure_ascii=False,
        )
    )


def run_diffusion_index(args: argparse.Namespace) -> None:
    """`lskd diffusion-index --teacher FEATURES --students 1=F 2=F … [--control 1=F 2=F …] --out DIR`."""
    from lskd_nmt.analysis.features.folder import open_features
    from lskd_nmt.analysis.geometry import diffuse as geometry_diffuse
    from lskd_nmt.report.figures import diffusion
    from lskd_nmt.report.results.analyses import Diffusion

    students, control = (
        by_temperature(given, flag) for given, flag in ((args.students, "--students"), (args.control, "--control"))
    )
    settings = geometry_diffuse.Resampling(args.similar, args.occurrences, args.resamples, args.seed)
    progress = Progress(settings.resamples, "resamples", show)
    found = geometry_diffuse.diffuse(
        open_features(args.teacher), students, control, choice(args), settings, progress.add
    )
    content = to_json(found)
    write(args, "diffusion", content, {"diffusion": diffusion.figure(from_json(Diffusion, content, "diffusion"))})
    shown = {t: {key: each[key] for key in ("similar", "others", "verdict")} for t, each in content["students"].items()}
    print(json.dumps({"diffusion": str(args.out / "diffusion.json"), "students": shown}))


def choice(args: argparse.Namespace) -> "ClassChoice":
    """Which words are classes, by the options."""
    from lskd_nmt.analysis.geometry.word_classes import ClassChoice

    return ClassChoice(args.classes, args.minimum, args.seed)


def by_temperature(given: Sequence[str], flag: str) -> "Mapping[float, Sequence[Features]]":
    """Features by the temperature before the `=`; 1 and another must be there, if any are given, with equal seeds."""
    from lskd_nmt.analysis.features.folder import open_features

    pairs = pairs_of(given, flag, "T=FEATURES")
    try:
        folders = {float(name): value.split(":") for name, value in pairs.items()}
    except ValueError:
        raise LskdError(f"{flag} has {', '.join(pairs)}: give a temperature before each '='") from None
    require(
        not folders or (1.0 in folders and len(folders) > 1 and min(folders) > 0),
        f"{flag} has the temperatures {', '.join(pairs)}: give 1 and at least one other",
    )
    counts = {t: len(seeds) for t, seeds in sorted(folders.items())}
    shown = ", ".join(f"{count} at {t:g}" for t, count in counts.items())
    require(len(set(counts.values())) < 2, f"{flag} has folders: {shown}: give as many seeds at each temperature")
    return {t: [open_features(folder) for folder in folders[t]] for t in counts}
