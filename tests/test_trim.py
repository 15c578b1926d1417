"""`lskd trim`: no text loses a symbol, its own text is cut as before, and the logits are the full model's."""

import io
import json
import random
import shutil
from pathlib import Path

import foreign_words
import pytest
from conftest import binarise, train

from lskd_nmt import Translator
from lskd_nmt.cli import main
from lskd_nmt.data.fewer_pieces import Pieces, spells
from lskd_nmt.deploy import trim, trim_sides
from lskd_nmt.errors import LskdError

LANGS = ("aa", "bb")
NAMED = ["--source-lang", "aa", "--target-lang", "bb"]


def learned(lines, kind, size, **more):
    """A sentencepiece model of these lines, as bytes."""
    import sentencepiece

    model = io.BytesIO()
    sentencepiece.SentencePieceTrainer.train(
        sentence_iterator=iter(lines),
        model_writer=model,
        vocab_size=size,
        model_type=kind,
        hard_vocab_limit=False,
        normalization_rule_name="identity",
        num_threads=1,
        minloglevel=2,
        **more,
    )
    return model.getvalue()


def cutter(model):
    import sentencepiece

    processor = sentencepiece.SentencePieceProcessor(model_proto=model)
    return lambda line: processor.encode(line, out_type=str)


@pytest.mark.parametrize("with_bytes", [False, True])
@pytest.mark.parametrize("kind", ["unigram", "bpe"])
@pytest.mark.parametrize("seed", range(6))
def test_text_is_cut_as_before_and_no_other_text_loses_a_symbol(kind, with_bytes, seed, tmp_path):
    draw = random.Random(seed)
    letters = "abcdefgh"[: draw.randint(4, 8)] + "é日"
    words = ["".join(draw.choices(letters, k=draw.randint(1, 7))) for _ in range(60)]

    def line():
        return " ".join(draw.choices(words, [1 / rank for rank in range(1, 61)], k=draw.randint(1, 8)))

    text = [line() for _ in range(300)]
    file = tmp_path / "spm.model"
    file.write_bytes(learned(text, kind, draw.randint(50, 110) + 256 * with_bytes, byte_fallback=with_bytes))
    before = cutter(file.read_bytes())
    dictionary = {piece for each in text[: draw.choice([300, 20])] for piece in before(each)}
    own = [line() for _ in range(draw.choice([2, 15]))]
    full = Pieces(file)
    kept = full.kept(dictionary, {piece for each in own for piece in before(each)})
    after = cutter(full.model(kept).SerializeToString())
    assert kept <= dictionary
    for each in own:
        assert after(each) == before(each) or not dictionary.issuperset(before(each))
    unseen = ["".join(draw.choices(letters + " ", k=20)) for _ in range(200)]
    known = [each for each in [*text, *unseen] if dictionary.issuperset(before(each))]
    assert len(known) > 5
    for each in known:
        assert kept.issuperset(after(each)) and "".join(after(each)) == "".join(before(each))


def test_a_piece_that_kept_ones_do_not_spell_stays(tmp_path):
    """Here the dictionary lacks `q`, as the data had it in `qu` alone."""
    file = tmp_path / "spm.model"
    file.write_bytes(learned(["qu qua que quo ab ba"] * 20, "unigram", 20))
    full = Pieces(file)
    dictionary = full.normal - {"q"}
    assert any("q" in piece for piece in dictionary)
    kept = full.kept(dictionary, set())
    assert all(spells(kept, piece) for piece in dictionary) and any("q" in piece for piece in kept)
    assert spells({"ab", "c"}, "abcab") and not spells({"ab", "c"}, "abb")


def test_bytes_that_the_dictionary_lacks_are_no_way_to_write_a_character(tmp_path):
    """`qua` goes, as `qu` and `a` spell it; a `q` of bytes before `ua` would have a better score, and be `<unk>`."""
    from sentencepiece.sentencepiece_model_pb2 import ModelProto

    model = ModelProto()
    model.ParseFromString(learned(["a qua"] * 20, "unigram", 300, byte_fallback=True))
    types = ModelProto.SentencePiece.Type
    others = [each for each in model.pieces if each.type != types.Value("NORMAL")]
    scores = {"▁": -1.0, "a": -14.8, "u": -15.0, "q": -15.0, "qu": -14.9, "ua": -3.0, "qua": -5.0}
    normal = [ModelProto.SentencePiece(piece=piece, score=score) for piece, score in scores.items()]
    del model.pieces[:]
    model.pieces.extend([*others, *normal])
    file = tmp_path / "spm.model"
    file.write_bytes(model.SerializeToString())
    assert cutter(file.read_bytes())("qua") == ["▁", "qua"]
    full, dictionary = Pieces(file), {*scores} - {"q"}
    kept = full.kept(dictionary, {"ua"})
    assert kept == dictionary - {"qua"}
    assert cutter(full.model(kept).SerializeToString())("qua") == ["▁", "qu", "a"]


