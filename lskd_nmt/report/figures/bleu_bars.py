"""BLEU of every row of a results table, as a figure."""

from collections.abc import Mapping
from typing import Any

from matplotlib.figure import Figure

from lskd_nmt.report.figures.style import SHAPES, colours_of, tidy
from lskd_nmt.report.results.rows import label, row_title


def bleu(content: Mapping[str, Any]) -> Figure:
    """BLEU of every cell of a results table: a dot for each seed, a line for the interval, a colour for LS."""
    cells = content["cells"]
    scores = {f"{row['run']}/{row['name']}": row["bleu"] for row in content["rows"]}
    colour = colours_of([cell["label_smoothing"] for cell in cells])
    figure = Figure(figsize=(7, 0.9 + 0.42 * len(cells)))
    axes = figure.subplots()
    for height, cell in enumerate(cells):
        members = [scores[name] for name in cell["members"]]
        if cell["interval"]:
            axes.hlines(height, *cell["interval"], color=colour[cell["label_smoothing"]], linewidth=1.5)
        axes.plot(
            members,
            [height] * len(members),
            linestyle="none",
            markersize=7,
            alpha=0.85,
            color=colour[cell["label_smoothing"]],
            marker=SHAPES[label(cell)],
        )
        deviation = cell["bleu"]["deviation"]
        spread = "" if deviation is None else f" ± {deviation:.2f}"
        axes.annotate(
            f"{cell['bleu']['mean']:.2f}{spread}",
            (1.01, height),
            xycoords=("axes fraction", "data"),
            va="center",
            fontsize=9,
        )
    axes.set_yticks(range(len(cells)), [row_title(cell) for cell in cells])
    axes.set_ylim(len(cells) - 0.5, -0.5)
    axes.margins(x=0.08)
    has_intervals = any(cell["interval"] for cell in cells)
    axes.set_xlabel("BLEU (sacreBLEU, test set)" + "; line: 95 % interval" * has_intervals)
    axes.set_title(content["name"], loc="left", fontsize=11)
    axes.grid(axis="y", color="#dddddd", linewidth=0.8)
    tidy(axes)
    return figure
