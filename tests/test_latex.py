"""LaTeX that can be pasted: a strict reader of what may stand in a tabular, and a compiler where one is."""

import io
import re
import shutil
import subprocess
from contextlib import redirect_stdout

import pandas as pd
import pytest
from conftest import ROOT
from test_table import sweep

from lskd_nmt.cli import main
from lskd_nmt.report.results.table_json import read_table
from lskd_nmt.report.tables import document, latex, texts
from lskd_nmt.storage.files import read_json

COMPILERS = ("tectonic", "pdflatex", "lualatex", "xelatex")
KEPT = [
    file
    for file in sorted((ROOT / "benchmarks" / "results").glob("*/table.json"))
    if {"runs", "cells", "significance"} <= read_json(file).keys()
]
COMMANDS = re.compile(r"\\(?:[A-Za-z]+|.)")
PLAIN = re.compile(r"[A-Za-z0-9\s.,:;+/()\[\]!?'\"=*@`-]*")  # what LaTeX prints as it is


def tabulars(text):
    """The tables of a text, each as its kinds of columns and its rows; an AssertionError names what LaTeX refuses."""
    code = "".join(line for line in text.splitlines(True) if not line.startswith("%"))
    outside = re.sub(r"\\begin\{tabular\}.*?\\end\{tabular\}", "", code, flags=re.DOTALL)
    assert outside.replace("\\bigskip", "").strip() == "", outside
    found = re.findall(r"\\begin\{tabular\}\{(.*?)\}\n(.*?)\\end\{tabular\}", code, flags=re.DOTALL)
    return [one_tabular(*each) for each in found]


def one_tabular(kinds, body):
    """A table's kinds of columns, and its head and rows as lists of cells."""
    assert re.fullmatch("[lr]+", kinds), kinds
    first, *lines = body.splitlines()
    assert (first, lines[1], lines[-1]) == (r"\toprule", r"\midrule", r"\bottomrule")
    rows = [cells(line) for line in (lines[0], *lines[2:-1])]
    assert {len(row) for row in rows} == {len(kinds)}, body
    for row in rows:
        assert not row[0].startswith(("[", "*")), "it would be the argument of the line's end before it"
        for cell in row:
            check(cell)
    return kinds, rows


def cells(line):
    """A line's cells; `&` that is not escaped parts them."""
    assert line.endswith(r" \\"), line
    return re.split(r"(?<!\\) & ", line.removesuffix(r" \\"))


def check(cell):
    """Refuse what LaTeX refuses or prints as another sign: open braces or formulas, bare special signs, a hyphen as a
    minus, letters that its standard fonts lack.
    """
    depth = 0
    for sign in re.sub(r"\\[{}]", "", cell):
        depth += {"{": 1, "}": -1}.get(sign, 0)
        assert depth >= 0, cell
    assert depth == 0, cell
    bare = re.sub(r"\\\$", "", cell)
    assert bare.count("$") % 2 == 0, cell
    outside = re.sub(r"\$[^$]*\$", "", bare)
    for command in COMMANDS.findall(outside):
        assert command in {rf"\{sign}" for sign in "&%#_{}"} | {r"\phantom", r"\ldots"} or "text" in command, cell
    rest = COMMANDS.sub("", outside).replace("~", " ")
    assert not set(rest) & set("&%#_^\\<>|−±"), cell
    assert PLAIN.fullmatch(rest.replace("{", "").replace("}", "")), cell
    assert not re.search(r"(?:^|[\s\[(])-\d", outside), f"a hyphen stands for a minus: {cell}"


HOSTILE = pd.DataFrame(
    {
        "a_b & 5 %": ["[x] $5 {y} #1 ~ ^ \\ <b> |", "*", "student-plain, α = 0.1, τ → ∞"],
        "BLEU": ["35.30 ± 0.21", "6.1", "–"],
        "over [95 %]": ["+1.76 [-10.27, +2.22]", "-0.26 [+0.22, +0.74]", "–"],
        "p": ["<0.001", "0.285", "–"],
        "names": ["t-64", "-", "a\nb"],
    }
)


