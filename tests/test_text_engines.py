"""Teachers of Hugging Face translate text: CTranslate2 finds what transformers' `generate` finds, of every kind."""

import json
from functools import partial

import foreign
import pytest
from foreign import LINES

from lskd_nmt.decode_settings import DecodeSettings
from lskd_nmt.errors import LskdError
from lskd_nmt.hf_io import folders, tokens
from lskd_nmt.hf_io.folders import describe
from lskd_nmt.hf_io.models import convert
from lskd_nmt.hf_io.tokens import Direction, HuggingFaceTokens
from lskd_nmt.seqkd.answers import Answer, translation_of
from lskd_nmt.seqkd.text_engines import CTranslate2TextEngine, TransformersEngine
from lskd_nmt.seqkd.text_tokens import require_own_tokens, tokens_of

PROMPT = "lodge: {source} son:"
KINDS = {
    "marian": Direction(langs=("en", "de")),
    "marian_of_transformers": Direction(langs=("en", "de")),
    "m2m100": Direction("en", "de"),
    "nllb": Direction("eng_Latn", "deu_Latn"),
    "mbart25": Direction("en_XX", "de_DE"),
    "mbart50": Direction("en_XX", "de_DE"),
    "t5": Direction(prefix="translate English to German: "),
    "gpt2": Direction(prompt=PROMPT),
    "llama": Direction(prompt=PROMPT),
}
SETTINGS = DecodeSettings(beam=4, nbest=2, max_len_a=1.0, max_len_b=5, batch_tokens=60)


@pytest.fixture(scope="module")
def made(tmp_path_factory):
    """(Hugging Face's folder, CTranslate2's) of a kind, made once."""
    there = {}

    def make(kind: str):
        if kind not in there:
            place = tmp_path_factory.mktemp(kind)
            folder = getattr(foreign, kind)(place / "model")
            convert(folder, place / "converted", describe(folder))
            there[kind] = folder, place / "converted"
        return there[kind]

    return make


def engines(made, kind: str):
    folder, converted = made(kind)
    facts, direction = describe(folder), KINDS[kind]
    opened = partial(HuggingFaceTokens, folder, direction)
    ours = CTranslate2TextEngine(converted, opened, facts.positions, prompted=facts.is_language_model)
    return ours, TransformersEngine(folder, facts, direction)


@pytest.mark.parametrize("kind", KINDS)
def test_ctranslate2_finds_what_generate_finds(made, kind):
    ours, theirs = engines(made, kind)
    for settings in (DecodeSettings(beam=1, max_len_a=1.0, max_len_b=5), SETTINGS):
        found, wanted = (engine.translate_text([*LINES, ""], settings) for engine in (ours, theirs))
        assert found[-1] == wanted[-1] == []
        assert [[each.text for each in of_one] for of_one in found] == [
            [each.text for each in of_one] for of_one in wanted
        ]
        assert all(len(of_one) == settings.nbest for of_one in found[:-1])
        for of_one, of_other in zip(found, wanted, strict=True):  # 1e-4: sums of float32 in another order
            assert [each.score for each in of_one] == pytest.approx([each.score for each in of_other], abs=1e-4)
    assert len({of_one[0].text for of_one in found[:-1]}) > 1 or kind == "nllb"


def test_transformers_own_call_says_the_same(made):
    """Marian as transformers' documentation shows it, without our code; and NLLB with its forced first symbol."""
    import transformers

    folder, _ = made("marian")
    model, tokenizer = (
        each.from_pretrained(folder) for each in (transformers.MarianMTModel, transformers.MarianTokenizer)
    )
    inputs = tokenizer(LINES[3], return_tensors="pt")
    bounds = {"max_new_tokens": inputs["input_ids"].shape[1] + 5, "min_new_tokens": 1}
    model.generation_config.forced_eos_token_id = None  # which cuts a translation that is too long by one symbol more
    made_there = model.generate(**inputs, num_beams=4, early_stopping=True, **bounds)
    text = tokenizer.decode(made_there[0], skip_special_tokens=True)
    assert engines(made, "marian")[0].translate_text([LINES[3]], SETTINGS)[0][0].text == text

    folder, _ = made("nllb")
    tokenizer = transformers.NllbTokenizer.from_pretrained(folder, src_lang="eng_Latn")
    model = transformers.M2M100ForConditionalGeneration.from_pretrained(folder)
    inputs = tokenizer(LINES[3], return_tensors="pt")
    bounds = {"max_new_tokens": inputs["input_ids"].shape[1] + 6, "min_new_tokens": 2}
    first = tokenizer.convert_tokens_to_ids("deu_Latn")
    made_there = model.generate(**inputs, forced_bos_token_id=first, num_beams=1, **bounds)
    text = tokenizer.decode(made_there[0], skip_special_tokens=True).strip()
    found = engines(made, "nllb")[0].translate_text([LINES[3]], DecodeSettings(beam=1, max_len_a=1.0, max_len_b=5))
    assert found[0][0].text == text


