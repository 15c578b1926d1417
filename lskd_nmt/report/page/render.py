"""A page's sections as one HTML file that needs no other and no network."""

import base64
import hashlib
import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from importlib import resources
from pathlib import Path

import jinja2
from markupsafe import Markup, escape

from lskd_nmt.report.page import figures
from lskd_nmt.report.page.parts import Drawing, Opening, Picture, Section, leaves
from lskd_nmt.report.page.sources import Sentences
from lskd_nmt.storage.files import write_json, write_text
from lskd_nmt.storage.typed import Json, to_json

SCRIPTS = ("page.js", "tables.js", "sentences.js")
TYPES = {".json": "application/json", ".csv": "text/csv", ".pdf": "application/pdf", ".svg": "image/svg+xml"}


def write(
    out: Path, opening: Opening, sections: Sequence[Section], sentences: Sentences | None, data: Mapping[str, str]
) -> Path:
    """Write figures and data into OUT, and index.html last; `data` is text by file name."""
    for name, text in data.items():
        write_text(out / "data" / name, text)
    texts = to_json(sentences)
    if sentences is not None:
        write_json(out / "data" / "sentences.json", texts)
    parts = [part for section in sections for part in leaves(section.parts)]
    drawn = {part.id: drawing(part, out / "figures") for part in parts if isinstance(part, Drawing)}
    drawn |= {part.id: picture(part, out / "figures") for part in parts if isinstance(part, Picture)}
    files = {name: data_uri(name, text.encode()) for name, text in data.items()}
    write_text(out / "index.html", html(opening, sections, sentences, as_script(texts), drawn, files))
    return out / "index.html"


@dataclass(frozen=True)
class Drawn:
    """A figure as the template takes it: an element or an address, and the address of its PDF where there is one."""

    svg: str
    pdf: str | None


def drawing(part: Drawing, folder: Path) -> Drawn:
    """A figure's SVG for the page, and its PDF behind a link."""
    svg, pdf = figures.written(part.figure, folder / part.id)
    inline = Markup(figures.inline(svg, part.id, escape(part.caption), escape(part.text)))
    return Drawn(inline, data_uri(f"{part.id}.pdf", pdf))


def picture(part: Picture, folder: Path) -> Drawn:
    """A figure of an analysis, and its PDF where there is one."""
    write_text(folder / f"{part.id}.svg", part.svg)
    pdf = None if part.pdf is None else data_uri(f"{part.id}.pdf", part.pdf)
    return Drawn(data_uri(f"{part.id}.svg", part.svg.encode()), pdf)


def html(
    opening: Opening,
    sections: Sequence[Section],
    sentences: Sentences | None,
    embedded: str,
    drawn: Mapping[str, Drawn],
    files: Mapping[str, str],
) -> str:
    """The page as one HTML text; `drawn` has the figures by the id of their part, `files` the data as addresses.

    `embedded` are the sentences as the page's script reads them.
    """
    environment = jinja2.Environment(
        loader=jinja2.FunctionLoader(asset),
        autoescape=True,
        trim_blocks=True,
        lstrip_blocks=True,
        undefined=jinja2.StrictUndefined,
    )
    script = "".join(map(asset, SCRIPTS))
    return environment.get_template("page.html").render(
        opening=opening,
        sections=sections,
        sentences=sentences,
        drawn=drawn,
        files=files,
        embedded=Markup(embedded),
        style=Markup(asset("page.css")),
        script=Markup(script),
        script_hash=base64.b64encode(hashlib.sha256(script.encode()).digest()).decode(),
    )


def asset(name: str) -> str:
    """The text of a template, style or script."""
    return (resources.files("lskd_nmt.report.page") / "templates" / name).read_text(encoding="utf-8")


def as_script(content: Json) -> str:
    """JSON that no text in it can end: every sign that HTML or JavaScript reads is escaped."""
    text = json.dumps(content, ensure_ascii=False, separators=(",", ":"))
    for sign in "<>&\u2028\u2029":
        text = text.replace(sign, f"\\u{ord(sign):04x}")
    return text


def data_uri(name: str, content: bytes) -> str:
    """The content of a file as an address."""
    return f"data:{TYPES[Path(name).suffix]};base64,{base64.b64encode(content).decode()}"
