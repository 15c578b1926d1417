"""BLEU counts words as the target language has them: a perfect translation is worth 100 wherever it is scored."""

import json

import pytest
import sacrebleu
from conftest import build
from sacrebleu.tokenizers import tokenizer_ja_mecab, tokenizer_ko_mecab, tokenizer_spm
from test_plan import complaint, config, flag
from test_table import sweep

from lskd_nmt.analysis import lost_translations
from lskd_nmt.cli import main
from lskd_nmt.data import subwords
from lskd_nmt.errors import LskdError
from lskd_nmt.evaluate import contrasts as evaluate_contrasts
from lskd_nmt.evaluate import metrics, scoring
from lskd_nmt.experiment.config import resolve
from lskd_nmt.experiment.models import expand
from lskd_nmt.experiment.records import plan_json
from lskd_nmt.seqkd.ledger import Hypothesis
from lskd_nmt.seqkd.select import Chooser, SelectSettings
from lskd_nmt.storage.files import read_json, write_json, write_text
from lskd_nmt.storage.typed import to_json

CHINESE = ["我喜欢猫，也喜欢狗。", "今天天气很好。", "他在北京工作了三年。"]
NEAR = ["我喜欢猫，也喜欢鸟。", "今天天气很好。", "他在北京工作了两年。"]
TEXTS = {
    "zh": CHINESE,
    "zh_CN": CHINESE,
    "zho_Hans": CHINESE,
    "cmn": CHINESE,
    "yue": ["我鍾意貓，亦都鍾意狗。"],
    "th": ["ฉันชอบแมวและสุนัข", "วันนี้อากาศดีมาก"],
    "khm_Khmr": ["ខ្ញុំចូលចិត្តឆ្មា"],
    "lo": ["ຂ້ອຍມັກແມວ"],
    "my": ["ကျွန်တော်ကြောင်ချစ်တယ်။"],
    "de": ["Der Hund läuft, weil er Hunger hat."],
    "ru": ["Собака бежит, потому что голодна."],
}


@pytest.fixture
def bare(monkeypatch):
    """A machine without MeCab and without models on the disk, where nothing can be downloaded."""
    for module in (tokenizer_ja_mecab, tokenizer_ko_mecab):
        monkeypatch.setattr(module, "MeCab", None, raising=False)
    for module in (tokenizer_ja_mecab, tokenizer_ko_mecab, metrics, tokenizer_spm):
        monkeypatch.setattr(module, "SACREBLEU_DIR", "/nowhere", raising=False)

    def download(*_):
        raise AssertionError("a download")

    monkeypatch.setattr(tokenizer_spm, "download_file", download)


@pytest.mark.parametrize("lang", TEXTS)
def test_a_perfect_translation_is_worth_100_in_every_language(lang, bare):
    found = scoring.scores(TEXTS[lang], TEXTS[lang], lang, "raw")
    assert [found[name].score for name in ("bleu", "chrf", "bleu_tokenised_lowercased")] == [100, 100, 100]


@pytest.mark.parametrize(
    "lang, name",
    [
        ("zh", "zh"),
        ("zh-TW", "zh"),
        ("ZH", "zh"),
        ("cn", "zh"),
        ("wuu", "zh"),
        ("th", "char"),
        ("tha_Thai", "char"),
        ("lao", "char"),
        ("km", "char"),
        ("mya", "char"),
        ("bo", "char"),
        ("de", "13a"),
        ("vi", "13a"),
        ("en", "13a"),
    ],
)
def test_each_language_has_its_tokeniser_and_the_signature_says_which(lang, name, bare):
    assert scoring.bleu_tokenizer(lang) == name
    bleu = scoring.scores(["x"], ["x"], lang, "raw")["bleu"]
    assert bleu.tokenizer == name and f"|tok:{name}|" in bleu.signature


def test_numbers_are_those_of_sacrebleu_with_that_tokeniser():
    found = scoring.scores(NEAR, CHINESE, "zh", "raw")
    wanted = sacrebleu.corpus_bleu(NEAR, [CHINESE], tokenize="zh").score
    assert found["bleu"].score == round(wanted, 2) > sacrebleu.corpus_bleu(NEAR, [CHINESE]).score
    assert found["bleu_tokenised_lowercased"].score == found["bleu"].score  # nothing has a case there
    assert scoring.corpus_bleu(NEAR, CHINESE, "zh") == round(wanted, 2)
    chars = sacrebleu.corpus_bleu(NEAR, [CHINESE], tokenize="char").score
    assert scoring.scores(NEAR, CHINESE, "zh", "raw", "char")["bleu"].score == round(chars, 2)


