"""`lskd import-teacher`: fairseq computes what transformers computes, and a student learns from it."""

import json
import os
import re
import shutil
import subprocess

import foreign_words
import pytest
from conftest import ROOT, train

from lskd_nmt import Translator
from lskd_nmt.cli import main

LANGS = ("en", "de")
NAMED = ["--source-lang", "en", "--target-lang", "de"]


@pytest.fixture(scope="session")
def text(tmp_path_factory):
    return foreign_words.write_text(tmp_path_factory.mktemp("foreign") / "text")


@pytest.fixture(scope="session")
def marian(text):
    return foreign_words.marian(text.parent / "marian", text)


@pytest.fixture(scope="session")
def imported(marian, text):
    """The folder of an imported MarianMT."""
    out = text.parent / "teacher"
    assert main(["import-teacher", str(marian), *NAMED, "--valid", str(text / "valid"), "--out", str(out)]) == 0
    return out


def symbols_of(folder, lang):
    lines = (folder / f"dict.{lang}.txt").read_text(encoding="utf-8").splitlines()
    return ["<s>", "<pad>", "</s>", "<unk>", *(line.split()[0] for line in lines)]


def both_logits(folder, model, tokens, rows):
    """fairseq's and transformers' logits of rows of (source, target) symbols, for every symbol that both have.

    Written without the code under test: symbols are found by their names, and each sentence goes through transformers
    alone, without padding, while fairseq has them in one batch.
    """
    import torch

    from lskd_nmt import fairseq_io

    ours = fairseq_io.load_model(str(folder / "checkpoint.pt"), {"data": str(folder)}).eval()
    places = [{word: at for at, word in enumerate(symbols_of(folder, lang))} for lang in LANGS]
    pairs = [
        tuple(torch.tensor([*(at[word] for word in side), 2]) for side, at in zip(row, places, strict=True))
        for row in rows
    ]
    with torch.no_grad():
        of_fairseq = ours(**fairseq_io.net_input(pairs, 1, 2)[0])[0]
    names = [(at, tokens[word]) for word, at in places[1].items() if word in tokens]
    for one, (source, target) in zip(of_fairseq, rows, strict=True):
        ids, start = [tokens[word] for word in source], model.config.decoder_start_token_id
        with torch.no_grad():
            theirs = model(
                input_ids=torch.tensor([[*ids, model.config.eos_token_id]]),
                decoder_input_ids=torch.tensor([[start, *(tokens[word] for word in target)]]),
            ).logits[0]
        own = one[: len(target) + 1]
        yield own[:, [a for a, _ in names]], theirs[:, [b for _, b in names]], own, theirs


def drawn_rows(words, lengths):
    import random

    draw = random.Random(5)
    return [(draw.choices(words, k=a - 1), draw.choices(words, k=b - 1)) for a, b in lengths]


def opened(folder):
    from transformers import AutoModelForSeq2SeqLM

    return AutoModelForSeq2SeqLM.from_pretrained(folder).eval()


def assert_equal_logits(folder, model, tokens, most):
    words = [word for word in symbols_of(folder, "de")[4:] if word in tokens and "madeup" not in word]
    rows = drawn_rows(words, [(1, 3), (5, 2), (most, most), (most - 1, 9)])
    for ours, theirs, whole, all_of_theirs in both_logits(folder, model, tokens, rows):
        assert (ours - theirs).abs().max() < 1e-5  # the tolerance; float32 rounds logits of about 10 by 1e-6
        probable = (whole.log_softmax(-1).exp().sum(-1), whole.logsumexp(-1) - all_of_theirs.logsumexp(-1))
        assert probable[1].abs().max() < 1e-5  # so probabilities are equal, too: what fairseq has besides has none


def test_fairseq_computes_marians_logits(plugin, marian, imported):
    tokens = json.loads((marian / "vocab.json").read_text())
    assert_equal_logits(imported, opened(marian), tokens, 48)
    said = json.loads((imported / "import.json").read_text())
    assert said["difference"] < 1e-5 and said["sentences"] == 8 and said["made_up"] == 9 and said["unknown"] == 0
    assert not (imported / "checkpoint.pt").with_suffix(".part").exists()


