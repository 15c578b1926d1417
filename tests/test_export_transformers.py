"""Students as folders of transformers: fairseq's translations by transformers alone, or nothing at all."""

import json
import shutil
from dataclasses import replace

import numpy as np
import pytest
import torch
from conftest import call, train
from test_archs import TRAINED, fit

from lskd_nmt import cli, fairseq_io
from lskd_nmt.deploy import export_transformers as to_transformers
from lskd_nmt.deploy.export_transformers import export_transformers
from lskd_nmt.deploy.model_card import UNKNOWN, model_card
from lskd_nmt.deploy.translate import Translator
from lskd_nmt.errors import LskdError
from lskd_nmt.evaluate.learned import keep, score_of
from lskd_nmt.evaluate.records import Metrics, ScoringFacts, write_metrics
from lskd_nmt.evaluate.scoring import scores
from lskd_nmt.experiment.run import Run
from lskd_nmt.experiment.run_metrics import scored_of
from lskd_nmt.fairseq_io import read_checkpoint
from lskd_nmt.hf_io import students
from lskd_nmt.hf_io.students import Student
from lskd_nmt.hf_io.vocabularies import SPECIAL
from lskd_nmt.storage.files import sha256

LANGS = ("aa", "bb")
LINES = ["a b c", "h g", "d", "e e f a"]


def quiet(line: str) -> None:
    """Progress that nobody reads."""


@pytest.fixture(scope="module")
def exported(checkpoint, pieces, tmp_path_factory):
    """The post-norm student's folder, and what was proved of it."""
    out = tmp_path_factory.mktemp("hf") / "student"
    return out, export_transformers(checkpoint, pieces, LANGS, out, quiet)


def translated(folder, lines, **search):
    """As the model card says."""
    from transformers import AutoModelForSeq2SeqLM, AutoTokenizer

    tokenizer, model = (each.from_pretrained(folder) for each in (AutoTokenizer, AutoModelForSeq2SeqLM))
    inputs = tokenizer(lines, return_tensors="pt", padding=True)
    return tokenizer.batch_decode(model.generate(**inputs, **search), skip_special_tokens=True)


def test_transformers_alone_translates_text_as_the_student_does_elsewhere(exported, model):
    folder, facts = exported
    assert (facts.kind, facts.sentences, facts.greedy, facts.beam, facts.cut) == ("FSMT", 12, 12, 12, 0)
    assert facts.difference < 1e-5 and facts.tokenised == 12
    elsewhere = Translator(model, threads=1)
    assert translated(folder, LINES) == elsewhere.translate(LINES)
    assert translated(folder, LINES, num_beams=1) == elsewhere.translate(LINES, beam=1)


def test_the_folder_is_whole_and_says_what_was_proved(exported):
    folder, facts = exported
    said = json.loads((folder / "export.json").read_text())
    assert said["to"] == "transformers" and said["greedy"] == said["beam"] == facts.sentences
    names = {"README.md", "config.json", "generation_config.json", "model.safetensors", "vocab.json"}
    assert set(said["sha256"]) == {*names, "source.spm", "target.spm", "tokenizer_config.json"}
    assert all(sha256(folder / name) == wanted for name, wanted in said["sha256"].items())
    assert len({file.stat().st_mode for file in folder.iterdir()}) == 1
    card = (folder / "README.md").read_text()
    assert card.count(UNKNOWN) == 3 and "license: choose one" in card and "\nlicense:" not in card


VARIANTS = {
    "pre-norm": ["--encoder-normalize-before", "--decoder-normalize-before"],
    "pre-norm, no scale, gelu": [
        *("--encoder-normalize-before", "--decoder-normalize-before", "--no-scale-embedding"),
        *("--activation-fn", "gelu"),
    ],
    "3+1 layers, other heads": ["--encoder-layers", 3, "--encoder-attention-heads", 2, "--decoder-attention-heads", 8],
}


@pytest.mark.parametrize("name", VARIANTS)
def test_variants_of_the_transformer_are_carried_over(name, pieces, tmp_path):
    flags = ["--kd-weight", 0, "--max-epoch", 12, "--dropout", 0, *VARIANTS[name]]
    checkpoint = train(pieces, tmp_path / "m", *flags) / "checkpoint_last.pt"
    facts = export_transformers(checkpoint, pieces, LANGS, tmp_path / "out", quiet)
    assert facts.kind == ("M2M100" if "pre-norm" in name else "FSMT")
    assert facts.greedy + facts.beam + facts.cut >= 24 and facts.difference < 1e-5


