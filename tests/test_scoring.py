"""Hypotheses in order and complete, and scores against sacreBLEU's own command and a sum done by hand."""

import math
import subprocess
import sys

import pytest

from lskd_nmt.errors import LskdError
from lskd_nmt.evaluate.scoring import hypotheses, scores

OUTPUT = """INFO:fairseq_cli.generate:loading
S-1\ta b
T-1\tx
H-1\t-0.25\t▁zwei ▁Hunde
P-1\t-0.1 -0.2
S-0\tc
H-0\t-1.5\t▁ein ▁Hund
H-2\t-3\t
Generate test with beam=5: BLEU4 = 0.00
""".splitlines()

REFS = ["Der Hund läuft, weil er Hunger hat.", "Zwei Katzen schlafen auf dem Sofa.", "Ich weiß es nicht!"]
HYPS = ["Der Hund läuft, weil er hungrig ist.", "zwei Katzen schlafen auf einem Sofa.", "Ich weiß es nicht!"]


def complaint(call, *arguments):
    with pytest.raises(LskdError) as refused:
        call(*arguments)
    assert "\n" not in str(refused.value)
    return str(refused.value)


def test_hypotheses_come_in_the_order_of_their_rows_and_may_be_empty():
    assert hypotheses(OUTPUT, 3) == ["▁ein ▁Hund", "▁zwei ▁Hunde", ""]


def test_missing_repeated_and_foreign_rows_are_refused():
    assert "missing: 2 rows (3, 4)" in complaint(hypotheses, OUTPUT, 5)
    assert "missing: 7 rows (3, 4, 5, 6, 7, …)" in complaint(hypotheses, OUTPUT, 10)
    assert "not in the test set: 1 rows (2)" in complaint(hypotheses, OUTPUT, 2)
    twice = complaint(hypotheses, [*OUTPUT, "H-1\t-2\tb"], 3)
    assert "decoded twice: 1 rows (1)" in twice and "--required-batch-size-multiple 1" in twice


def sacrebleu(tmp_path, hyps, refs, *flags):
    (tmp_path / "hyp").write_text("\n".join(hyps) + "\n", encoding="utf-8")
    (tmp_path / "ref").write_text("\n".join(refs) + "\n", encoding="utf-8")
    command = [sys.executable, "-m", "sacrebleu", tmp_path / "ref", "-i", tmp_path / "hyp", "-b", "-w", "2", *flags]
    return float(subprocess.run(command, capture_output=True, text=True, check=True).stdout)


def test_raw_text_scores_as_sacrebleus_command_does(tmp_path):
    result = scores(HYPS, REFS, "de", "raw")
    assert result["bleu"].score == sacrebleu(tmp_path, HYPS, REFS, "-m", "bleu")
    assert result["chrf"].score == sacrebleu(tmp_path, HYPS, REFS, "-m", "chrf")
    assert result["bleu"].signature.startswith("nrefs:1|case:mixed|eff:no|tok:13a|smooth:exp|version:")


def test_bleu_of_one_sentence_by_hand():
    # tokens: der alte Hund schläft heute . | der alte Hund schlief heute .
    # matches of 1-, 2-, 3-, 4-grams: 5/6, 3/5, 1/4, 0/3 -> exponential smoothing of the first zero: 1 / (2 * 3)
    precisions = [5 / 6, 3 / 5, 1 / 4, 1 / (2 * 3)]
    by_hand = 100 * math.exp(sum(map(math.log, precisions)) / 4)
    result = scores(["Der alte Hund schläft heute."], ["Der alte Hund schlief heute."], "de", "raw")
    assert result["bleu"].score == round(by_hand, 2)


def test_tokenised_lowercased_bleu_ignores_case_and_counts_moses_tokens(tmp_path):
    result = scores([line.upper() for line in REFS[:2]], REFS[:2], "de", "raw")
    assert result["bleu_tokenised_lowercased"].score == 100 > result["bleu"].score
    tokens = ["Der Hund läuft , weil er hungrig ist .", "zwei Katzen schlafen auf einem Sofa .", "Ich weiß es nicht !"]
    refs = ["Der Hund läuft , weil er Hunger hat .", "Zwei Katzen schlafen auf dem Sofa .", "Ich weiß es nicht !"]
    wanted = sacrebleu(tmp_path, tokens, refs, "-m", "bleu", "-lc", "--tokenize", "none", "--force")
    found = scores(HYPS, REFS, "de", "raw")["bleu_tokenised_lowercased"]
    assert found.score == wanted
    assert "tok:none" in found.signature and "case:lc" in found.signature and "-l de" in found.text


def test_a_tokenised_form_is_detokenised_for_bleu_and_says_so(tmp_path):
    hyps = ["it &apos;s a dog , isn &apos;t it ?", "two dogs ."]
    refs = ["it &apos;s the dog , isn &apos;t it ?", "two dogs ."]
    result = scores(hyps, refs, "en", "fairseq14")
    plain = ["it's a dog, isn't it?", "two dogs."], ["it's the dog, isn't it?", "two dogs."]
    assert result["bleu"].score == sacrebleu(tmp_path, *plain, "-m", "bleu")
    assert "detokenised by sacremoses" in result["bleu"].text and "lower-cased" in result["bleu"].text
    wanted = sacrebleu(tmp_path, hyps, refs, "-m", "bleu", "-lc", "--tokenize", "none", "--force")
    assert result["bleu_tokenised_lowercased"].score == wanted


def test_unequal_or_empty_sides_are_refused():
    assert "2 hypotheses and 3 references" in complaint(scores, HYPS[:2], REFS, "de", "raw")
    assert "test set is empty" in complaint(scores, [], [], "de", "raw")