def test_step_by_step_fairseq_translates_as_transformers_does(plugin, marian, imported):
    import torch

    from lskd_nmt import fairseq_io

    model, symbols = opened(marian), symbols_of(imported, "de")
    tokens = json.loads((marian / "vocab.json").read_text())
    source = [symbols.index(word) for word in ("▁a", "▁b", "c")]
    ours = fairseq_io.load_model(str(imported / "checkpoint.pt"), {"data": str(imported)})
    batch = fairseq_io.net_input([(torch.tensor([*source, 2]), torch.tensor([2]))], 1, 2)[0]
    dictionary = fairseq_io.read_dictionary(imported / "dict.de.txt")
    settings = {"beam": 1, "sampling_topk": None, "temperature": 1.0, "len_penalty": 1.0}
    found = fairseq_io.generate([ours], dictionary, batch, **settings, max_len_a=0, max_len_b=12)[0][0][0]
    ids = torch.tensor([[tokens[symbols[place]] for place in source] + [0]])
    pad = model.config.pad_token_id
    theirs = model.generate(input_ids=ids, num_beams=1, max_length=13, bad_words_ids=[[pad]])[0]
    wanted = [number for number in theirs.tolist() if number not in (0, pad)]
    assert [tokens[symbols[place]] for place in found][: len(wanted)] == wanted[: len(found)] and len(found) > 0


def test_a_student_on_its_dictionary_learns_from_it(plugin, imported, text, tmp_path):
    out = tmp_path / "data"
    files = [part for split in ("train", "valid", "test") for part in (f"--{split}", str(text / split))]
    command = ["bash", str(ROOT / "data-prep" / "prepare.sh"), "--corpus", "files", *NAMED, *files]
    command += ["--dictionary", str(imported), "--keep-repeated", "yes", "--workers", "1", "--out", str(out)]
    done = subprocess.run(
        command, capture_output=True, text=True, check=False, env=os.environ | {"PYTHONPATH": str(ROOT)}
    )
    assert done.returncode == 0, done.stderr
    assert symbols_of(out / "bin", "de") == symbols_of(imported, "de")
    pieces = (out / "pieces" / "valid.en").read_text().splitlines()
    from transformers import AutoTokenizer

    tokenizer = AutoTokenizer.from_pretrained(text.parent / "marian")
    for line, own in zip((text / "valid.en").read_text().splitlines(), pieces, strict=True):
        assert tokenizer.tokenize(line) == own.split()
    from lskd_nmt.evaluate.references import references

    assert references(out / "bin", LANGS, "valid").source == "clean/valid.de"
    folder = train(out / "bin", tmp_path / "m", "--teacher-path", imported / "checkpoint.pt", "--max-epoch", 1)
    ready = tmp_path / "int8"
    flags = ["--data", str(out / "bin"), "--to", "ctranslate2", "--quantization", "int8", "--out", str(ready)]
    assert main(["export", "--checkpoint", str(folder / "checkpoint_last.pt"), *flags]) == 0
    assert {"spm.model", "spm.en.model", "dictionary.json"} <= {file.name for file in ready.iterdir()}
    translated = Translator(ready).translate(["a b c"])[0]
    assert "▁" not in translated


SEVERAL = {
    "m2m100": (foreign_words.m2m100, [], "__en__", "__de__"),
    "nllb": (
        foreign_words.nllb,
        ["--teacher-source-lang", "eng_Latn", "--teacher-target-lang", "deu_Latn"],
        "eng_Latn",
        "deu_Latn",
    ),
}


