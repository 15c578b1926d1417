"""Text from elsewhere, of a bitext or without a target side, becomes a store and a corpus that students learn from."""

import json
import random
import shutil
from pathlib import Path

import numpy as np
import pytest
from conftest import train

from lskd_nmt import cli, fairseq_io
from lskd_nmt.errors import LskdError
from lskd_nmt.seqkd import ledger
from lskd_nmt.seqkd.chooser import SelectSettings
from lskd_nmt.seqkd.imported import ImportSettings, import_translations
from lskd_nmt.seqkd.mixture import Monolingual
from lskd_nmt.seqkd.select import select
from lskd_nmt.seqkd.store import HypothesisStore

LANGS = ("aa", "bb")
SPLITS = ("train", "valid", "test")


def text_of(lines) -> str:
    return "".join(line + "\n" for line in lines)


def plain(pieces: str) -> str:
    return pieces.replace(" ", "").replace("▁", " ").strip()


@pytest.fixture(scope="module")
def source(pieces) -> list[str]:
    """The source side of train as text."""
    return list(map(plain, fairseq_io.piece_lines(str(pieces), LANGS, "train")[0]))


def take(folder: Path, lines, translations) -> Path:
    """Import lists of translations, or single ones, as JSON Lines."""
    folder.mkdir()
    (folder / "mono.aa").write_text(text_of(lines))
    given = (one if isinstance(one, dict) else {"translation": one} for one in translations)
    made = ({"source": line} | one for line, one in zip(lines, given, strict=True))
    (folder / "out.jsonl").write_text(text_of(map(json.dumps, made)))
    files = str(folder / "mono.aa"), str(folder / "out.jsonl")
    import_translations(folder / "d", *files, ImportSettings(), lambda line: None)
    return folder / "d"


def backwards(line: str) -> str:
    return " ".join(line.split()[::-1])


@pytest.fixture(scope="module")
def bitext(source, tmp_path_factory) -> Path:
    """Translations of train: its words backwards."""
    return take(tmp_path_factory.mktemp("bitext") / "b", source, list(map(backwards, source)))


@pytest.fixture(scope="module")
def new_lines(pieces) -> list[str]:
    """Forty different lines that no split has."""
    seen = {plain(line) for split in SPLITS for line in fairseq_io.piece_lines(str(pieces), LANGS, split)[0]}
    draw, found = random.Random(3), dict[str, None]()
    while len(found) < 40:
        line = " ".join(draw.choices("abcdefgh", k=draw.randint(3, 7)))
        if line not in seen:
            found[line] = None
    return list(found)


@pytest.fixture(scope="module")
def mono(new_lines, tmp_path_factory) -> Path:
    return take(tmp_path_factory.mktemp("mono") / "m", new_lines, list(map(backwards, new_lines)))


def chosen(out: Path, data: Path, decoded=(), monolingual=(), share=None, seed=1, show=lambda line: None, **settings):
    symbols = fairseq_io.read_symbols(str(data), LANGS)
    texts = Monolingual(tuple(monolingual), share, seed)
    return select(out, list(decoded), str(data), symbols, SelectSettings(**settings), show, monolingual=texts)


def corpus_of(folder: Path) -> list[tuple[str, str]]:
    sides = fairseq_io.piece_lines(str(folder / "bin"), LANGS, "train")
    return [(plain(source), plain(target)) for source, target in zip(*sides, strict=True)]


def ids_of(folder: Path) -> list[tuple[np.ndarray, np.ndarray]]:
    (dataset,) = fairseq_io.translation_data(str(folder), LANGS, "train")
    return [(dataset[row]["source"].numpy(), dataset[row]["target"].numpy()) for row in range(len(dataset))]


def test_translations_of_the_bitext_from_elsewhere_are_chosen_as_our_own_are(pieces, bitext, source, tmp_path):
    header = chosen(tmp_path / "h", pieces, [bitext])
    assert corpus_of(tmp_path / "h") == [(line, backwards(line)) for line in source]
    store, pairs = HypothesisStore.open(tmp_path / "h"), ids_of(pieces)
    expected = [[ids.tolist()] for _, ids in ids_of(tmp_path / "h" / "bin")]
    assert [[ids.tolist() for ids in each] for each in store.lookup(pairs)] == expected
    assert header.mixture is None and header.decoded[0].teacher[0].file == "out.jsonl" and header.dropped == {}


def test_interpolation_takes_the_translation_that_is_the_reference(pieces, source, tmp_path):
    several = [{"translations": [backwards(line), "a", line]} for line in source]
    decoded = take(tmp_path / "b", source, several)
    chosen(tmp_path / "h", pieces, [decoded], method="interpolate")
    assert corpus_of(tmp_path / "h") == [(line, line) for line in source]
    chosen(tmp_path / "m", pieces, [decoded], method="multi", hypotheses=2)
    assert corpus_of(tmp_path / "m") == [(line, each) for line in source for each in (backwards(line), "a")]


