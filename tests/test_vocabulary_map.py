"""Vocabulary maps: learned as by hand, used by the engine, without a part in the proof, and refused in one line."""

import json
import math
import random
import shutil
from dataclasses import replace

import numpy as np
import pytest

from lskd_nmt import cli, fairseq_io
from lskd_nmt.deploy import export, vocabulary_map
from lskd_nmt.deploy.candidates import examine
from lskd_nmt.deploy.map_cost import coverage
from lskd_nmt.deploy.sealed import MAP, PROOF, MapFacts, export_json, open_folder, seal
from lskd_nmt.deploy.translate import Translator
from lskd_nmt.deploy.vocabulary_map import MapSettings, VocabularyMap
from lskd_nmt.errors import LskdError
from lskd_nmt.fairseq_io import DictionaryPair
from lskd_nmt.progress import Progress
from lskd_nmt.seqkd import store
from lskd_nmt.storage.files import write_json, write_text
from lskd_nmt.teacher.vocabulary import stored_as

LANGS = ("aa", "bb")
SILENT = Progress(1, "symbols", lambda line: None)
FACTS = MapFacts("x", 1, 1, 1, 1, 1, 1, 1.0, 1.0, 1, 1, 1.0, 1.0, 1.0, 1.0)


def ids(*lines: str) -> list[np.ndarray]:
    """Symbols 4, 5, … as the letters a, b, …"""
    return [np.array([ord(letter) - ord("a") + 4 for letter in line], np.int64) for line in lines]


def test_those_that_go_together_more_than_by_chance_come_first():
    """By brute force over random pairs of lines, with Python's floats; blocks of source symbols change nothing."""
    draw = random.Random(1)
    size = 4 + 9
    lines = [["".join(draw.choices("abcdefghi", k=draw.randrange(0, 6))) for _ in range(60)] for _ in range(2)]
    always = [4, 6]
    counted = vocabulary_map.together(ids(*lines[0]), ids(*lines[1]), (size, size))
    found = dict(vocabulary_map.ranked(counted, MapSettings(candidates=4), always, True, SILENT))
    for at, letter in enumerate("abcdefghi", 4):
        scores = {}
        for other, word in enumerate("abcdefghi", 4):
            c = sum(letter in a and word in b for a, b in zip(*lines, strict=True))
            f, g = sum(letter in a for a in lines[0]), sum(word in b for b in lines[1])
            score = c * math.log(c * 60 / (f * g)) if c else 0.0
            if score > 1e-9 and other not in always:
                scores[other] = score
        expected = sorted(scores, key=lambda other: -round(scores[other], 9))[:4]
        assert found[at].tolist() == expected


def test_aligned_symbols_are_ranked_by_their_number(tmp_path):
    """By hand: a is aligned twice to y and once to x; z stands beside them, and no alignment names it."""
    source, target = ids("ab", "a", "a"), ids("xyz", "y", "y")
    (tmp_path / "align").write_text("0-0 1-1\n0-0\n0-0\n")
    counted = vocabulary_map.aligned(tmp_path / "align", source, target, (40, 40))
    found = dict(vocabulary_map.ranked(counted, MapSettings(), [], False, SILENT))
    x, y = ids("xy")[0]
    assert found[4].tolist() == [y, x] and found[5].tolist() == [y] and not len(found[6])


def test_single_characters_and_the_most_frequent_are_always_allowed():
    symbols = ["<s>", "<pad>", "</s>", "<unk>", "▁", "▁a", "b", "c@@", "▁und", "der", "ab", "a\tb"]
    frequency = np.array([0, 0, 0, 0, 1, 0, 0, 0, 7, 9, 8, 99])
    always = vocabulary_map.always_allowed(symbols, frequency, 3)
    assert [symbols[at] for at in always] == ["▁", "▁a", "b", "c@@", "der", "ab"]  # no tab can be written


def test_a_symbol_of_both_sides_may_stay_as_it_is():
    symbols = DictionaryPair([*"0123", "▁Rom", "▁und"], [*"0123", "▁und", "▁Rom", "▁von"], LANGS)
    rows = [(4, np.array([6])), (5, np.array([], int))]
    assert vocabulary_map.with_copies(rows, symbols, {"▁und"}) == {"▁Rom": ["▁von", "▁Rom"]}


def test_coverage_counts_what_the_sources_allow():
    """By hand: 3 of 4 symbols; 2 symbols for the first line and 3 for the second."""
    learned = VocabularyMap(["x", "y"], {"b": ["z"]})
    assert coverage(learned, [["a"], ["b", "b"]], [["x", "z"], ["z", "y"]]) == (0.75, 2.5)