@pytest.fixture(scope="module")
def world(plugin, tmp_path_factory):
    """A text, data with a joined dictionary over sentencepiece's subwords, and a teacher trained on them."""
    folder = tmp_path_factory.mktemp("trim")
    text = foreign_words.write_text(folder / "text", LANGS)
    size = ["--vocab-size", "90"]
    assert main(["subwords", *NAMED, "--clean", str(text), *size, "--out", str(folder)]) == 0
    binarise(folder / "pieces", folder / "bin")
    shutil.copyfile(folder / "spm" / "spm.model", folder / "bin" / "spm.model")
    teacher = train(folder / "bin", folder / "teacher", "--kd-weight", 0) / "checkpoint_last.pt"
    return folder, teacher


def command(world, out, *more, checkpoint=None, keep=("valid",)):
    folder, teacher = world
    words = ["trim", "--checkpoint", str(checkpoint or teacher), "--data", str(folder / "bin"), "--out", str(out)]
    return [*words, "--keep-for", *(str(folder / "text" / name) for name in keep), *more]


@pytest.fixture(scope="module")
def small(world):
    """The teacher's folder for the text of valid."""
    out = world[0] / "small"
    assert main(command(world, out)) == 0
    return out


def symbols_of(folder, lang):
    lines = (folder / f"dict.{lang}.txt").read_text(encoding="utf-8").splitlines()
    return ["<s>", "<pad>", "</s>", "<unk>", *(line.split()[0] for line in lines)]


def assert_equal_logits(full, small, langs, lines, tokenise):
    """The logits of kept symbols, found by their names; each pair of lines goes through the full model alone."""
    import torch

    from lskd_nmt import fairseq_io

    settings = {"source_lang": langs[0], "target_lang": langs[1]}
    models = [fairseq_io.load_model(str(file), {"data": str(data), **settings}).eval() for file, data in (full, small)]
    places = [[{w: n for n, w in enumerate(symbols_of(data, lang))} for lang in langs] for _, data in (full, small)]
    columns = [places[0][1][word] for word in places[1][1]]
    for row in lines:
        found = []
        for model, at in zip(models, places, strict=True):
            source, target = (
                torch.tensor([names[piece] for piece in cut(line)])
                for names, cut, line in zip(at, tokenise, row, strict=True)
            )
            end = torch.tensor([2])
            with torch.no_grad():
                lengths = torch.tensor([len(source) + 1])
                found.append(model(torch.cat([source, end])[None], lengths, torch.cat([end, target])[None])[0])
        assert (found[0][..., columns] - found[1]).abs().max() < 1e-5


def pairs_of(text, split, langs):
    return list(zip(*((text / f"{split}.{lang}").read_text().splitlines() for lang in langs), strict=True))


def test_logits_are_those_of_the_kept_symbols(world, small):
    from lskd_nmt.data import given

    folder, teacher = world
    said = json.loads((small / "trim.json").read_text())
    assert said["source_symbols"]["kept"] < said["source_symbols"]["of"] and said["difference"] <= 1e-5
    before, after = given.of_folder(folder / "bin"), given.of_folder(small)
    rows = pairs_of(folder / "text", "valid", LANGS)
    for one, other in zip(before, after, strict=True):
        assert [one.pieces(line) for row in rows for line in row] == [
            other.pieces(line) for row in rows for line in row
        ]
    assert_equal_logits(
        (teacher, folder / "bin"), (small / "checkpoint.pt", small), LANGS, rows, [side.pieces for side in after]
    )
    assert symbols_of(small, "aa") == symbols_of(small, "bb")  # so that a student can share its embeddings
    counts = dict(line.split() for line in (folder / "bin" / "dict.aa.txt").read_text().splitlines())
    assert all(counts[line.split()[0]] == line.split()[1] for line in (small / "dict.aa.txt").read_text().splitlines())