def test_the_best_is_that_of_the_highest_score_or_without_scores_the_first(pieces, source, tmp_path):
    three = ["a", "b", "c"]
    scores = [{"scores": [-3, -1, None]}, {}, {"scores": [None, None, -9]}]
    lists = [{"translations": three} | scores[number % 3] for number in range(len(source))]
    chosen(tmp_path / "h", pieces, [take(tmp_path / "b", source, lists)])
    assert [target for _, target in corpus_of(tmp_path / "h")[:3]] == ["b", "a", "c"]


def test_text_of_another_source_is_refused_with_its_row(pieces, source, new_lines, tmp_path):
    other = take(tmp_path / "b", [*source[:7], new_lines[0], *source[8:]], ["a"] * len(source))
    with pytest.raises(LskdError, match="row 7 is of another source sentence: import the translations of the text"):
        chosen(tmp_path / "h", pieces, [other])
    with pytest.raises(LskdError, match="has 7 lines and train has 60 sentence pairs: give translations of the text"):
        chosen(tmp_path / "h", pieces, [take(tmp_path / "short", source[:7], ["a"] * 7)])
    assert not list(tmp_path.glob("h*"))


def test_what_the_dictionary_cannot_write_is_dropped_and_counted(pieces, source, tmp_path):
    lists = [{"translations": ["Ж", "a b", ""]} for _ in source]
    header = chosen(tmp_path / "h", pieces, [take(tmp_path / "b", source, lists)], method="multi")
    assert header.dropped == {"unknown subword": 60, "empty": 60} and header.hypotheses == 60
    assert {target for _, target in corpus_of(tmp_path / "h")} == {"a b"}


def test_monolingual_text_alone_is_a_corpus_whose_pairs_the_store_has(pieces, mono, new_lines, tmp_path):
    header = chosen(tmp_path / "h", pieces, [], [mono])
    assert corpus_of(tmp_path / "h") == [(line, backwards(line)) for line in new_lines]
    store, pairs = HypothesisStore.open(tmp_path / "h"), ids_of(tmp_path / "h" / "bin")
    assert [[ids.tolist() for ids in each] for each in store.lookup(pairs)] == [[ids.tolist()] for _, ids in pairs]
    assert (header.mixture.bitext, header.mixture.monolingual, header.mixture.available) == (0, 40, 40)
    for split in ("valid", "test"):
        ours, theirs = (fairseq_io.piece_lines(str(each), LANGS, split) for each in (tmp_path / "h" / "bin", pieces))
        assert ours == theirs
    assert chosen(tmp_path / "h", pieces, [], [mono]) == header
    with pytest.raises(LskdError, match="holds hypotheses with other selection"):
        chosen(tmp_path / "h", pieces, [], [mono], method="multi")


@pytest.mark.parametrize("share", [0.1, 0.25, 0.4])
def test_a_share_of_both_is_one_corpus_and_one_store(share, pieces, bitext, mono, source, new_lines, tmp_path):
    header = chosen(tmp_path / "h", pieces, [bitext], [mono], share)
    found = corpus_of(tmp_path / "h")
    assert found[:60] == [(line, backwards(line)) for line in source]
    drawn = [line for line, _ in found[60:]]
    assert drawn == [line for line in new_lines if line in set(drawn)]  # each once, in order
    assert all(target == backwards(line) for line, target in found[60:])
    assert len(drawn) == round(60 * share / (1 - share)) == header.mixture.monolingual
    assert abs(len(drawn) / len(found) - share) < 0.5 / len(found) + 1e-9
    assert (header.mixture.bitext, header.mixture.available, header.mixture.share) == (60, 40, share)
    store = HypothesisStore.open(tmp_path / "h")
    pairs = ids_of(tmp_path / "h" / "bin")
    assert [[ids.tolist() for ids in each] for each in store.lookup(pairs)] == [[ids.tolist()] for _, ids in pairs]


def test_a_share_is_drawn_by_its_seed(pieces, bitext, mono, new_lines, tmp_path):
    lines = {}
    for seed in (1, 1, 2):
        out = tmp_path / f"h{len(list(tmp_path.iterdir()))}"
        chosen(out, pieces, [bitext], [mono], 0.2, seed)
        lines.setdefault(seed, []).append([line for line, _ in corpus_of(out)[60:]])
    assert lines[1][0] == lines[1][1] != lines[2][0] and len(lines[2][0]) == 15
    with pytest.raises(LskdError, match="holds hypotheses with other mixture"):
        chosen(tmp_path / "h0", pieces, [bitext], [mono], 0.2, 2)