def with_map(model, out, learned: VocabularyMap):
    """A copy of an exported folder with this map, sealed."""
    shutil.copytree(model, out)
    write_text(out / MAP, learned.text())
    write_json(out / PROOF, export_json(seal(out, replace(open_folder(model), vocabulary_map=FACTS, digest=None))))
    return out


def test_a_translation_has_no_other_symbol_than_the_map_allows(model, pieces, tmp_path):
    """Where it allows b and c alone, nothing else comes out; one of all symbols changes nothing; or it is left out."""
    lines = ["a b c", "", "d e f g h", "c"]
    plain = Translator(model, threads=1).translate(lines)
    assert "a" in plain[0]
    narrow = with_map(model, tmp_path / "narrow", VocabularyMap(["▁b"], {"▁c": ["▁c"]}))
    found = Translator(narrow, threads=1).translate(lines)
    assert set("".join(found)) <= set("bc ") and found != plain
    assert Translator(narrow, threads=1, vocabulary_map=False).translate(lines) == plain
    symbols = fairseq_io.read_symbols(str(pieces), LANGS)
    wide = with_map(model, tmp_path / "wide", VocabularyMap(symbols.target[4:], {}))
    assert Translator(wide, threads=1).translate(lines) == plain


def test_a_map_of_ctranslate2_s_own_converter_is_not_taken_for_ours(model, tmp_path):
    """As before: it is used where the export says that there is one."""
    narrow = with_map(model, tmp_path / "narrow", VocabularyMap(["▁b"], {}))
    shutil.copyfile(model / PROOF, narrow / PROOF)
    lines = ["a b c"]
    assert Translator(narrow, threads=1).translate(lines) == Translator(model, threads=1).translate(lines)


@pytest.mark.parametrize("damage", ["edited", "removed"])
def test_another_map_than_the_exported_one_is_refused(damage, model, tmp_path):
    folder = with_map(model, tmp_path / "narrow", VocabularyMap(["▁b"], {}))
    if damage == "edited":
        (folder / MAP).write_text("\t▁c\n")
    else:
        (folder / MAP).unlink()
    with pytest.raises(LskdError, match=r"vmap\.txt"):
        Translator(folder)


@pytest.fixture
def quick(model, monkeypatch):
    """Exports without a start of fairseq: its translations are CTranslate2's, without a map."""
    ours = export.translate_pieces

    def fairseq(checkpoint, data, langs, split, count, plugin):
        return ours(model, [line.split() for line in fairseq_io.piece_lines(str(data), langs, split)[0]])

    monkeypatch.setattr(export, "translate_with_fairseq", fairseq)


def call(checkpoint, pieces, out, *more) -> list[str]:
    """An export."""
    words = ["export", "--checkpoint", checkpoint, "--data", pieces, "--to", "ctranslate2", "--out", out]
    return [str(word) for word in [*words, *more]]


def test_a_map_has_no_part_in_the_proof_and_its_cost_is_measured(
    checkpoint, pieces, quick, tmp_path, capsys, monkeypatch
):
    """With one that allows b alone the model without it is proved all the same, and the record says what is lost."""
    narrow = replace(vocabulary_map.learn(MapSettings(), pieces, LANGS), always=["▁b"], candidates={})
    monkeypatch.setattr(vocabulary_map, "learn", lambda *_: narrow)
    assert cli.main(call(checkpoint, pieces, tmp_path / "m", "--vocabulary-map")) == 0
    facts = json.loads((tmp_path / "m" / PROOF).read_text())
    said, cost = capsys.readouterr(), facts["vocabulary_map"]
    assert json.loads(said.out)["vocabulary_map"] == cost
    assert facts["bleu_ctranslate2"] == facts["bleu_fairseq"] == cost["bleu_without"] > cost["bleu_with"]
    assert facts["identical"] == facts["sentences"] == 12 > cost["identical"]
    assert f"BLEU {cost['bleu_with']:.2f} with the vocabulary map and {cost['bleu_without']:.2f} without" in said.err
    assert cost["allowed"] == 1 and cost["cpu_seconds_with"] > 0 and "vmap.txt" in facts["sha256"]
    symbols = fairseq_io.read_symbols(str(pieces), LANGS)
    assert examine("m", tmp_path / "m", symbols).vocabulary_map