@pytest.mark.parametrize("kind", SEVERAL)
def test_models_of_many_languages_name_them_on_both_sides(kind, plugin, text, tmp_path):
    from transformers import AutoTokenizer

    from lskd_nmt.data import given
    from lskd_nmt.data.subwords import joined

    make, flags, source, target = SEVERAL[kind]
    model, out = make(tmp_path / "model", text), tmp_path / "teacher"
    flags = flags or ["--teacher-source-lang", "en", "--teacher-target-lang", "de"]
    named = ["import-teacher", str(model), *NAMED, *flags, "--valid", str(text / "valid"), "--out", str(out)]
    assert main(named) == 0
    tokenizer = AutoTokenizer.from_pretrained(model)
    tokens = tokenizer.encoder | tokenizer.lang_token_to_id if kind == "m2m100" else tokenizer.get_vocab()
    assert_equal_logits(out, opened(model), tokens, 48)
    settings = json.loads((out / "import.json").read_text())
    assert settings["source_symbols"] == opened(model).config.vocab_size  # its own order is fairseq's
    assert (
        main(["subwords", *NAMED, "--clean", str(text), "--dictionary", str(out), "--out", str(tmp_path / "data")]) == 0
    )
    for lang, symbol, subwords in zip(LANGS, (source, target), given.of_folder(tmp_path / "data" / "spm"), strict=True):
        lines, plain = (
            (folder / f"valid.{lang}").read_text().splitlines() for folder in (tmp_path / "data/pieces", text)
        )
        assert all(line.startswith(f"{symbol} ▁") for line in lines)
        assert [joined(line) for line in lines] == subwords.decode(lines) == plain
    assert_text_is_cut_for_it(tmp_path / "data" / "spm", source, target)


def test_fsmt_has_two_dictionaries_and_cuts_text_as_transformers_does(plugin, text, tmp_path, capsys):
    import torch
    from transformers import AutoTokenizer

    from lskd_nmt import fairseq_io
    from lskd_nmt.data import given
    from lskd_nmt.teacher import subwords

    model, out, data = foreign_words.fsmt(tmp_path / "model", text), tmp_path / "teacher", tmp_path / "data"
    assert main(["import-teacher", str(model), *NAMED, "--valid", str(text / "valid"), "--out", str(out)]) == 0
    tokens = [json.loads((model / f"vocab-{side}.json").read_text()) for side in ("src", "tgt")]
    symbols = [symbols_of(out, lang) for lang in LANGS]
    for side, ids in zip((symbols[0], symbols[1][:-1]), tokens, strict=True):  # in fairseq's own order, as they were
        names = [*side[:4], *(w.removesuffix("@@") if w.endswith("@@") else f"{w}</w>" for w in side[4:])]
        assert [ids[name] for name in names] == [*range(len(ids))]
    assert symbols[1][-1].startswith("madeupword")
    theirs, ours = opened(model), fairseq_io.load_model(str(out / "checkpoint.pt"), {"data": str(out)}).eval()
    rows = [([5, 9, 2], [8, 7, 6, 5, 2]), ([*range(4, 24), *range(4, 24), *range(4, 11), 2], [5, 6, 2])]  # 48: the most
    batch = fairseq_io.net_input([tuple(torch.tensor(side) for side in row) for row in rows], 1, 2)[0]
    with torch.no_grad():
        found = ours(**batch)[0]
        for one, (source, target) in zip(found, rows, strict=True):
            start = torch.tensor([[2, *target[:-1]]])
            wanted = theirs(input_ids=torch.tensor([source]), decoder_input_ids=start, use_cache=False).logits[0]
            assert (one[: len(target)] - wanted).abs().max() < 1e-5
    assert main(["subwords", *NAMED, "--clean", str(text), "--dictionary", str(out), "--out", str(data)]) == 0
    tokenizer = AutoTokenizer.from_pretrained(model)
    line = "bc efg's ab-bc, “ab” b."
    cut = subwords.of_folder(data / "spm")[0].pieces(line)
    assert [symbols[0].index(piece) if piece in symbols[0] else 3 for piece in cut] == tokenizer(line).input_ids[:-1]
    assert cut[:3] == ["bc", "efg", "&@@"]  # of &apos;s
    no_translator = [
        "export",
        "--checkpoint",
        str(out / "checkpoint.pt"),
        "--to",
        "ctranslate2",
        "--out",
        str(tmp_path / "e"),
    ]
    (data / "spm" / "train.en-de.en.bin").touch()
    (data / "spm" / "train.en-de.de.bin").touch()
    capsys.readouterr()
    assert main([*no_translator, "--data", str(data / "spm")]) == 2
    assert "is cut by BPE over Moses' tokens" in capsys.readouterr().err
    assert given.text_of(data / "spm", "en", [" ".join(cut)]) == ['bc efg\'s ab-bc, "ab" b.']