def test_a_table_of_hostile_text_can_be_pasted():
    ((kinds, rows),) = tabulars(texts.latex(HOSTILE, ["100 % of {it", "two\nlines"]))
    assert kinds == "lrrrl"
    assert rows[0] == [r"a\_b \& 5 \%", "BLEU", r"over [95 \%]", "p", "names"]
    assert rows[1][0].startswith(r"{[}x] \$5 \{y\} \#1 ")
    assert rows[2][0] == "{*}" and rows[3][0] == r"student-plain, $\alpha$ = 0.1, $\tau$ $\to$ $\infty$"
    assert rows[1][4] == "t-64" and rows[3][4] == "a b"


def test_points_stand_under_points():
    """Padded by hand: `-10.27` has one digit more than `+0.22`, and 6.1 has no deviation."""
    ((_, rows),) = tabulars(texts.latex(HOSTILE, []))
    assert rows[1][1:3] == [r"35.30 $\pm$ 0.21", r"+1.76 [$-$10.27, +2.22]"]
    assert rows[2][1:3] == [r"6.1~\phantom{$\pm$ 0.21}", r"$-$0.26 [\phantom{1}+0.22, +0.74]"]
    assert latex.aligned(["2,000 (1,000–3,000)", "700 (650–750)"])[1] == r"700 (\phantom{1,}650--\phantom{3,}750)"
    assert latex.aligned(["+3", "12", "4e-06"]) == ["+3", "12", r"4e$-$06"]


def test_notes_are_comments_after_the_tables():
    text = texts.latex(HOSTILE, ["100 % of {it", "two\nlines"], {"Costs": HOSTILE})
    start, notes = text.split("% Notes\n")
    assert start.splitlines()[:2] == [texts.NEEDS.strip(), r"\begin{tabular}{lrrrl}"]
    assert start.count("\\begin{tabular}") == 2
    assert notes.splitlines() == ["% 100 % of {it", "% two", "% lines"]


@pytest.mark.parametrize("broken", ["a & b", "{", "}", "$a", "-1.5", "a_b", "50 %", "x [-1, 2]", "α", r"\foo", "a | b"])
def test_the_reader_of_these_tests_refuses_what_latex_does(broken):
    text = texts.latex(pd.DataFrame({"a": ["x"]}), []).replace("\nx ", f"\n{broken} ")
    with pytest.raises(AssertionError):
        tabulars(text)


@pytest.mark.parametrize("file", KEPT, ids=lambda file: file.parent.name)
def test_kept_tables_can_be_pasted(file):
    found = tabulars(document.latex(read_table(file)))
    assert found and all(kinds.count("r") > 1 for kinds, _ in found)


@pytest.fixture(scope="module")
def written(tmp_path_factory):
    folder = tmp_path_factory.mktemp("latex")
    with redirect_stdout(io.StringIO()):
        assert main(["table", str(sweep(folder / "run")), "--out", str(folder / "out")]) == 0
    return (folder / "out" / "table.tex").read_text(encoding="utf-8")


def test_what_lskd_table_writes_can_be_pasted(written):
    assert len(tabulars(written)) == 4


def test_it_compiles_and_where_no_compiler_is_installed_this_test_checks_nothing(written, tmp_path):
    compiler = next((name for name in COMPILERS if shutil.which(name)), None)
    if compiler is None:
        return
    text = "\n".join([written, *(document.latex(read_table(file)) for file in KEPT), texts.latex(HOSTILE, [])])
    head = "\\documentclass{article}\n\\usepackage{booktabs}\n\\begin{document}\n"
    (tmp_path / "paper.tex").write_text(f"{head}{text}\n\\end{{document}}\n", encoding="utf-8")
    flags = [] if compiler == "tectonic" else ["-interaction=nonstopmode", "-halt-on-error"]
    done = subprocess.run([compiler, *flags, "paper.tex"], cwd=tmp_path, capture_output=True, text=True, check=False)
    assert done.returncode == 0 and (tmp_path / "paper.pdf").stat().st_size > 10_000, done.stdout[-2000:]
