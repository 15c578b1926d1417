"""What decoding and scoring the models of a run costs, whole steps, with fairseq and as the pipeline does it now.

    python benchmarks/decode_step.py --run runs/quickstart --out benchmarks/results/decode_step_cpu

Before: steps/decode.sh with decode.engine fairseq, then steps/score.sh. Now: steps/evaluate.sh with decode.engine auto,
which holds CTranslate2 against fairseq once for each architecture. Both on the CPU with one thread, in turn, model
after model; seconds are those of all processes of a step.
"""

import json
import shutil
import sys
import tempfile
from pathlib import Path

from common import ROOT, cost_of, markdown_table, origin, parser_of, show, write_results

from lskd_nmt.experiment.run import Run
from lskd_nmt.storage.files import read_lines, write_json

STEPS = {"fairseq": ("decode", "score"), "auto": ("evaluate",)}
MADE = ("generate.log", "decode.json", "test.hyp", "metrics.json")
LEFT_BEHIND = shutil.ignore_patterns("checkpoints", "store", "hypotheses", "analysis", ".*", *MADE)


def copy_of(run: Path, out: Path, engine: str) -> Run:
    """The run with its trained models, of which none is decoded, for an engine."""
    out.mkdir()
    (out / "data").symlink_to((run / "data").resolve())
    plan = json.loads((run / "plan.json").read_text())
    for part in (plan["decode"], plan["config"]["decode"]):
        part["engine"] = engine
    write_json(out / "plan.json", plan)
    shutil.copytree(run / "models", out / "models", ignore=LEFT_BEHIND)
    return Run(out)


def timed(run: Run, model: str, engine: str) -> dict[str, float]:
    """Run the steps of a model; seconds of CPU time and on the clock."""
    costs = []
    for step in STEPS[engine]:
        words = ["bash", str(ROOT / f"experiments/steps/{step}.sh"), "--run", str(run.folder), "--model", model]
        words += [] if step == "score" else ["--device", "cpu", "--threads", "1"]
        costs.append(cost_of(words, LSKD_PYTHON=sys.executable))
    return {"cpu": sum(each.cpu_seconds for each in costs), "wall": sum(each.wall_seconds for each in costs)}


def main() -> None:
    """See the text at the head."""
    parser = parser_of(__doc__)
    parser.add_argument("--run", type=Path, required=True, help="a run whose models are trained")
    args = parser.parse_args()
    with tempfile.TemporaryDirectory(prefix="decode_step") as scratch:
        runs = {engine: copy_of(args.run, Path(scratch, engine), engine) for engine in STEPS}
        results = []
        for number, model in enumerate(runs["auto"].models):
            order = list(STEPS) if number % 2 else [*STEPS][::-1]
            took = {engine: timed(runs[engine], model.name, engine) for engine in order}
            texts = [read_lines(run.model_folder(model.name) / "test.hyp") for run in runs.values()]
            found = {
                name: json.loads((run.model_folder(model.name) / "metrics.json").read_text())
                for name, run in runs.items()
            }
            results.append(
                {
                    "model": model.name,
                    "seconds": took,
                    "sentences": len(texts[0]),
                    "identical": sum(a == b for a, b in zip(*texts, strict=True)),
                    "bleu": {engine: each["bleu"]["score"] for engine, each in found.items()},
                    "engine": found["auto"]["decode"].get("engine", "fairseq"),
                }
            )
            show(results[-1])
    write_results(args.out, {**origin(), "models": results}, table(results))


def table(results: list[dict]) -> str:
    """A row for each model, and one for all."""
    rows = []
    for each in results:
        cpu = {engine: each["seconds"][engine]["cpu"] for engine in STEPS}
        rows.append(
            (
                each["model"],
                *(f"{cpu[engine]:.1f}" for engine in STEPS),
                f"{cpu['fairseq'] / cpu['auto']:.1f}",
                f"{each['identical']} of {each['sentences']}",
                *(f"{each['bleu'][engine]:.2f}" for engine in STEPS),
            )
        )
    cpu, wall = (
        {engine: sum(each["seconds"][engine][kind] for each in results) for engine in STEPS} for kind in ("cpu", "wall")
    )
    rows.append(
        ("all", *(f"{cpu[engine]:.1f}" for engine in STEPS), f"**{cpu['fairseq'] / cpu['auto']:.1f}**", "", "", "")
    )
    rows.append(
        (
            "all, on the clock",
            *(f"{wall[engine]:.0f}" for engine in STEPS),
            f"{wall['fairseq'] / wall['auto']:.1f}",
            "",
            "",
            "",
        )
    )
    names = ["model", "CPU s before", "now", "times as fast", "same translation", "BLEU before", "now"]
    return markdown_table(names, rows)


if __name__ == "__main__":
    main()