def test_an_export_learns_from_a_store_of_translations(checkpoint, pieces, quick, tmp_path):
    """The corpus copies: every symbol allows itself, and BLEU stays."""
    symbols = fairseq_io.read_symbols(str(pieces), LANGS)
    store.write(tmp_path / "chosen", {}, store.HypothesesHeader(symbols=stored_as(symbols)))
    shutil.copytree(pieces, tmp_path / "chosen" / "bin")
    place = MapSettings(tmp_path / "chosen", candidates=3, common=1)
    made = export.export_ctranslate2(
        checkpoint, pieces, LANGS, tmp_path / "m", lambda line: None, map_settings=place
    ).vocabulary_map
    assert made.learned_from == "the translations of chosen" and made.covered == 1.0
    assert made.identical == 12 and made.bleu_with == made.bleu_without and made.candidates == 3
    rows = dict(line.split("\t") for line in (tmp_path / "m" / MAP).read_text().splitlines())
    assert "▁c" in rows[""].split()
    (tmp_path / "chosen" / "ids.npy").write_bytes(b"garbage")
    with pytest.raises(LskdError, match=r"ids\.npy was edited, damaged or removed"):
        vocabulary_map.learn(place, pieces, LANGS)


@pytest.mark.parametrize(
    "flags, part",
    [
        (["--map-from", "PIECES"], "--map-from is about a vocabulary map: give --vocabulary-map, too"),
        (["--vocabulary-map", "--to", "fairseq"], "--vocabulary-map is of --to ctranslate2, and --to is fairseq"),
        (["--vocabulary-map", "--map-candidates", "0"], "--map-candidates is 0"),
        (["--vocabulary-map", "--map-common", "-1"], "--map-common is -1"),
        (["--vocabulary-map", "--map-from", "nowhere"], "--map-from nowhere is no folder"),
        (["--vocabulary-map", "--map-from", "DECODED"], "is a decoding: choose translations by lskd seqkd select"),
        (["--vocabulary-map", "--map-from", "OTHER"], "has another source dictionary than --data"),
        (["--vocabulary-map", "--map-from", "NAMES"], "has no dictionaries of aa-bb"),
        (["--vocabulary-map", "--map-from", "PAIR"], "has no 'train' of aa-bb"),
        (["--vocabulary-map", "--map-from", "SILENT"], "has no pair of train with words on both sides"),
        (["--vocabulary-map", "--map-alignments", "nowhere"], "nowhere does not exist"),
        (["--vocabulary-map", "--map-alignments", "SHORT"], "has 1 lines and --map-from"),
        (["--vocabulary-map", "--map-alignments", "WRONG"], "line 1 has '0:0', and the pair"),
        (["--vocabulary-map", "--map-alignments", "FAR"], "line 1 has '0-99', and the pair"),
        (["--vocabulary-map", "--map-alignments", "NONE"], "aligns no words"),
    ],
)
def test_maps_that_cannot_be_are_refused(flags, part, checkpoint, pieces, data, tmp_path, capsys):
    places = {name: tmp_path / name.lower() for name in ("DECODED", "NAMES", "PAIR", "SILENT")}
    places |= {name: tmp_path / name.lower() for name in ("SHORT", "WRONG", "FAR", "NONE")}
    for name in ("DECODED", "NAMES", "PAIR"):
        places[name].mkdir()
    (places["DECODED"] / "ledger.json").write_text("{}")
    for name in LANGS:
        shutil.copyfile(pieces / f"dict.{name}.txt", places["PAIR"] / f"dict.{name}.txt")
    shutil.copytree(pieces, places["SILENT"])
    sizes = tuple(map(len, fairseq_io.dictionaries(str(pieces), LANGS)))
    count = len(fairseq_io.split_ids(str(pieces), "train", LANGS, sizes)[0])
    fairseq_io.write_pairs(str(places["SILENT"]), LANGS, "train", [([2], [2])] * 3, sizes)
    for name, line in (("SHORT", None), ("WRONG", "0:0"), ("FAR", "0-99"), ("NONE", "")):
        places[name].write_text("0-0\n" if line is None else f"{line}\n" + "\n" * (count - 1))
    places |= {"PIECES": pieces, "OTHER": data}
    before = sorted(tmp_path.iterdir())
    words = call(checkpoint, pieces, tmp_path / "m", *(places.get(word, word) for word in flags))
    assert cli.main(words) == 2
    errors = [line for line in capsys.readouterr().err.splitlines() if "error" in line]
    assert len(errors) == 1 and part in errors[0]
    assert sorted(tmp_path.iterdir()) == before


def test_the_verb_translates_without_the_map_where_it_is_told_to(model, tmp_path, monkeypatch, capsys):
    import io

    narrow = with_map(model, tmp_path / "narrow", VocabularyMap(["▁b"], {}))
    for flags in ([], ["--no-vocabulary-map"]):
        monkeypatch.setattr("sys.stdin", io.TextIOWrapper(io.BytesIO(b"c d\n")))
        assert cli.main(["translate", str(narrow), "--threads", "1", *flags]) == 0
    first, second = capsys.readouterr().out.splitlines()
    assert set(first) <= set("b ") and set(second) & set("cd")