def test_symbols_are_the_teachers_own(made):
    assert engines(made, "m2m100")[1].tokens.encode("ab")[0] == "__en__"
    tokenizer = engines(made, "nllb")[1].tokens
    assert tokenizer.encode("ab")[:1] + tokenizer.encode("ab")[-1:] == ["eng_Latn", "</s>"]
    assert tokenizer.start == ["deu_Latn"]
    assert "".join(engines(made, "t5")[1].tokens.encode("ab")).replace("▁", " ").strip().startswith("translate English")
    prompted = engines(made, "llama")[1].tokens.encode("ab")
    assert prompted[:2] == ["<s>", "<user>"] and prompted[-1] == "<answer>"  # its chat template
    assert engines(made, "gpt2")[1].tokens.encode("ab")[0] == "▁"  # which has none


def test_lines_without_room_have_no_translation(made):
    ours, theirs = engines(made, "marian")
    long = " ".join(["cafe"] * 70)  # the model has 64 positions
    for engine in (ours, theirs):
        found = engine.translate_text([LINES[0], long, "  "], SETTINGS)
        assert len(found[0]) == 2 and found[1:] == [[], []]


def test_samples_begin_anew_with_the_seed(made):
    settings = DecodeSettings(sampling=True, nbest=3, max_len_a=1.0, max_len_b=5)
    for engine in engines(made, "marian"):
        drawn = []
        for seed in (1, 1, 2):
            engine.reseed(seed)
            drawn.append([each.text for each in engine.translate_text(LINES[3:5], settings)[1]])
        assert drawn[0] == drawn[1] != drawn[2]


def test_ctranslate2_folder_with_sentencepiece_files(made):
    """Without transformers: the files that OPUS-MT has beside its models."""
    folder, converted = made("marian")
    for name in ("source.spm", "target.spm"):
        (converted / name).write_bytes((folder / name).read_bytes())
    opened = tokens_of(converted, None, KINDS["marian"])
    found = CTranslate2TextEngine(converted, opened, 64).translate_text(LINES, SETTINGS)
    assert found == engines(made, "marian")[0].translate_text(LINES, SETTINGS)
    require_own_tokens(converted, opened(), LINES)
    with pytest.raises(LskdError, match="the tokenizer is of another model"):
        require_own_tokens(converted, engines(made, "t5")[1].tokens, LINES)


def test_language_symbols_of_a_bare_vocabulary(made, tmp_path):
    _, converted = made("nllb")
    (converted / "spm.model").write_bytes(foreign.sentencepiece_model())
    found = tokens_of(converted, None, KINDS["nllb"])()
    assert found.encode("ab")[0] == "eng_Latn" and found.encode("ab")[-1] == "</s>" and found.start == ["deu_Latn"]
    with pytest.raises(LskdError, match=r"--teacher-target-lang is de, which .* does not know: it has deu_Latn"):
        tokens_of(converted, None, Direction("eng_Latn", "de"))()


@pytest.mark.parametrize(
    "kind, direction, complaint",
    [
        ("nllb", Direction("eng_Latn", "deu_Latin"), "is deu_Latin, which the tokenizer of .* it has deu_Latn"),
        ("nllb", Direction("eng_Latn"), "knows 4 languages: give --teacher-target-lang, such as deu_Latn"),
        ("m2m100", Direction("en", "deu_Latn"), "is deu_Latn, which .* does not know: it has de"),
        ("t5", Direction("en", "de"), "has no languages: .* --teacher-prefix"),
        ("marian", Direction(langs=("de", "en")), r"translates from en to de, and the languages are de and en"),
    ],
)
def test_directions_that_a_teacher_does_not_have(made, kind, direction, complaint):
    with pytest.raises(LskdError, match=complaint) as error:
        HuggingFaceTokens(made(kind)[0], direction)
    assert "\n" not in str(error.value)