def test_embeddings_that_are_not_shared_are_carried_over(pieces, checkpoint, tmp_path):
    """Of the shared ones copies, all of which are then changed."""
    state = torch.load(checkpoint, weights_only=False)
    noise = torch.Generator().manual_seed(1)
    for name in ("encoder.embed_tokens.weight", "decoder.embed_tokens.weight", "decoder.output_projection.weight"):
        weight = state["model"][name]
        state["model"][name] = weight + 0.01 * torch.randn(weight.shape, generator=noise)
    for name in ("share_all_embeddings", "share_decoder_input_output_embed"):
        setattr(state["cfg"]["model"], name, False)
    torch.save(state, tmp_path / "apart.pt")
    facts = export_transformers(tmp_path / "apart.pt", pieces, LANGS, tmp_path / "out", quiet)
    assert facts.greedy == facts.sentences
    assert json.loads((tmp_path / "out" / "config.json").read_text())["tie_word_embeddings"] is False


@pytest.fixture
def two_dictionaries(plugin, pieces, tmp_path):
    """Binarised pieces whose target has symbols in another order than the source, and more of them."""
    from fairseq_cli import preprocess

    text, out = tmp_path / "text", tmp_path / "bin"
    text.mkdir()
    for split in ("train", "valid"):
        source = (pieces.parent / "text" / f"{split}.aa").read_text().splitlines()
        (text / f"{split}.aa").write_text("".join(f"{line}\n" for line in source))
        (text / f"{split}.bb").write_text("".join(f"{line} ▁h .\n" for line in source))
    flags = [f"--{split}pref={text / split}" for split in ("train", "valid")]
    call(preprocess.cli_main, "fairseq-preprocess", "-s", "aa", "-t", "bb", *flags, "--destdir", out, "--workers", 1)
    shutil.copyfile(pieces / "spm.model", out / "spm.model")
    return out


def test_two_dictionaries_are_carried_over(two_dictionaries, tmp_path, monkeypatch):
    monkeypatch.setattr(to_transformers, "require_own_subwords", lambda *_: None)  # the model has no full stop
    flags = ["--kd-weight", 0, "--arch", "transformer", "--max-epoch", 6, "--dropout", 0]
    checkpoint = train(two_dictionaries, tmp_path / "m", *flags) / "checkpoint_last.pt"
    facts = export_transformers(checkpoint, two_dictionaries, LANGS, tmp_path / "out", quiet)
    assert facts.kind == "FSMT" and facts.greedy + facts.beam + facts.cut >= 24
    source, target = (json.loads((tmp_path / "out" / name).read_text()) for name in ("vocab.json", "target_vocab.json"))
    assert "." in target and "." not in source
    assert all(str(tmp_path) not in file.read_text(errors="replace") for file in (tmp_path / "out").glob("*.json"))
    moved = shutil.move(tmp_path / "out", tmp_path / "elsewhere")
    assert len(translated(moved, LINES)) == len(LINES)


def broken_weights(student):
    model = honest_built(student)
    with torch.no_grad():
        next(model.parameters()).add_(0.01)
    return model


def broken_search(student):
    found = honest_search(student)
    found.bad_words_ids.append([4])  # a frequent word
    return found


honest_built, honest_search = students.built, students.search


@pytest.mark.parametrize(
    "part, broken, message",
    [
        ("built", broken_weights, r"transformers' logits are up to .* from fairseq's, and 0\.0001 is allowed: not exp"),
        ("search", broken_search, r"\d+ of 12 translations of valid by greedy search differ from fairseq's: not exp"),
    ],
)
def test_what_computes_or_translates_otherwise_is_not_published(
    part, broken, message, checkpoint, pieces, tmp_path, monkeypatch
):
    monkeypatch.setattr(students, part, broken)
    with pytest.raises(LskdError, match=message):
        export_transformers(checkpoint, pieces, LANGS, tmp_path / "out", quiet)
    assert list(tmp_path.iterdir()) == []


def test_a_tokeniser_that_cuts_otherwise_is_not_published(checkpoint, pieces, tmp_path, monkeypatch):
    monkeypatch.setattr(students.Opened, "ids", lambda self, lines: [[4, 2]] * len(lines))
    with pytest.raises(LskdError, match=r"transformers' tokeniser makes \d+ lines of valid otherwise: not exported"):
        export_transformers(checkpoint, pieces, LANGS, tmp_path / "out", quiet)
    assert list(tmp_path.iterdir()) == []


