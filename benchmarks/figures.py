"""Draw the pictures of kept results again, each beside the JSON that it is of.

    python benchmarks/figures.py benchmarks/results/multi30k_grid

Reads every JSON in the folders: a run's `table.json` gives `bleu`, `temperature` and `methods`, its `models.json` gives
`curves`, and an analysis gives the figures of its verb. With --out they go to another folder instead, in
which they lie as in the given one. Git knows only the pictures that the documentation shows (results/.gitignore).
"""

import argparse
import contextlib
import io
import json
import tempfile
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from common import ROOT, show
from matplotlib.figure import Figure

from lskd_nmt import cli
from lskd_nmt.evaluate.benchmark import Benchmark
from lskd_nmt.report.figures import (
    bleu_bars,
    bleu_by_speed,
    bleu_by_temperature,
    diffusion,
    method_ranking,
    projection,
    teacher_tail,
)
from lskd_nmt.report.figures.style import save
from lskd_nmt.report.results.analyses import Diagnosis, Diffusion, Projection
from lskd_nmt.report.results.records import ResultsTable
from lskd_nmt.report.results.table_json import table_of
from lskd_nmt.storage.files import read_json, write_json
from lskd_nmt.storage.typed import from_json

Content = Mapping[str, Any]


def table(content: ResultsTable) -> dict[str, Figure | None]:
    """The figures of `lskd table`."""
    return {
        "bleu": bleu_bars.bleu(content),
        "temperature": bleu_by_temperature.figure(content),
        "methods": method_ranking.figure(content),
    }


def diagnosis(content: Diagnosis) -> dict[str, Figure | None]:
    """The figures of `lskd diagnose`."""
    found: dict[str, Figure | None] = {}
    if content.sentences is not None:
        found["sentences"] = teacher_tail.sentences(content.sentences)
    if content.tail is not None:
        found["tail"] = teacher_tail.figure(content.tail)
    return found


def measured_here(content: Content, stem: str) -> dict[str, Figure | None]:
    """The figure of one of this folder's own programs, which its command names."""
    command = str(content["command"])
    if "peaked.py" in command:
        import peaked  # noqa: PLC0415  it imports fairseq

        return {stem: peaked.picture(content["models"])}
    if "prepare_memory.py" in command:
        import prepare_memory  # noqa: PLC0415

        return {"curve": prepare_memory.picture(content["rows"])}
    if "select_memory.py" in command:
        import select_memory  # noqa: PLC0415

        return {stem: select_memory.picture(content["measured"])}
    return {}


def figures(file: Path) -> dict[str, Figure | None]:
    """The figures of a JSON file by their names; none of what has no picture, or is of a table that names no runs."""
    content = read_json(file)
    match content.get("analysis"):
        case "projection":
            return {"projection": projection.figure(from_json(Projection, content, str(file)))}
        case "diffusion":
            return {"diffusion": diffusion.figure(from_json(Diffusion, content, str(file)))}
        case "diagnosis":
            return diagnosis(from_json(Diagnosis, content, str(file)))
    if "cells" in content and "rows" in content:
        return table(table_of(content, str(file))) if "runs" in content else {}
    if "timed" in content and "models" in content:
        return {file.stem: bleu_by_speed.comparison(from_json(Benchmark, content, str(file)))}
    return measured_here(content, file.stem) if "command" in content else {}


def draw_curves(models: Path, out: Path) -> bool:
    """`curves` of a kept run, by `lskd curves` of a run folder that is made of its files; whether it was drawn."""
    table_file = models.with_name("table.json")
    if not table_file.is_file() or "runs" not in (content := read_json(table_file)):
        return False
    kept = read_json(models)
    data = {"folder": "data", **{name: content["runs"][0][name] for name in ("source_lang", "target_lang", "form")}}
    with tempfile.TemporaryDirectory() as scratch:
        run, planned = Path(scratch), []
        for row in content["rows"]:
            model = kept[row["name"]]
            write_json(run / "models" / row["name"] / "curve.json", model["curve"])
            commands = {"train_command": model["run"]["attempts"][-1]["command"], "decode_command": []}
            planned.append({**row, **commands})
        plan = {"name": content["name"], "data": data, "decode": {}, "config": {"student": {}}, "models": planned}
        write_json(run / "plan.json", plan)
        with contextlib.redirect_stdout(io.StringIO()):
            code = cli.main(["curves", str(run), "--out", str(out)])
    if code:
        raise SystemExit(f"{models} could not be drawn")
    show(out / "curves")
    return True


def draw(file: Path, out: Path) -> int:
    """Draw what a JSON file holds into `out`; the number of pictures, each of which is a PNG and an SVG."""
    if file.name == "models.json":
        return int(draw_curves(file, out))
    found = {name: figure for name, figure in figures(file).items() if figure is not None}
    for name, figure in found.items():
        save(figure, out / name)
        show(out / name)
    return len(found)


def main() -> None:
    """Draw everything in the folders."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("folders", nargs="*", type=Path, default=[ROOT / "benchmarks" / "results"], metavar="FOLDER")
    parser.add_argument("--out", type=Path, metavar="DIR", help="(default: beside the JSON)")
    args = parser.parse_args()
    drawn = 0
    for folder in args.folders:
        for file in sorted(folder.rglob("*.json")):
            drawn += draw(file, (args.out or folder) / file.parent.relative_to(folder))
    print(json.dumps({"pictures": drawn}))


if __name__ == "__main__":
    main()