def test_marian_with_several_targets_needs_one(tmp_path):
    folder = foreign.marian(tmp_path / "model", codes=(">>deu<<", ">>nld<<"))
    with pytest.raises(LskdError, match="knows 2 languages: give --teacher-target-lang, such as deu, nld"):
        HuggingFaceTokens(folder, Direction())
    assert HuggingFaceTokens(folder, Direction(target="deu")).encode("ab")[0] == ">>deu<<"


def test_what_is_no_teacher(made, tmp_path, monkeypatch):
    monkeypatch.setenv("HF_HUB_OFFLINE", "1")
    with pytest.raises(LskdError, match=r"no/such is not a folder and cannot be fetched \(.*\): give a folder"):
        folders.found("no/such")
    with pytest.raises(LskdError, match=r"has no config.json"):
        folders.found(str(tmp_path))
    (tmp_path / "config.json").write_text(json.dumps({"model_type": "bert", "architectures": ["BertForMaskedLM"]}))
    with pytest.raises(LskdError, match="a model of type bert, which does not write text"):
        describe(tmp_path)
    (tmp_path / "config.json").write_text(json.dumps({"model_type": "unheard-of"}))
    with pytest.raises(LskdError, match="is of model type unheard-of, which transformers cannot open"):
        describe(tmp_path)
    with pytest.raises(LskdError, match=r"has no tokenizer beside its model.bin: put source.spm and target.spm"):
        tokens_of(made("gpt2")[1], None, Direction())
    with pytest.raises(LskdError, match="has no tokenizer that can be read"):
        HuggingFaceTokens(foreign.without(made("marian")[0], "source.spm"), Direction())
    convert_nothing = describe(made("marian")[0])
    (tmp_path / "config.json").write_text(json.dumps({"model_type": "fsmt", "langs": ["en", "de"]}))
    with pytest.raises(LskdError, match=r"cannot convert .*: use --engine transformers for this model"):
        convert(tmp_path, tmp_path / "out", convert_nothing)


def test_transformers_is_named_where_it_is_missing(monkeypatch):
    import sys

    monkeypatch.setitem(sys.modules, "transformers", None)
    with pytest.raises(LskdError, match=r"hf:x needs transformers: pip install 'lskd_nmt\[hf\]'"):
        folders.library("hf:x")
    assert tokens.LANGUAGE.fullmatch("eng_Latn")


@pytest.mark.parametrize(
    "answer, source, text, stripped",
    [
        ("Ein Hund.", "A dog.", "Ein Hund.", ()),
        (" Ein Hund.\n", "A dog.", "Ein Hund.", ()),
        ('"Ein Hund."', "A dog.", "Ein Hund.", ("quotation marks",)),
        ('"Ein Hund."', '"A dog."', '"Ein Hund."', ()),
        ('"Ja" und "Nein"', "Yes and no", '"Ja" und "Nein"', ()),
        ("„Ein Hund.“", "A dog.", "Ein Hund.", ("quotation marks",)),
        ("Sure! Here is the translation:\n\nEin Hund.", "A dog.", "Ein Hund.", ("announcement",)),
        ("Zutaten:", "Ingredients:", "Zutaten:", ()),
        ("Zutaten:\nMehl", "Ingredients:", "Zutaten:", ("explanation",)),
        ("Translation: Ein Hund.", "A dog.", "Ein Hund.", ("announcement",)),
        ("Ein Hund.\n\nNote: 'dog' is masculine.", "A dog.", "Ein Hund.", ("explanation",)),
        ("<think>A dog…\nis a Hund.</think>\nEin Hund.", "A dog.", "Ein Hund.", ("thoughts",)),
        ("```\nEin Hund.\n```", "A dog.", "Ein Hund.", ("frame",)),
        ("**Ein Hund.**", "A dog.", "Ein Hund.", ("quotation marks",)),
        ("<think>never ends", "A dog.", "", ("thoughts",)),
    ],
)
def test_answers_are_reduced_to_the_translation(answer, source, text, stripped):
    assert translation_of(answer, source) == Answer(text, stripped)