@pytest.mark.parametrize(
    "lang, package", [("ja", "sacrebleu[ja]"), ("jpn_Jpan", "sacrebleu[ja]"), ("ko", "sacrebleu[ko]")]
)
def test_a_tokeniser_that_is_not_installed_is_named_with_what_to_install(lang, package, bare):
    with pytest.raises(LskdError) as refused:
        scoring.scores(["x"], ["x"], lang, "raw")
    assert f"pip install '{package}'" in str(refused.value) and "\n" not in str(refused.value)
    assert scoring.scores(["x y z u"], ["x y z u"], lang, "raw", "char")["bleu"].score == 100
    assert scoring.available_tokenizer(lang) == "char"


@pytest.mark.parametrize(
    "wish, part",
    [
        ("foo", "the BLEU tokeniser is 'foo': one of 13a, char"),
        ("", "one of 13a"),
        ("flores200", "which is not there"),
        ("spm", "which is not there"),
    ],
)
def test_a_tokeniser_that_cannot_be_is_refused(wish, part, bare):
    with pytest.raises(LskdError) as refused:
        scoring.bleu_tokenizer("de", wish)
    assert part in str(refused.value) and "\n" not in str(refused.value)


def test_flores200_is_taken_where_its_model_is_on_the_disk(bare, tmp_path, monkeypatch):
    for module in (metrics, tokenizer_spm):
        monkeypatch.setattr(module, "SACREBLEU_DIR", str(tmp_path))
    (tmp_path / "text").write_text("".join(f"{line}\n" for line in TEXTS["th"] * 9), encoding="utf-8")
    place = metrics.spm_model("flores200")
    subwords.learn([tmp_path / "text"], place.with_name("learned"), 24)
    place.with_name("learned.model").rename(place)
    assert scoring.bleu_tokenizer("th") == scoring.bleu_tokenizer("khm_Khmr") == "flores200"
    assert scoring.bleu_tokenizer("zh") == "zh"
    assert "tok:flores200" in scoring.scores(TEXTS["th"], TEXTS["th"], "th", "raw")["bleu"].signature
    place.write_text("no model")
    with pytest.raises(LskdError, match="flores200, which does not work here"):
        scoring.bleu_tokenizer("th")


def validated(task, sample, inference):
    """BLEU of a batch that is translated into its references."""
    task.inference_step = lambda *_, **__: [[{"tokens": target}] for target in sample["target"]]
    return inference(task, None, sample, None)


def test_validation_during_training_counts_words_of_the_target_language(data):
    from fairseq.data import Dictionary

    from user_dir.patches.validation import by_language

    task, _, _ = build(data, "--kd-weight", 0, "--eval-bleu", "--eval-bleu-remove-bpe", "sentencepiece")
    task.tgt_dict, task.cfg.target_lang, task.tokenizer = Dictionary(), "zh", None
    lines = [" ".join(["▁", *line]) for line in CHINESE]
    target = [task.tgt_dict.encode_line(line, add_if_not_exist=True, append_eos=True).long() for line in lines]
    inference = by_language(type(task)._inference_with_bleu)
    found = validated(task, {"target": target}, inference)
    assert found.score == pytest.approx(100) and sacrebleu.corpus_bleu.__name__ == "corpus_bleu"
    assert validated(task, {"target": target}, inference.__wrapped__).score == 0  # as fairseq alone has it
    task.cfg.eval_tokenized_bleu = True
    assert validated(task, {"target": target}, inference).sys_len == len(CHINESE)  # a word each, as was asked for
    task.cfg.eval_tokenized_bleu, task.cfg.eval_bleu_args = False, json.dumps({"beam": 1, "tokenize": "char"})
    del task.lskd_tokenizer
    assert validated(task, {"target": target}, inference).sys_len == sum(map(len, CHINESE))


@pytest.mark.parametrize("wish, part", [("foo", "the BLEU tokeniser is 'foo'"), ("flores101", "is not there")])
def test_a_training_is_refused_before_it_begins_if_it_could_not_be_validated(wish, part, untrained, bare):
    untrained(["--eval-bleu", "--eval-bleu-args", json.dumps({"tokenize": wish})], part)


