"""Figures for a page: files for a paper, and SVG that takes the page's colours and shares no id with another."""

import re
from pathlib import Path

from matplotlib.figure import Figure

from lskd_nmt.report.figures import style

# what our figures draw in, and what it is on a page that may be dark
THEME = {
    "#000000": "currentColor",
    "#ffffff": "var(--paper)",
    "#dddddd": "var(--line)",
    style.GREY: "var(--muted)",
    style.COLOURS[0].lower(): "var(--blue)",
}


def written(figure: Figure, stem: Path) -> tuple[str, bytes]:
    """Write STEM.svg and STEM.pdf, and return what is in them."""
    svg, pdf = style.save(figure, stem, ("svg", "pdf"))
    return svg.read_text(encoding="utf-8"), pdf.read_bytes()


def inline(svg: str, name: str, title: str, text: str) -> str:
    """A matplotlib SVG as an element of a page; title and text must be escaped already."""
    svg = svg[svg.index("<svg") :]
    svg = re.sub(r"<metadata>.*?</metadata>\s*", "", svg, flags=re.DOTALL)
    svg = re.sub(r'\b(id|aria-labelledby)="', rf'\1="{name}-', svg)
    svg = re.sub(r'((?:xlink:)?href="|url\()#', rf"\1#{name}-", svg)
    for colour, variable in THEME.items():
        svg = re.sub(rf"((?:fill|stroke): ){colour}", rf"\1{variable}", svg)
    width = re.search(r'<svg[^>]*? width="([\d.]+)pt"', svg)
    assert width, "matplotlib writes the width of a figure"
    svg = re.sub(r' (?:width|height)="[\d.]+pt"', "", svg, count=2)
    head = f'role="img" aria-labelledby="{name}-title {name}-text" style="max-width: {width[1]}pt"'
    return svg.replace("<svg ", f"<svg {head} ", 1).replace(
        ">", f'>\n <title id="{name}-title">{title}</title>\n <desc id="{name}-text">{text}</desc>', 1
    )