def test_two_dictionaries_are_cut_apart_each_with_its_own_subwords(world, tmp_path):
    """So that a piece which the other side needs is not cut where this side's dictionary has lost it."""
    from lskd_nmt.data import given

    folder, out = world[0], tmp_path / "small"
    data = tmp_path / "bin"
    shutil.copytree(folder / "bin", data)
    for lang, unwanted in (("aa", "k"), ("bb", "b")):
        lines = (data / f"dict.{lang}.txt").read_text().splitlines(keepends=True)
        (data / f"dict.{lang}.txt").write_text("".join(line for line in lines if unwanted not in line.split()[0]))
    side = trim_sides.sides_of(data, LANGS, [str(folder / "text" / "valid")], None)
    used, _, _ = trim.read(side, lambda line: None)
    kept = trim.kept_of(side, used)
    assert kept[0].symbols != kept[1].symbols and kept[0].spm != kept[1].spm
    out.mkdir()
    trim.write_vocabulary(kept, side, data, out)
    for one, cut, full, known in zip(kept, given.of_folder(out), given.of_folder(data), side, strict=True):
        for line in (folder / "text" / f"train.{known.lang}").read_text().splitlines():
            if {*known.symbols}.issuperset(full.pieces(line)):
                assert {*one.symbols}.issuperset(cut.pieces(line))


def prepared(world, small, out):
    """The data of the world's text in the trimmed vocabulary, as prepare.sh makes them."""
    folder = world[0]
    text = ["--clean", str(folder / "text")]
    assert main(["subwords", *NAMED, *text, "--dictionary", str(small), "--out", str(out)]) == 0
    binarise(out / "pieces", out / "bin", "--srcdict", out / "spm" / "dict.aa.txt")
    for name in ("spm.model", "dictionary.json"):
        shutil.copyfile(out / "spm" / name, out / "bin" / name)
    return out / "bin"


def test_a_student_learns_from_it_on_its_vocabulary(world, small, tmp_path, capsys):
    data = prepared(world, small, tmp_path)
    assert symbols_of(data, "aa") == symbols_of(small, "aa")
    assert "<unk>" not in (tmp_path / "pieces" / "train.aa").read_text()
    flags = ["--teacher-path", small / "checkpoint.pt", "--kd-weight", 0.9, "--max-epoch", 1]
    student = train(data, tmp_path / "student", *flags) / "checkpoint_last.pt"
    again = command(world, tmp_path / "smaller", checkpoint=student)
    again[again.index("--data") + 1] = str(data)
    assert main(again) == 0  # a student on given subwords can be trimmed, too
    twice = json.loads((tmp_path / "smaller" / "trim.json").read_text())
    assert twice["source_symbols"]["kept"] == twice["source_symbols"]["of"]  # nothing more goes for the same text
    capsys.readouterr()
    with pytest.raises(SystemExit):
        train(data, tmp_path / "m", "--teacher-path", world[1])  # of the full vocabulary
    assert "dictionaries differ" in capsys.readouterr().err


@pytest.mark.long
def test_it_is_exported_and_translates(world, small, tmp_path):
    data, ready = prepared(world, small, tmp_path), tmp_path / "int8"
    words = ["export", "--checkpoint", str(small / "checkpoint.pt"), "--data", str(data), "--to", "ctranslate2"]
    assert main([*words, "--quantization", "int8", "--out", str(ready)]) == 0
    assert "▁" not in Translator(ready).translate(["abc de f"])[0]
    stock = ["export", "--checkpoint", str(small / "checkpoint.pt"), "--data", str(data), "--to", "fairseq"]
    assert main([*stock, "--out", str(tmp_path / "stock.pt")]) == 0


KINDS = {
    "marian": (foreign_words.marian, []),
    "m2m100": (foreign_words.m2m100, ["--teacher-source-lang", "en", "--teacher-target-lang", "de"]),
}


@pytest.mark.parametrize("kind", KINDS)
def test_an_imported_teacher_is_trimmed(kind, plugin, tmp_path):
    """Of Marian, with a sentencepiece model for each side and one dictionary; of M2M100, with symbols of languages."""
    from lskd_nmt.data import given

    make, flags = KINDS[kind]
    text = foreign_words.write_text(tmp_path / "text", sizes=(40, 3, 3))
    shutil.copyfile(text / "valid.en", text / "valid.de")  # the model of many languages has subwords of train.en alone
    full, small = tmp_path / "teacher", tmp_path / "small"
    named = ["--source-lang", "en", "--target-lang", "de", *flags]
    assert main(["import-teacher", str(make(tmp_path / "model", text)), *named, "--out", str(full)]) == 0
    words = ["trim", "--checkpoint", str(full / "checkpoint.pt"), "--keep-for"]
    assert main([*words, str(text / "valid.en"), str(text / "valid.de"), "--out", str(small)]) == 0
    before, after = given.of_folder(full), given.of_folder(small)
    rows = [
        row
        for row in pairs_of(text, "valid", ("en", "de"))
        if all(
            {*symbols_of(full, lang)}.issuperset(side.pieces(line))
            for lang, side, line in zip(("en", "de"), before, row, strict=True)
        )
    ]
    assert rows
    for row in rows:
        assert [side.pieces(line) for side, line in zip(before, row, strict=True)] == [
            side.pieces(line) for side, line in zip(after, row, strict=True)
        ]
    tables = (full / "checkpoint.pt", full), (small / "checkpoint.pt", small)
    assert_equal_logits(*tables, ("en", "de"), rows, [side.pieces for side in after])
    assert len(symbols_of(small, "de")) < len(symbols_of(full, "de"))
    assert ("__en__" in symbols_of(small, "en")) == (kind == "m2m100") and "__fr__" not in symbols_of(small, "en")
    assert (small / "spm.en.model").is_file() == (kind == "marian")