@pytest.mark.parametrize(
    "search, detok, part",
    [
        ('{"beam": 0}', "space", "--eval-bleu-args: beam is 0, it must be a whole number from 1"),
        ('{"max_len_a": "1"}', "space", '--eval-bleu-args: max_len_a is "1", it must be a number from 0'),
        ("[1]", "space", "--eval-bleu-args: [1] is no JSON object"),
        ("{beam: 1}", "space", "--eval-bleu-args: {beam: 1} is no JSON object"),
        ("{}", "mosess", "--eval-bleu-detok is mosess: one of moses, nltk, space"),
    ],
)
def test_a_search_that_would_stop_the_first_validation_is_refused_before_training(search, detok, part, untrained):
    untrained(["--eval-bleu", "--eval-bleu-args", search, "--eval-bleu-detok", detok], part)


def test_a_config_may_name_the_tokeniser_and_plans_are_refused_that_could_not_be_scored(bare):
    plain, wished = (expand(resolve(config(data=data))) for data in ({}, {"tokenize": "intl"}))
    assert "tokenize" not in plan_json(plain)["data"] and plan_json(wished)["data"]["tokenize"] == "intl"
    assert "tokenize" not in (wished.data.options or {})  # prepare.sh has no such flag
    arguments = [json.loads(flag(each.models[0], "eval-bleu-args")) for each in (plain, wished)]
    assert arguments[1] == {**arguments[0], "tokenize": "intl"}
    written = expand(resolve(config(data={"tokenize": "intl"}, train={"eval-bleu-args": '{"beam": 2}'})))
    assert json.loads(flag(written.models[0], "eval-bleu-args")) == {"tokenize": "intl", "beam": 2}
    assert "the BLEU tokeniser is 'foo'" in complaint(config(data={"tokenize": "foo"}))
    files = {"corpus": "files", "source_lang": "en", "train": "a", "valid": "b", "test": "c"}
    assert "pip install 'sacrebleu[ja]'" in complaint(config(data=files | {"target_lang": "ja"}))
    expand(resolve(config(data=files | {"target_lang": "ja", "tokenize": "char"})))


def test_a_prepared_folder_may_be_scored_with_another_tokeniser(tmp_path):
    facts = {"corpus": "files", "form": "raw", "source_lang": "en", "target_lang": "zh"}
    write_json(tmp_path / "prep.json", facts)
    found = expand(resolve({**config(), "data": {"dir": str(tmp_path), "tokenize": "char"}}))
    assert found.data.tokenize == "char"


def test_lost_sentences_and_choices_are_by_the_languages_own_words():
    texts = lost_translations.Texts(CHINESE, CHINESE, NEAR)
    found = lost_translations.comparison(texts, lost_translations.Rules(lang="zh")).groups["all"]
    assert found.bleu["teacher"] == pytest.approx(100) and 20 < found.bleu["student"] < 100
    pieces = [" ".join(["▁", *line]) for line in (NEAR[0], CHINESE[1], CHINESE[0])]
    settings = SelectSettings(method="interpolate")
    chooser = Chooser(settings, "zh")
    nbest = [Hypothesis(line, -1.0) for line in pieces[:2]]
    assert chooser.choose(0, nbest[::-1], ["x"], pieces[2]) == [1]  # 13a sees two sentences without a common word
    keys = "method", "hypotheses", "similarity", "max_ratio", "drop_copies"  # those of stores of before
    assert to_json(settings.content("de")) == {name: getattr(settings, name) for name in keys}
    assert settings.content("zh").tokenizer == "zh"


def scored_run(folder, lang, hyps, refs, **data):
    """A run folder with one decoded model and the sentencepiece model of its data."""
    for name, lines in (("data/clean/test", refs), ("models/student-plain-s1/test", hyps)):
        ending = lang if name.startswith("data") else "hyp"
        write_text(folder / f"{name}.{ending}", "".join(f"{line}\n" for line in lines))
    facts = {"folder": "data", "form": "raw", "source_lang": "en", "target_lang": lang, **data}
    write_json(
        folder / "plan.json",
        {
            "name": "x",
            "data": facts,
            "decode": {},
            "models": [{"name": "student-plain-s1", "role": "student", "seed": 1}],
        },
    )
    return folder / "models" / "student-plain-s1" / "metrics.json"