SETTINGS = {
    **dict.fromkeys(("encoder_embed_dim", "decoder_embed_dim"), 16),
    **dict.fromkeys(("encoder_ffn_embed_dim", "decoder_ffn_embed_dim"), 32),
    **dict.fromkeys(("encoder_layers", "decoder_layers"), 1),
    **dict.fromkeys(("encoder_attention_heads", "decoder_attention_heads"), 4),
}
PRE_NORM = {"encoder_normalize_before": True, "decoder_normalize_before": True}


def student(tmp_path, **changes):
    symbols = [*SPECIAL, "▁a"]
    model = tmp_path / "spm.model"
    return Student({**SETTINGS, **changes}, {}, (symbols, symbols), LANGS, (model, model))


@pytest.mark.parametrize(
    "changes, part",
    [
        ({"encoder_learned_pos": True}, "has encoder_learned_pos, which FSMT of transformers has not: use --to ctr"),
        ({"layernorm_embedding": True, **PRE_NORM}, "has layernorm_embedding, which M2M100 of transformers has not"),
        ({"encoder_normalize_before": True}, "encoder and decoder differ in normalize_before (True, False)"),
        ({"decoder_embed_dim": 8}, "encoder and decoder differ in embed_dim (16, 8)"),
        ({"activation_fn": "gelu_fast"}, "activation_fn is gelu_fast, which is not in transformers"),
    ],
)
def test_students_that_no_model_of_transformers_computes_are_refused(changes, part, tmp_path):
    with pytest.raises(LskdError) as refused:
        students.require_carried(student(tmp_path, **changes))
    assert part in str(refused.value) and "\n" not in str(refused.value)


def test_two_dictionaries_are_of_post_norm_models_alone(tmp_path):
    two = replace(student(tmp_path), symbols=([*SPECIAL, "▁a"], [*SPECIAL, "▁b"]))
    students.require_carried(two)
    with pytest.raises(LskdError, match="two dictionaries and is pre-norm, and M2M100 of transformers has one"):
        students.require_carried(replace(two, settings={**SETTINGS, **PRE_NORM}))


@pytest.mark.parametrize(
    "change, part",
    [
        (
            lambda weights: weights.pop("decoder.layers.0.fc1.bias"),
            "lacks weights of FSMT (model.decoder.layers.0.fc1.",
        ),
        (lambda weights: weights.update({"encoder.new": torch.ones(1)}), "has weights of FSMT (model.encoder.new)"),
        (lambda weights: weights.update({"decoder.layers.0.fc1.bias": torch.ones(5)}), "weights do not fit FSMT ("),
    ],
)
def test_weights_without_a_place_are_refused(change, part, checkpoint, pieces, tmp_path):
    state = read_checkpoint(str(checkpoint), "x")
    weights = {name: each for name, each in state["model"].items() if not name.endswith(("version", "_float_tensor"))}
    change(weights)
    symbols = fairseq_io.read_symbols(str(pieces), LANGS)
    both = symbols.source, symbols.target
    with pytest.raises(LskdError) as refused:
        students.built(Student(fairseq_io.section(state, "model"), weights, both, LANGS, (tmp_path, tmp_path)))
    assert part in str(refused.value) and "\n" not in str(refused.value)


@pytest.mark.parametrize(
    "extra, part",
    [
        (["--spm", "x"], "--spm, --bpe-codes and --form are of --to ctranslate2"),
        (["--out", "THERE"], "is there already: give a new folder"),
        (["--data", "TOKENISED"], "is of text in the form fairseq14, which is more than sentencepiece: use --to ctr"),
        (["--data", "BARE"], "has no spm.model, and --to transformers carries sentencepiece alone"),
        (["--checkpoint", "UNUSUAL"], "has quant_noise_pq = 0.3, which no model of transformers computes"),
    ],
)
def test_exports_that_cannot_be_take_one_line(extra, part, checkpoint, pieces, data, tmp_path, capsys):
    world = tmp_path / "world"
    shutil.copytree(pieces, world / "tokenised" / "bin")
    (world / "tokenised" / "prep.json").write_text('{"form": "fairseq14"}')
    state = torch.load(checkpoint, weights_only=False)
    state["cfg"]["model"].quant_noise_pq = 0.3
    torch.save(state, world / "unusual.pt")
    named = {"THERE": world, "TOKENISED": world / "tokenised" / "bin", "BARE": data, "UNUSUAL": world / "unusual.pt"}
    call = ["export", "--checkpoint", checkpoint, "--data", pieces, "--out", tmp_path / "m", "--to", "transformers"]
    assert cli.main([str(named.get(word, word)) for word in [*call, *extra]]) == 2
    errors = [line for line in capsys.readouterr().err.splitlines() if "error" in line]
    assert len(errors) == 1 and part in errors[0]
    assert list(tmp_path.iterdir()) == [world]