def refusal(capsys, words, out):
    """The one line of a call that is refused and leaves nothing."""
    capsys.readouterr()
    assert main([str(word) for word in words]) == 2
    assert not out.exists() and not list(out.parent.glob(f"{out.name}.part.*"))
    lines = [line for line in capsys.readouterr().err.splitlines() if "error: " in line]
    assert len(lines) == 1
    return lines[0]


@pytest.mark.parametrize(
    "keep, part",
    [
        (("valid.aa",), "names no text of bb"),
        (("nowhere",), "is no file"),
        (("valid.xx",), "does not say its language"),
    ],
)
def test_text_that_does_not_do_is_refused(keep, part, world, tmp_path, capsys):
    (world[0] / "text" / "valid.xx").write_text("a\n")
    assert part in refusal(capsys, command(world, tmp_path / "out", keep=keep), tmp_path / "out")


def test_files_of_other_models_are_refused(world, small, tmp_path, capsys):
    out = tmp_path / "out"
    other = [*command(world, out), "--spm", tmp_path / "other.model"]
    (tmp_path / "other.model").write_bytes(learned(["α β γ δ ε ζ η θ αβ γδ"] * 9, "unigram", 15))
    assert "of two models" in refusal(capsys, other, out)
    (tmp_path / "other.model").write_bytes(b"no model at all")
    assert "is no readable sentencepiece model" in refusal(capsys, other, out)
    (tmp_path / "other.model").write_bytes(learned(["a b c ab bc"] * 9, "char", 9))
    assert "of kind unigram or bpe" in refusal(capsys, other, out)
    plain = command(world, out)
    at = plain.index("--data")
    assert "give the model's binarised data as --data" in refusal(capsys, plain[:at] + plain[at + 2 :], out)
    trimmed = command(world, out, checkpoint=small / "checkpoint.pt")
    assert "has other symbols than --data" in refusal(capsys, trimmed, out)
    assert "is there already" in refusal_of_existing(capsys, command(world, small))


def test_a_model_that_is_read_in_the_other_direction_is_refused():
    state = {"cfg": {"task": {"source_lang": "en", "target_lang": "de"}}, "model": {}}
    with pytest.raises(LskdError, match="translates en to de, and --data bin is read as de-en"):
        trim.require_own(state, Path("m.pt"), Path("bin"), (), ("de", "en"))


def refusal_of_existing(capsys, words):
    capsys.readouterr()
    assert main(words) == 2
    return capsys.readouterr().err


def test_a_trim_that_loses_a_needed_symbol_publishes_nothing(world, tmp_path, capsys, monkeypatch):
    kept = Pieces.kept
    monkeypatch.setattr(Pieces, "kept", lambda self, symbols, used: {p for p in kept(self, symbols, []) if len(p) == 1})
    line = refusal(capsys, command(world, tmp_path / "out"), tmp_path / "out")
    assert "loses a symbol that it needs" in line


def test_weights_of_another_order_publish_nothing(world, tmp_path, capsys, monkeypatch):
    monkeypatch.setitem(trim.TABLES, "decoder.embed_tokens.weight", 1)
    right = trim.trimmed

    def wrong(state, kept, langs):
        found = right(state, kept, langs)
        weights = found["model"]
        name = "decoder.embed_tokens.weight"
        found["model"] = weights | dict.fromkeys([name, "decoder.output_projection.weight"], weights[name].flip(0))
        return found

    monkeypatch.setattr(trim, "trimmed", wrong)
    line = refusal(capsys, command(world, tmp_path / "out"), tmp_path / "out")
    assert "from the full model's" in line