def test_score_counts_references_that_subwords_rewrite(tmp_path, capsys):
    import sentencepiece

    refs = ["10 m² Fläche und mehr", "die Katze schläft heute nicht", "2½ Liter ™ im Haus", "ein Hund schläft"]
    (tmp_path / "text").write_text("".join(f"{line}\n" for line in refs * 20), encoding="utf-8")
    for rule, changed in (("nmt_nfkc", 2), ("identity", 0)):
        run = tmp_path / rule
        metrics = scored_run(run, "de", refs, refs)
        (run / "data" / "spm").mkdir()
        sentencepiece.SentencePieceTrainer.train(
            input=str(tmp_path / "text"),
            model_prefix=str(run / "data/spm/spm"),
            vocab_size=30,
            hard_vocab_limit=False,
            minloglevel=2,
            normalization_rule_name=rule,
            character_coverage=1.0,
        )
        assert main(["score", "--run", str(run), "--model", "student-plain-s1"]) == 0
        content = read_json(metrics)
        assert content["references_changed_by_subwords"] == changed and content["bleu"]["score"] == 100
    capsys.readouterr()


def test_the_flag_wins_over_the_config_and_a_wrong_one_writes_nothing(tmp_path, capsys):
    metrics = scored_run(tmp_path, "zh", NEAR, CHINESE, tokenize="char")
    words = ["score", "--run", str(tmp_path), "--model", "student-plain-s1"]
    for flags, name in (([], "char"), (["--tokenize", "zh"], "zh")):
        assert main([*words, *flags]) == 0 and read_json(metrics)["bleu"]["tokenizer"] == name
    metrics.unlink()
    capsys.readouterr()
    assert main([*words, "--tokenize", "foo"]) == 2
    assert capsys.readouterr().err.count("\n") == 1 and not metrics.exists()


def test_differences_are_of_the_tokeniser_of_the_scores(tmp_path):
    files = {name: tmp_path / name for name in ("refs", "a", "b")}
    for name, lines in (("refs", CHINESE), ("a", CHINESE), ("b", NEAR)):
        write_text(files[name], "".join(f"{line}\n" for line in lines))
    for tokenizer in ("zh", "char"):
        outputs = {
            name: evaluate_contrasts.Output(files[name], files["refs"], "zh", "raw", 1, None, tokenizer=tokenizer)
            for name in "ab"
        }
        contrasts = {"x": evaluate_contrasts.wanted([(1, ["a"]), (-1, ["b"])])}
        found = evaluate_contrasts.measure(outputs, contrasts, tmp_path / "s.json", lambda line: None)
        wanted = 100 - sacrebleu.corpus_bleu(NEAR, [CHINESE], tokenize=tokenizer).score
        assert found.results["x"].value == pytest.approx(wanted)


def test_the_table_says_what_its_bleu_is_worth(tmp_path, capsys):
    """Thai by characters, Chinese by 13a as it was scored once, and references that subwords rewrite."""
    run = sweep(tmp_path / "run", seeds=(1,), smoothings=(0.1,))
    plan = read_json(run / "plan.json")
    for lang, tokenizer, part in (
        ("th", "char", "of characters (tok:char)"),
        ("zh", None, "13a does not segment 'zh'"),
    ):
        plan["data"]["target_lang"] = lang
        write_json(run / "plan.json", plan)
        (run / "data" / "clean" / f"test.{lang}").write_bytes((run / "data/clean/test.de").read_bytes())
        for model in plan["models"]:
            file = run / "models" / model["name"] / "metrics.json"
            metrics = read_json(file) | {"references_changed_by_subwords": 7}
            metrics["bleu"] = {name: value for name, value in metrics["bleu"].items() if name != "tokenizer"}
            metrics["bleu"] |= {"tokenizer": tokenizer} if tokenizer else {}
            write_json(file, metrics)
        assert main(["table", str(run)]) == 0
        text = (run / "table.md").read_text(encoding="utf-8")
        assert part in text and "no translation can equal them: 7 of 30" in text
        assert "the same seed gives other BLEU on another kind of processor" in text
    capsys.readouterr()


def test_remarks_are_for_those_who_need_them():
    assert scoring.remark("de", "13a") is scoring.remark("zh", "zh") is scoring.remark("de", "char") is None
    assert "ja-mecab" in scoring.remark("ja", "char") and "flores200" in scoring.remark("th", "char")
