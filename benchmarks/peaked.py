"""Is a student of translations more certain, and does it need the beam less? (Kim & Rush 2016, section 5)

    python benchmarks/peaked.py --run runs/multi30k_seqkd --out benchmarks/results/multi30k_seqkd/peaked

For every trained model of a run, on the test set: BLEU of greedy and of beam search, the mean entropy of its next
subword on the references' prefixes (bits), and the mean probability of its own best translation as a whole.
"""

import math
from collections.abc import Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import torch
from common import markdown_table, origin, parser_of, show, write_results
from matplotlib.figure import Figure

from lskd_nmt import fairseq_io
from lskd_nmt.data.subwords import joined
from lskd_nmt.decode_settings import DecodeSettings
from lskd_nmt.evaluate import scoring
from lskd_nmt.evaluate.metrics import EvaluationSet
from lskd_nmt.experiment.run import Run
from lskd_nmt.report.figures.style import COLOURS, save, tidy
from lskd_nmt.report.results import rows as results_rows
from lskd_nmt.seqkd import corpus
from lskd_nmt.seqkd.engines import FairseqEngine, batches, translate_all

SEARCH = DecodeSettings(engine="fairseq", batch_tokens=4096)


@torch.no_grad()
def entropy(model: Any, pairs: Sequence[corpus.SentencePair], pad: int, eos: int) -> float:
    """Mean over all target subwords and ends of -Σ q log₂ q."""
    total, count = 0.0, 0
    for batch in batches([pair.source for pair in pairs], 4096):
        ids = [(torch.from_numpy(pairs[at].source_ids), torch.from_numpy(pairs[at].target_ids)) for at in batch]
        net_input, target = fairseq_io.net_input(ids, pad, eos)
        log_q = model(**net_input)[0][target.ne(pad)].double().log_softmax(-1)  # (N, V)
        total -= float((log_q.exp() * log_q).sum()) / math.log(2)
        count += log_q.size(0)
    return total / count


def measure(checkpoint: Path, data: str, langs: tuple[str, str]) -> dict[str, Any]:
    """One model's numbers."""
    pairs = list(corpus.corpus_pairs(data, langs, "test"))
    engine = FairseqEngine([str(checkpoint)], data, langs)
    sources, references = [pair.source for pair in pairs], [joined(pair.reference) for pair in pairs]
    facts: dict[str, Any] = {}
    for name, beam in (("greedy", 1), ("beam", 5)):
        best = [found[0] for found in translate_all(engine, sources, replace(SEARCH, beam=beam))]
        data = EvaluationSet(references, langs[1], tokenizer=scoring.bleu_tokenizer(langs[1]))
        bleu = scoring.score("bleu", [joined(hypothesis.pieces) for hypothesis in best], data)
        facts[name] = {"score": bleu.score, "signature": bleu.signature}
    whole = [math.exp(hypothesis.score * (len(hypothesis.pieces.split()) + 1)) for hypothesis in best]
    symbols = engine.target
    return {
        **facts,
        "probability_of_best": sum(whole) / len(whole),
        "entropy_bits": entropy(engine.models[0], pairs, symbols.pad(), symbols.eos()),
    }


def table(rows: Sequence[Mapping[str, Any]]) -> str:
    """As Markdown."""
    names = ("model", "BLEU greedy", "BLEU beam 5", "the beam adds", "entropy, bits", "probability of its best, %")
    lines = [
        (
            r["title"],
            f"{r['greedy']['score']:.2f}",
            f"{r['beam']['score']:.2f}",
            f"{r['beam']['score'] - r['greedy']['score']:+.2f}",
            f"{r['entropy_bits']:.2f}",
            f"{100 * r['probability_of_best']:.1f}",
        )
        for r in rows
    ]
    signature = rows[0]["beam"]["signature"]
    return f"{markdown_table(names, lines)}\nBLEU on test, of and against joined subwords: {signature}\n"


def picture(rows: Sequence[Mapping[str, Any]]) -> Figure:
    """Greedy and beam BLEU joined by a line, and the entropy beside them."""
    figure = Figure(figsize=(10, 1 + 0.42 * len(rows)))
    left, right = figure.subplots(1, 2, sharey=True, width_ratios=(3, 2))
    for height, r in enumerate(rows):
        scores = r["greedy"]["score"], r["beam"]["score"]
        left.plot(scores, [height, height], color="#bbbbbb", linewidth=2, zorder=1)
        for score, colour, label in zip(scores, COLOURS, ("greedy", "beam 5"), strict=False):
            left.scatter(score, height, color=colour, zorder=2, label=label if height == 0 else None)
    right.barh(range(len(rows)), [r["entropy_bits"] for r in rows], color=COLOURS[2], height=0.5)
    left.set_yticks(range(len(rows)), [r["title"] for r in rows])
    left.set_ylim(len(rows) - 0.5, -0.5)
    left.set_xlabel("BLEU (sacreBLEU, test set)")
    left.legend(frameon=False, fontsize=9)
    right.set_xlabel("entropy on the references, bits per subword")
    for axes in (left, right):
        axes.grid(axis="x", color="#eeeeee")
        tidy(axes)
    return figure


def main() -> None:
    """Measure every model of a run; write OUT.{json,md,png,svg}."""
    parser = parser_of(__doc__)
    parser.add_argument("--run", type=Path, required=True)
    args = parser.parse_args()
    run, rows = Run(args.run), []
    langs = run.plan.data.langs
    for model in run.models:
        checkpoint = run.model_folder(model.name) / "model.pt"
        if checkpoint.is_file():
            show(model.name)
            with fairseq_io.quiet():
                found = measure(checkpoint, str(run.data / "bin"), langs)
            rows.append({"name": model.name, "title": results_rows.setting_title(results_rows.setting(model)), **found})
    write_results(args.out, {**origin(), "models": rows}, table(rows))
    save(picture(rows), args.out)
    print(table(rows))


if __name__ == "__main__":
    main()