@pytest.mark.parametrize(
    "arch, part", [("lstm", "is of --arch lstm: give a transformer"), ("transformer_align", "has alignment_")]
)
def test_other_architectures_are_refused(arch, part, pieces, tmp_path):
    checkpoint = fit(pieces, tmp_path / "m", "--kd-weight", 0, *TRAINED[arch])
    with pytest.raises(LskdError) as refused:
        export_transformers(checkpoint, pieces, LANGS, tmp_path / "out", quiet)
    assert part in str(refused.value) and "\n" not in str(refused.value)
    assert list(tmp_path.iterdir()) == [tmp_path / "m"]


@pytest.fixture
def run(tmp_path):
    """A finished run of a teacher and a student, as far as a card reads it, and the student's checkpoint."""
    folder = tmp_path / "run"
    models = [
        {"name": "teacher-s1", "role": "teacher", "seed": 1, "arch": "ls_transformer_base"},
        {"name": "kd-s1", "role": "student", "seed": 1, "teacher": "teacher-s1", "temperature": 2.0, "kd_weight": 1.0}
        | {"kd_level": "word", "arch": "ls_transformer_tiny", "label_smoothing": 0.1},
    ]
    data = {"folder": "data", "source_lang": "aa", "target_lang": "bb", "form": "raw"}
    (folder / "data" / "clean").mkdir(parents=True)
    references = [f"one {word} three of them came" for word in ("two", "four", "five", "six", "seven", "eight")] * 5
    (folder / "data" / "clean" / "test.bb").write_text("".join(f"{line}\n" for line in references))
    (folder / "plan.json").write_text(json.dumps({"name": "r", "data": data, "models": models}))
    for wrong, model in enumerate(models):
        place = folder / "models" / model["name"]
        place.mkdir(parents=True)
        (place / "model.pt").write_text(model["name"])
        lines = ["one two three of them came" if at % 3 < wrong else line for at, line in enumerate(references)]
        (place / "test.hyp").write_text("".join(f"{line}\n" for line in lines))
        hashes = (sha256(file) for file in (place / "test.hyp", folder / "data" / "clean" / "test.bb"))
        facts = ScoringFacts(30, model["name"], 0, *hashes, {"beam": 5})
        write_metrics(place / "metrics.json", Metrics(scores(lines, references, "bb", "raw"), facts))
        (place / "run.json").write_text(json.dumps({"wall_seconds": 3600 * (2 - wrong), "cpu_seconds": 1800}))
    (folder / "data" / "prep.json").write_text(json.dumps({"corpus": "files", "pairs": {"train": 20000}}))
    return folder


def card_of(checkpoint, run, tmp_path):
    return model_card(checkpoint, run / "data" / "bin", student(tmp_path), 1234, ["it was proved"])


def test_the_card_has_what_the_runs_records_say(run, tmp_path):
    checkpoint = run / "models" / "kd-s1" / "model.pt"
    card = card_of(checkpoint, run, tmp_path)
    assert (
        card.startswith("---\nlanguage:\n- aa\n- bb\n") and "# kd-s1: aa to bb" in card and "1,234 parameters" in card
    )
    metrics = json.loads((run / "models" / "kd-s1" / "metrics.json").read_text())
    row = next(line for line in card.splitlines() if line.startswith("| BLEU |"))
    cells = [cell.strip() for cell in row.replace("\\|", "!").strip("|").split("|")]
    low, high = map(float, cells[2].split(" to "))
    assert cells[1] == f"{metrics['bleu']['score']:.2f}" and low < metrics["bleu"]["score"] < high
    assert cells[3].strip("`").replace("!", "|") == metrics["bleu"]["signature"]
    assert "teacher: teacher-s1, `--arch ls_transformer_base`, BLEU 100.00 on the same test set" in card
    assert "- temperature: 2.0" in card and "- level: word" in card and "sentence pairs of train: 20,000" in card
    assert "this model: 1 wall hours, 0.5 CPU hours" in card and "its teacher: 2 wall hours" in card
    assert "- it was proved" in card and UNKNOWN not in card and str(tmp_path) not in card