def test_marians_with_several_targets_are_told_which_and_symbols_it_may_not_write_have_no_chance(
    text, tmp_path, capsys
):
    import torch
    from transformers import GenerationConfig

    from lskd_nmt import fairseq_io
    from lskd_nmt.data import given

    model, out = foreign_words.marian(tmp_path / "model", text, (">>deu<<", ">>fra<<")), tmp_path / "teacher"
    pad = opened(model).config.pad_token_id  # transformers' generate leaves it out, and so do published models
    GenerationConfig(bad_words_ids=[[pad]], pad_token_id=pad, eos_token_id=0).save_pretrained(model)
    named = ["import-teacher", str(model), *NAMED, "--out", str(out)]
    assert main(named) == 2 and "name one with --teacher-target-lang, such as deu, fra" in capsys.readouterr().err
    assert main([*named, "--teacher-target-lang", "deu", "--valid", str(text / "valid")]) == 0
    source, target = given.of_folder(out)
    assert source.pieces("ab")[0] == ">>deu<<" and target.pieces("ab")[0].startswith("▁")
    ours = fairseq_io.load_model(str(out / "checkpoint.pt"), {"data": str(out)}).eval()
    batch = fairseq_io.net_input([(torch.tensor([5, 9, 2]), torch.tensor([8, 7, 2]))], 1, 2)[0]
    with torch.no_grad():
        log_probs = ours(**batch)[0].log_softmax(-1)
    assert log_probs[..., :2].max() < -100 and log_probs[..., 2].min() > -100  # of <s> and <pad>; of </s>


def test_an_exported_student_says_the_language_before_each_piece_of_a_line(tmp_path, text, monkeypatch):
    """Of text that is longer than a piece; what it translates has no symbol of a language."""
    from lskd_nmt.deploy import translate

    foreign_words.write_spm(tmp_path / "spm.model", text / "train.en", 30)
    said = {"kind": "m2m_100", "source_lang": "en", "target_lang": "de", "sha256": {}}
    (tmp_path / "dictionary.json").write_text(json.dumps(said | {"source_prefix": "__en__", "target_prefix": "__de__"}))
    (tmp_path / "model.bin").write_bytes(b"")
    monkeypatch.setattr(translate, "_open_model", lambda *_: None)
    translator = Translator(tmp_path)
    cut = translator.pieces("a b c d " * 100)
    assert len(cut) > 1 and all(piece.subwords[0] == "__en__" and len(piece.subwords) <= 200 for piece in cut)
    assert translator.subwords.decode(["__de__ ▁a ▁b", "▁a"]) == ["a b", "a"]


def assert_text_is_cut_for_it(data, source, target):
    """Monolingual text, and translations that others made, get the symbols of their languages, too."""
    from lskd_nmt import fairseq_io
    from lskd_nmt.decode_settings import DecodeSettings
    from lskd_nmt.seqkd.encoder import Encoder, wording
    from lskd_nmt.seqkd.ledger import Row
    from lskd_nmt.seqkd.monolingual import SubwordTranslator
    from lskd_nmt.teacher.source import Hypothesis

    symbols = fairseq_io.read_symbols(str(data), LANGS)
    encoder = Encoder(str(data), symbols)
    pieces = encoder.source_subwords.pieces("ab c")
    assert pieces[0] == source and encoder.source_ids(pieces)[0] == symbols_of(data, "en").index(source)
    (found,) = encoder.hypotheses(Row(0, "", "", (Hypothesis("", float("nan")),), texts=("ab c",)))
    assert found.pieces.startswith(f"{target} ▁")
    translator = SubwordTranslator(None, wording(str(data), symbols), 9)
    assert translator.translate_text(["", "a b c d e f g h i"], DecodeSettings()) == [[], []]  # nothing, and too much


def test_a_model_of_many_languages_wants_to_know_which(text, tmp_path, capsys):
    model = foreign_words.nllb(tmp_path / "model", text)
    for flags, part in (
        ([], "name one with --teacher-source-lang, such as deu_Latn, eng_Latn"),
        (["--teacher-source-lang", "en"], "--teacher-source-lang is en, which"),
    ):
        assert main(["import-teacher", str(model), *NAMED, *flags, "--out", str(tmp_path / "out")]) == 2
        assert part in capsys.readouterr().err and not (tmp_path / "out").exists()