def test_without_a_share_all_lines_are_learned(pieces, bitext, mono, tmp_path):
    header = chosen(tmp_path / "h", pieces, [bitext], [mono, mono], method="multi")
    assert len(corpus_of(tmp_path / "h")) == 60 + 80 and header.mixture.monolingual == 80
    assert header.decoded[1] == header.decoded[2] and header.mixture.decodings == 2


def test_held_out_and_empty_lines_are_never_learned(pieces, new_lines, tmp_path):
    held = [plain(fairseq_io.piece_lines(str(pieces), LANGS, split)[0][0]) for split in ("valid", "test")]
    lines = [held[0], new_lines[0], "", held[1], new_lines[1]]
    header = chosen(tmp_path / "h", pieces, [], [take(tmp_path / "m", lines, ["a b c"] * 5)])
    assert [line for line, _ in corpus_of(tmp_path / "h")] == new_lines[:2]
    assert header.dropped == {"in valid or test": 2, "empty source": 1}


def test_a_sample_counts_only_lines_that_can_be_learned(pieces, bitext, new_lines, tmp_path):
    """Of forty lines every second has an empty translation: twenty are left, and a share of a fifth needs fifteen."""
    texts = take(tmp_path / "m", new_lines, [line * (number % 2) for number, line in enumerate(new_lines)])
    header = chosen(tmp_path / "h", pieces, [bitext], [texts], 0.2)
    assert header.mixture.available == 20 and header.mixture.monolingual == 15
    assert {line for line, _ in corpus_of(tmp_path / "h")[60:]} <= set(new_lines[1::2])
    with pytest.raises(LskdError, match=r"--share 0.5 beside 60 .* are 60 lines.* 20 to draw from: .*at most 0.25"):
        chosen(tmp_path / "more", pieces, [bitext], [texts], 0.5)
    assert not list(tmp_path.glob("more*"))


def test_chosen_pieces_of_a_decoding_and_imported_text_may_be_united(pieces, bitext, source, tmp_path):
    """Two imports of the same bitext, whose hypotheses stand one behind the other."""
    other = take(tmp_path / "b", source, ["a"] * len(source))
    chosen(tmp_path / "h", pieces, [bitext, other], method="multi")
    assert corpus_of(tmp_path / "h")[:2] == [(source[0], backwards(source[0])), (source[0], "a")]


@pytest.fixture(scope="module")
def fine(source, tmp_path_factory) -> Path:
    """The same text in other subwords: characters, with a sentencepiece model of so few pieces that it has no words."""
    from conftest import binarise

    from lskd_nmt.data import subwords

    folder = tmp_path_factory.mktemp("fine")
    (folder / "plain").write_text(text_of(source))
    subwords.learn([folder / "plain"], folder / "spm", 13, "bpe")
    model = subwords.Subwords(folder / "spm.model")
    for split in SPLITS:
        for lang in LANGS:
            (folder / "text").mkdir(exist_ok=True)
            (folder / "text" / f"{split}.{lang}").write_text(text_of(model.encode(source)))
    data = binarise(folder / "text", folder / "bin")
    shutil.copyfile(folder / "spm.model", data / "spm.model")
    return data


def test_a_teacher_s_subwords_need_not_be_the_student_s(pieces, fine, source, tmp_path):
    """A decoding in the teacher's subwords, as `seqkd decode` writes it, is learned in those of another data folder."""
    from lskd_nmt.progress import Progress
    from lskd_nmt.seqkd.corpus import read_corpus
    from lskd_nmt.seqkd.ledger import DecodingPlan, Hypothesis, Row
    from lskd_nmt.teacher.coverage import data_hashes

    plan = DecodingPlan([], [*LANGS], data_hashes(str(pieces), LANGS, ("train",)), {"nbest": 1, "shard_sentences": 60})
    keys, made = read_corpus(str(pieces), LANGS, "train").keys, ledger.settings_hash(plan)
    hypotheses = ((Hypothesis(" ".join(f"▁{word}" for word in backwards(line).split()), -1.0),) for line in source)
    rows = (Row(number, keys[number], made, each) for number, each in enumerate(hypotheses))
    ledger.write_shard(tmp_path / "d", 0, rows)
    ledger.merge(tmp_path / "d", plan, keys, 1, Progress(60, "rows", lambda line: None))
    assert (
        fairseq_io.piece_lines(str(fine), LANGS, "train")[0] != fairseq_io.piece_lines(str(pieces), LANGS, "train")[0]
    )
    with pytest.raises(LskdError, match=r"was decoded from other data \(train differs\)"):
        chosen(tmp_path / "h", fine, [tmp_path / "d"])
    symbols = fairseq_io.read_symbols(str(fine), LANGS)
    common = str(fine), symbols, SelectSettings(), lambda line: None
    select(tmp_path / "h", [tmp_path / "d"], *common, decoded_data=str(pieces))
    assert corpus_of(tmp_path / "h") == [(line, backwards(line)) for line in source]