def test_a_checkpoint_of_a_models_folder_is_the_model_if_its_bytes_are(run, tmp_path):
    folder = run / "models" / "kd-s1"
    (folder / "checkpoints").mkdir()
    shutil.copyfile(folder / "model.pt", folder / "checkpoints" / "checkpoint_best.pt")
    assert card_of(folder / "checkpoints" / "checkpoint_best.pt", run, tmp_path) == card_of(
        folder / "model.pt", run, tmp_path
    )
    (folder / "checkpoints" / "checkpoint_last.pt").write_text("later")
    assert card_of(folder / "checkpoints" / "checkpoint_last.pt", run, tmp_path).count(UNKNOWN) == 3


def test_a_score_of_other_text_has_no_interval(run, tmp_path):
    (run / "models" / "kd-s1" / "test.hyp").write_text("one two three of them came\n" * 30)
    card = card_of(run / "models" / "kd-s1" / "model.pt", run, tmp_path)
    assert "| – |" in next(line for line in card.splitlines() if line.startswith("| BLEU |"))


def rows_of(card):
    """The rows of the table of scores by their metric, as cells."""
    lines = (line.replace("\\|", "!").strip("| ").split(" | ") for line in card.splitlines() if line.startswith("| "))
    return {cells[0]: cells for cells in lines}


def test_metrics_that_programs_compute_have_their_row_and_interval(run, tmp_path):
    folder = run / "models" / "kd-s1"
    found = folder / "metrics.json"
    content = json.loads(found.read_text())
    asked = scored_of(Run(run), "kd-s1").asked
    sentences = np.array([[at / 40, 1] for at in range(30)])  # mean 0.3625
    for name in ("mine", "comet22"):
        keep(name, asked, sentences, {"signature": "v1"})
        signature = score_of(name, asked).signature
        content[name] = {**content["bleu"], "score": 36.25, "signature": signature}
    content["lost"] = {**content["mine"], "signature": "lost|v1"}  # its sentences' scores are not kept
    found.write_text(json.dumps(content))
    rows = rows_of(card_of(folder / "model.pt", run, tmp_path))
    assert rows["mine"][1] == rows["COMET-22"][1] == "36.25" and rows["lost"][2] == "–"
    ends = {name: [float(end) for end in rows[name][2].split(" to ")] for name in ("mine", "COMET-22")}
    deviation = 100 * sentences[:, 0].std() / 30**0.5
    of_normal = [36.25 - 1.96 * deviation, 36.25 + 1.96 * deviation]
    assert ends["COMET-22"] == pytest.approx(of_normal, abs=1)  # of 1000 resamples
    assert ends["mine"] == pytest.approx([end / 100 for end in ends["COMET-22"]], abs=0.01)  # its scale is 1


def test_a_card_counts_all_references(run, tmp_path):
    folder, clean = run / "models" / "kd-s1", Run(run).set_folder(Run(run).set_name) / "clean"
    clean.mkdir(parents=True)
    shutil.copyfile(folder / "test.hyp", clean / "test.bb.1")  # a second reference: all is right
    card = card_of(folder / "model.pt", run, tmp_path)
    assert rows_of(card)["BLEU"][2] == "100.00 to 100.00"


def test_a_teacher_of_another_run_has_its_name(run, tmp_path):
    plan = json.loads((run / "plan.json").read_text())
    (run / "plan.json").write_text(json.dumps({**plan, "models": plan["models"][1:]}))
    shutil.rmtree(run / "models" / "teacher-s1")
    card = card_of(run / "models" / "kd-s1" / "model.pt", run, tmp_path)
    assert "\n- teacher: teacher-s1\n" in card and "its teacher:" not in card


@pytest.mark.parametrize(
    "origin, shown",
    [("fairseq:/home/me/big/teacher.pt", "fairseq:teacher.pt"), ("hf:Helsinki-NLP/opus", "hf:Helsinki-NLP/opus")],
)
def test_a_card_names_no_folder_of_a_machine(origin, shown, run, tmp_path):
    plan = json.loads((run / "plan.json").read_text())
    plan["models"][0]["origin"] = origin
    (run / "plan.json").write_text(json.dumps(plan))
    card = card_of(run / "models" / "kd-s1" / "model.pt", run, tmp_path)
    assert f"- teacher: teacher-s1, {shown}, BLEU" in card and "/home/me" not in card


def test_a_model_without_scores_says_so(run, tmp_path):
    (run / "models" / "kd-s1" / "metrics.json").unlink()
    assert "\nNot scored yet.\n" in card_of(run / "models" / "kd-s1" / "model.pt", run, tmp_path)