def spoilt(marian, folder, file="config.json", **changes):
    """A copy of a model's folder with changes in one of its JSON files."""
    shutil.copytree(marian, folder)
    content = json.loads((folder / file).read_text())
    (folder / file).write_text(json.dumps(content | changes))
    return folder


@pytest.mark.parametrize(
    "file, changes, part",
    [
        ("config.json", {"model_type": "t5"}, "lskd seqkd decode --teacher hf:DIR"),
        ("config.json", {"activation_function": "mish"}, "its activation_function is mish"),
        ("config.json", {"decoder_layers": 3}, "of its weights"),
        ("tokenizer_config.json", {"source_lang": "de", "target_lang": "en"}, "translates de to en, not en to de"),
    ],
)
def test_what_fairseq_cannot_be_is_refused(file, changes, part, marian, tmp_path, capsys):
    model = spoilt(marian, tmp_path / "model", file, **changes)
    assert main(["import-teacher", str(model), *NAMED, "--out", str(tmp_path / "out")]) == 2
    errors = capsys.readouterr().err.strip().splitlines()
    assert part in errors[-1] and not (tmp_path / "out").exists()


@pytest.mark.parametrize(
    "flags, part",
    [
        (["--teacher-target-lang", "deu"], "has no symbols of languages"),
        (["--valid", "nowhere/valid"], "nowhere/valid.en does not exist"),
        (["--target-lang", "en"], "--source-lang and --target-lang are both en"),
    ],
)
def test_flags_that_do_not_fit_the_model_are_refused(flags, part, marian, tmp_path, capsys):
    assert main(["import-teacher", str(marian), *NAMED, *flags, "--out", str(tmp_path / "out")]) == 2
    assert part in capsys.readouterr().err and not list(tmp_path.iterdir())


def test_a_folder_without_its_subwords_and_a_name_of_nothing_are_refused(marian, tmp_path, capsys, monkeypatch):
    monkeypatch.setenv("HF_HUB_OFFLINE", "1")
    model = tmp_path / "model"
    shutil.copytree(marian, model)
    (model / "target.spm").unlink()
    for name, part in ((model, "has no target.spm, by which text is cut"), ("no/such-model", "is not a folder and")):
        assert main(["import-teacher", str(name), *NAMED, "--out", str(tmp_path / "out")]) == 2
        assert part in capsys.readouterr().err and not (tmp_path / "out").exists()


def test_a_teacher_that_computes_something_else_is_not_published(marian, tmp_path, capsys, monkeypatch):
    from lskd_nmt.hf_io import words

    monkeypatch.setattr(words, "fold", lambda bias, weights, norm: None)  # the bias of the logits is lost
    assert main(["import-teacher", str(marian), *NAMED, "--out", str(tmp_path / "out")]) == 2
    assert "from transformers'" in capsys.readouterr().err and not list(tmp_path.iterdir())


def test_where_32_bits_round_too_much_64_decide(text, tmp_path, capsys, monkeypatch):
    from lskd_nmt.deploy import import_teacher

    monkeypatch.setattr(import_teacher, "TOLERANCE", 1e-12)
    model = foreign_words.fsmt(tmp_path / "model", text)
    assert main(["import-teacher", str(model), *NAMED, "--out", str(tmp_path / "out")]) == 2
    said = capsys.readouterr().err
    apart = [float(found) for found in re.findall(r"(?:difference is|are up to) ([0-9.e-]+)", said)]
    assert len(apart) == 2 and 1e-12 < apart[1] < 1e-5  # fairseq's softmax and positions stay in 32 bits
    assert not (tmp_path / "out").exists()


def test_data_of_the_other_direction_are_refused(imported, text, tmp_path, capsys):
    names = ["--source-lang", "de", "--target-lang", "en"]
    where = ["--clean", str(text), "--dictionary", str(imported), "--out", str(tmp_path / "out")]
    assert main(["subwords", *names, *where]) == 2
    assert "is of en-de, and the data are de-en" in capsys.readouterr().err