@pytest.mark.parametrize(
    "more, part",
    [
        (["--monolingual", "m", "--method", "interpolate"], "--monolingual text has no reference to be close to"),
        (["--decoded", "b", "--monolingual", "m", "--method", "interpolate"], "has no reference to be close to"),
        ([], "there is nothing to choose from: give --decoded or --monolingual"),
        (["--decoded", "b", "--share", "0.5"], "--share is of --monolingual beside --decoded"),
        (["--monolingual", "m", "--share", "0.5"], "--share is of --monolingual beside --decoded"),
        (["--decoded", "b", "--monolingual", "m", "--share", "1"], "--share is 1.0: give a number between 0 and 1"),
        (["--decoded", "b", "--monolingual", "m", "--share", "nan"], "--share is nan: give a number between 0 and 1"),
        (["--decoded", "m"], "has 40 lines and train has 60 sentence pairs"),
        (["--monolingual", "nowhere"], "has no ledger.json"),
    ],
)
def test_what_cannot_be_chosen_is_one_line(more, part, pieces, bitext, mono, tmp_path, capsys):
    places = {"b": str(bitext), "m": str(mono), "nowhere": str(tmp_path / "nowhere")}
    words = ["seqkd", "select", "--data", str(pieces), "--out", str(tmp_path / "h")]
    assert cli.main([*words, *(places.get(word, word) for word in more)]) == 2
    assert part in capsys.readouterr().err.splitlines()[-1]
    assert list(tmp_path.iterdir()) == []


def test_data_without_a_sentencepiece_model_cannot_cut_text(pieces, mono, tmp_path):
    bare = shutil.copytree(pieces, tmp_path / "alone" / "bin")
    (bare / "spm.model").unlink()
    with pytest.raises(LskdError, match="has no sentencepiece model to cut text with"):
        chosen(tmp_path / "h", bare, [], [mono])


def test_the_verb_says_what_it_mixed(pieces, bitext, mono, tmp_path, capsys):
    words = ["seqkd", "select", "--decoded", bitext, "--monolingual", mono, "--share", 0.25, "--data", pieces]
    assert cli.main([*map(str, words), "--out", str(tmp_path / "h")]) == 0
    said = json.loads(capsys.readouterr().out)
    assert said["bitext_sentences"] == 60 and said["monolingual_sentences"] == 20 and said["available_sentences"] == 40
    assert said["hypotheses"] == 80


@pytest.fixture(scope="module")
def mixed(pieces, bitext, mono, tmp_path_factory) -> Path:
    out = tmp_path_factory.mktemp("mixed") / "h"
    chosen(out, pieces, [bitext], [mono], 0.25)
    return out


def test_hypotheses_of_a_mixture_are_learned_as_its_corpus_is(mixed, tmp_path):
    """At weight 1 the loss of the hypotheses is the negative log-likelihood of the corpus' targets: same updates."""
    import torch

    flags = "--max-epoch", 1, "--dropout", 0, "--no-epoch-checkpoints"
    hypotheses = "--kd-level", "sequence", "--hypotheses", mixed, "--kd-weight", 1
    ours = train(mixed / "bin", tmp_path / "ours", *flags, *hypotheses)
    theirs = train(mixed / "bin", tmp_path / "theirs", *flags, "--kd-weight", 0)
    states = [
        fairseq_io.read_checkpoint(str(each / "checkpoint_last.pt"), "student")["model"] for each in (ours, theirs)
    ]
    for name, weights in states[0].items():
        assert torch.allclose(weights, states[1][name], atol=1e-5), name  # sums in another order


def test_a_mixture_is_learned_from_its_own_corpus_only(pieces, mixed, tmp_path, refused):
    flags = "--kd-level", "sequence", "--hypotheses", mixed, "--kd-weight", 1
    with refused() as line:
        train(pieces, tmp_path / "m", *flags)
    assert f"of their own corpus alone: train on {mixed}/bin" in line[0]


def test_rows_of_text_are_hashed(bitext, tmp_path):
    shutil.copytree(bitext, tmp_path / "d")
    rows = tmp_path / "d" / ledger.ROWS
    rows.write_text(rows.read_text().replace('"row": 3,', '"row": 4,', 1))
    with pytest.raises(LskdError, match=r"rows\.jsonl was edited"):
        ledger.open_ledger(tmp_path / "d", {})
