r"""A table of texts as LaTeX that can be pasted into a paper: `booktabs` is the only package that it needs.

Columns of numbers are flush right, and numbers in them are padded with `\phantom`, so that point stands under point.
"""

import re
import unicodedata
from collections.abc import Sequence
from itertools import zip_longest

import pandas as pd

from lskd_nmt.report.tables.numbers import DASHES, numeric


def greek(letter: str) -> str:
    """A Greek letter's command, which is its Unicode name: `alpha` of α, `Omega` of Ω."""
    *_, size, _, name = unicodedata.name(letter).replace("LAMDA", "LAMBDA").split()
    return name.lower() if size == "SMALL" else name.title()


MATH = {"±": r"\pm", "×": r"\times", "−": "-", "<": "<", ">": ">", "|": "|", "≤": r"\leq", "≥": r"\geq"}
MATH |= {"≈": r"\approx", "→": r"\to", "∞": r"\infty", "‖": r"\Vert", "↑": r"\uparrow", "↓": r"\downarrow"}
MATH |= {letter: rf"\{greek(letter)}" for letter in "αβγδεζηθκλμνξπρστφχψωΓΔΘΛΞΠΣΦΨΩ"}
SIGNS = {
    **{sign: f"${command}$" for sign, command in MATH.items()},
    **{sign: rf"\{sign}" for sign in "&%$#_{}"},
    "\\": r"\textbackslash{}",
    "~": r"\textasciitilde{}",
    "^": r"\textasciicircum{}",
    "–": "--",
    "…": r"\ldots{}",
    "\n": " ",
}
MINUS = re.compile(r"(?<![\w)\]])-(?=\d)|(?<=\de)-(?=\d)")  # of a number; other hyphens stand in names
AMOUNT = re.compile(r"[+−]?\d[\d,]*(?:\.\d+)?")


def escaped(text: str) -> str:
    """A text with LaTeX's own signs, mathematical ones and Greek letters as commands, and a minus as a minus."""
    return "".join(SIGNS.get(sign, sign) for sign in MINUS.sub("−", text))


def tabular(table: pd.DataFrame) -> str:
    """One table of texts as a `tabular` with the lines of booktabs; columns of numbers are aligned."""
    lines = [[str(value) for value in line] for line in table.itertuples(index=False)]
    is_number = numeric(lines, len(table.columns))
    columns = [
        aligned([line[place] for line in lines]) if is_number[place] else [escaped(line[place]) for line in lines]
        for place in range(len(is_number))
    ]
    body = [row(each) for each in zip(*columns, strict=True)]
    kinds = "".join("r" if number else "l" for number in is_number)
    head = row([escaped(str(name)) for name in table.columns])
    parts = [rf"\begin{{tabular}}{{{kinds}}}", r"\toprule", head, r"\midrule", *body, r"\bottomrule", r"\end{tabular}"]
    return "".join(f"{line}\n" for line in parts)


def row(cells: Sequence[str]) -> str:
    r"""A line of a tabular. A `[` or `*` that follows a `\\` would be read as belonging to it, and is put in braces."""
    first = f"{{{cells[0][0]}}}{cells[0][1:]}" if cells[0].startswith(("[", "*")) else cells[0]
    return " & ".join([first, *cells[1:]]) + r" \\"


def aligned(texts: Sequence[str]) -> list[str]:
    """Numbers of a column that is flush right: each is padded to the widest of its place, and what a row lacks is left
    free. The k-th number of a text stands in the place of the k-th number of the others.
    """
    texts = [MINUS.sub("−", text) for text in texts]
    found = [AMOUNT.findall(text) for text in texts]
    widest = [max(group, key=len) for group in zip_longest(*found, fillvalue="")]
    fullest = max(texts, key=lambda text: len(AMOUNT.findall(text)))
    between = AMOUNT.split(fullest)
    shown = []
    for text, amounts in zip(texts, found, strict=True):
        if text in DASHES:
            shown.append(escaped(text))
            continue
        written, own = "", AMOUNT.split(text)
        for place, amount in enumerate(amounts):
            written += escaped(own[place]) + (padding(amount, widest[place]) if place else "") + escaped(amount)
        rest = "".join(map("".join, zip(between[len(amounts) : -1], widest[len(amounts) :], strict=True))) + between[-1]
        lacks = rest.startswith(" ") and own[:-1] == between[: len(amounts)] and not own[-1]  # `± 0.21` and the like
        shown.append(written + escaped(own[-1]) + (phantom(rest) if lacks else ""))
    return shown


def padding(amount: str, widest: str) -> str:
    """Room before a number as wide as the digits and the sign that a wider one has more."""
    ours, theirs = amount.partition(".")[0], widest.partition(".")[0]
    sign = "−" if theirs.startswith(("+", "−")) and not ours.startswith(("+", "−")) else ""
    digits, more = theirs.lstrip("+−"), len(theirs.lstrip("+−")) - len(ours.lstrip("+−"))
    return phantom(sign + digits[: max(more, 0)])


def phantom(text: str) -> str:
    r"""Room as wide as a text. A phantom begins no line break, and so a `~` stands for its first space."""
    if not text:
        return ""
    kept = escaped(text.lstrip(" "))
    return ("~" if text.startswith(" ") else "") + rf"\phantom{{{kept}}}"
