"""`lskd project`, `lskd diffuse` and `lskd diagnose`: from features folders to JSON and figures."""

import json
from dataclasses import replace

import numpy as np
import pytest
from frames import arrays_of, header_facts, log_softmax
from scipy.stats import ortho_group

from lskd_nmt import cli
from lskd_nmt.analysis.features.folder import open_features, write_features

SYMBOLS = ["<s>", "<pad>", "</s>", "<unk>", "▁hot", "▁warm", "▁$x_{", "▁dog", "s", ".", "▁old"]
WORDS = [4, 5, 6, 7, 10]
WIDTH, SENTENCES = 8, 120
FIGURES = ("png", "svg", "pdf")


@pytest.fixture
def write(tmp_path):
    """Features of a model whose words 4 and 5 have nearly the same row, and may be moved towards each other."""

    def features(name, split="train", seed=1, nearer=0.0, turn=None, symbols=SYMBOLS, bias=None):
        draw = np.random.default_rng(0)  # the corpus is the same for every model
        lengths = draw.integers(4, 9, SENTENCES)
        target = draw.choice([2, *WORDS, *WORDS, 8, 9], lengths.sum())
        projection = np.random.default_rng(1).normal(size=(len(SYMBOLS), WIDTH))
        projection[5] = projection[4] + 0.4 * projection[5]
        state = 1.5 * projection[target] + np.random.default_rng(seed).normal(size=(len(target), WIDTH)) * 0.7
        pair = np.isin(target, [4, 5])
        state[pair] += nearer * 1.5 * (projection[[4, 5]].mean(0) - projection[target[pair]])
        by = np.eye(WIDTH) if turn is None else turn
        arrays = arrays_of((state @ by).astype(np.float32), (projection @ by).astype(np.float32), target, lengths, bias)
        facts = header_facts(symbols)
        write_features(tmp_path / name, replace(facts, data=replace(facts.data, split=split)), arrays)
        return tmp_path / name

    return features


def lskd(*arguments):
    return cli.main(list(map(str, arguments)))


def result(folder, name):
    """What a verb found; what made it stands in it."""
    content = json.loads((folder / f"{name}.json").read_text(encoding="utf-8"))
    assert content["command"].startswith("lskd ") and {"commit", "versions"} <= set(content)
    return content


def test_project_draws_what_the_teacher_confuses(write, tmp_path, capsys):
    teacher, student, valid = write("teacher"), write("student", seed=2), write("valid", "valid", seed=3)
    out = tmp_path / "out"
    assert (
        lskd(
            "project",
            "--teacher",
            teacher,
            "--models",
            f"teacher={teacher}",
            f"T = 2={student}:{valid}",
            "--points",
            "30,10",
            "--out",
            out,
        )
        == 0
    )
    content = result(out, "projection")
    assert set(content["tokens"][:2]) == {"▁hot", "▁warm"} and content["tokens"] == content["proposed"][0]["tokens"]
    assert json.loads(capsys.readouterr().out)["tokens"] == content["tokens"]
    near, *far = content["proposed"][0]["confusion"]
    assert near > 10 * max(far)
    assert content["occurrences"]["train"] == [30, 30, 30] and set(content["models"]["teacher"]["splits"]) == {"train"}
    assert [len(points) for points in content["models"]["T = 2"]["splits"]["valid"]["points"]] == [10, 10, 10]
    assert content["features"]["T = 2"]["train"]["digest"] == open_features(student).header.digest
    assert sorted(file.name for file in out.iterdir()) == sorted(
        ["projection.json", *(f"projection.{k}" for k in FIGURES)]
    )


def test_projections_do_not_depend_on_the_axes_of_the_state(write, tmp_path):
    bias = np.random.default_rng(4).normal(size=len(SYMBOLS)).astype(np.float32)
    plain = write("plain", bias=bias)
    turned = write("turned", turn=ortho_group.rvs(WIDTH, random_state=3), bias=bias)
    out = tmp_path / "out"
    assert lskd("project", "--tokens", "▁hot,▁dog,▁old", "--models", f"a={plain}", f"b={turned}", "--out", out) == 0
    one, other = (
        np.array(each["splits"]["train"]["centroids"]) for each in result(out, "projection")["models"].values()
    )
    assert one == pytest.approx(other, abs=1e-3)  # float32


def test_figures_are_the_same_again_and_show_symbols_as_they_are(write, tmp_path, capsys):
    teacher = write("teacher")
    for out in ("one", "two"):
        assert (
            lskd(
                "project",
                "--tokens",
                "▁$x_{,▁hot,▁dog",
                "--models",
                f"$a$<b>={teacher}:{teacher}",
                "--out",
                tmp_path / out,
            )
            == 0
        )
    for kind in FIGURES:
        files = [tmp_path / out / f"projection.{kind}" for out in ("one", "two")]
        assert files[0].read_bytes() == files[1].read_bytes()
    assert capsys.readouterr().err == "", "matplotlib complains of nothing"


@pytest.mark.parametrize(
    "arguments, message",
    [
        (["--models", "a=F"], "give --tokens, or --teacher to propose them"),
        (["--models", "a=F", "--tokens", "▁hot,▁dog"], "--tokens are ▁hot, ▁dog: give three different ones"),
        (["--models", "a=F", "--tokens", "▁hot,▁dog,▁hot"], "--tokens are ▁hot, ▁dog, ▁hot: give three different ones"),
        (["--models", "a=F", "--tokens", "▁hot,▁dog,▁cat"], "the target vocabulary has no ▁cat"),
        (["--models", "a=F", "--tokens", "▁hot,▁dog,<s>"], "less than two occurrences: <s> in train"),
        (["--models", "a=F", "a=F", "--tokens", "x"], "--models has a twice"),
        (["--models", "F", "--tokens", "x"], "give NAME=TRAIN:VALID"),
        (["--models", "a=F:F:F", "--tokens", "x"], "give one folder of train, and one of valid after ':'"),
        (["--models", "a=F", "--tokens", "x", "--points", "9"], "--points is '9': give two numbers above 1"),
        (["--models", "a=F", "--tokens", "x", "--points", "150,inf"], "--points is '150,inf': give whole numbers"),
        (["--models", "a=F", "--teacher", "F", "--minimum", "9999"], "0 words have 9999 occurrences or more"),
        (["--models", "a=F", "b=OTHER", "--tokens", "▁hot,▁dog,▁old"], "b (train) and a (train) are of other symbols"),
        (["--models", "a=F:OTHER", "--tokens", "▁hot,▁dog,▁$x_{"], "train and valid of a are of other symbols"),
        (["--models", "a=nowhere", "--tokens", "x"], "features folder nowhere has no header.json"),
    ],
)
def test_project_refuses(write, tmp_path, monkeypatch, capsys, arguments, message):
    monkeypatch.chdir(tmp_path)
    write("F"), write("OTHER", symbols=[*SYMBOLS[:-1], "▁new"])
    assert lskd("project", *arguments, "--out", tmp_path / "out") == 2
    error = capsys.readouterr().err.strip()
    assert message in error and "\n" not in error
    assert not (tmp_path / "out").exists()


def test_diffuse_finds_the_planted_move_and_takes_the_control_off(write, tmp_path, capsys):
    first, second = write("t1"), write("t2", nearer=0.5)
    out = tmp_path / "out"
    assert (
        lskd(
            "diffuse",
            "--teacher",
            first,
            "--students",
            f"1={first}",
            f"2={second}",
            f"64={first}",
            "--control",
            f"1={first}",
            f"2={second}",
            "--similar",
            1,
            "--resamples",
            120,
            "--out",
            out,
        )
        == 0
    )
    content = result(out, "diffusion")
    assert content["similar"]["▁hot"] == ["▁warm"] and content["similar"]["▁warm"] == ["▁hot"]
    moved, same = content["students"]["2"], content["students"]["64"]
    assert moved["by_class"]["▁hot"]["similar"] > 0.1
    assert (
        same["similar"] == {"value": 0, "low": 0, "high": 0, "uncorrected": 0}
        and same["verdict"] == "undecided (one seed)"
    )
    assert set(content["difference"]) == {"2"} and content["difference"]["2"]["similar"]["value"] == 0
    assert json.loads(capsys.readouterr().out)["students"]["2"]["verdict"] == moved["verdict"]
    assert "ours, not that of Chandrasegaran" in content["equation"]
    named = [f"{group} {t} (1)" for group, t in (("students", 1), ("students", 2), ("students", 64), ("control", 1))]
    assert set(content["features"]) == {"teacher", *named, "control 2 (1)"}
    assert all((out / f"diffusion.{kind}").stat().st_size for kind in FIGURES)


def test_seeds_of_students_are_united(write, tmp_path):
    first, second, third = (write(f"seed{seed}", seed=seed, nearer=(seed > 4) / 2) for seed in (3, 4, 5))
    seeds = {"1": [first, second, first], "2": [third, first, second]}
    given = [f"{t}={':'.join(map(str, folders))}" for t, folders in seeds.items()]
    out, options = tmp_path / "all", ("--similar", 1, "--resamples", 50)
    assert lskd("diffuse", "--teacher", first, "--students", *given, *options, "--out", out) == 0
    together = result(out, "diffusion")["students"]["2"]
    assert together["seeds"] == 3
    alone = []
    for number in range(3):
        pair = [f"{t}={folders[number]}" for t, folders in seeds.items()]
        out = tmp_path / str(number)
        assert lskd("diffuse", "--teacher", first, "--students", *pair, *options, "--out", out) == 0
        alone.append(result(out, "diffusion")["students"]["2"]["similar"]["uncorrected"])
    assert together["similar"]["uncorrected"] == pytest.approx(np.mean(alone))


@pytest.mark.parametrize(
    "arguments, message",
    [
        (["--students", "2=F"], "--students has the temperatures 2: give 1 and at least one other"),
        (["--students", "1=F"], "--students has the temperatures 1: give 1 and at least one other"),
        (["--students", "1=F", " -2=F"], "give 1 and at least one other"),
        (["--students", "1=F", "hot=F"], "--students has 1, hot: give a temperature before each '='"),
        (["--students", "1=F", "2=F", "--control", "2=F"], "--control has the temperatures 2"),
        (["--students", "1=F", "2=F", "--minimum", "9"], "--minimum or --occurrences is 9: a mean state needs 20"),
        (["--students", "1=F", "2=F", "--occurrences", "7"], "--minimum or --occurrences is 7: a mean state needs 20"),
        (["--students", "1=F", "2=F", "--classes", "2"], "--classes is 2: give 3 or more"),
        (["--students", "1=F", "2=F", "--resamples", "0"], "--resamples is 0: give a number above 0"),
        (["--students", "1=F", "2=F", "--similar", "4"], "--similar is 4: of 5 classes, 1 to 3"),
        (["--students", "1=F", "2=F:OTHER"], "--students has folders: 1 at 1, 2 at 2: give as many seeds"),
        (["--students", "1=F:F", "2=F:OTHER"], "students 2 (2) and teacher are of other symbols"),
    ],
)
def test_diffuse_refuses(write, tmp_path, monkeypatch, capsys, arguments, message):
    monkeypatch.chdir(tmp_path)
    write("F"), write("OTHER", symbols=[*SYMBOLS[:-1], "▁new"])
    assert lskd("diffuse", "--teacher", "F", *arguments, "--out", tmp_path / "out") == 2
    error = capsys.readouterr().err.strip()
    assert message in error and "\n" not in error
    assert not (tmp_path / "out").exists()


def test_diagnose_measures_the_tail_of_the_features(write, tmp_path):
    teacher = write("teacher")
    out = tmp_path / "out"
    assert lskd("diagnose", "--teacher", teacher, "--temperatures", "1,2", "--top", "2,4", "--out", out) == 0
    found, features = result(out, "diagnosis")["tail"], open_features(teacher)
    assert found["settings"]["tokens"] == features.tokens and found["symbols"] == len(SYMBOLS)
    assert found["temperatures"]["1"]["entropy"] == pytest.approx(features.entropy.mean(), rel=1e-4)
    assert found["temperatures"]["1"]["tail"]["2"]["mass"] > 0
    log_p = log_softmax(features.state @ features.projection.T / 2)
    rest = np.sort(np.exp(log_p), axis=1)[:, :-4].sum(1).mean()
    assert found["temperatures"]["2"]["tail"]["4"]["mass"] == pytest.approx(rest, rel=1e-4)
    assert lskd("diagnose", "--teacher", teacher, "--sample", 50, "--out", out) == 0
    assert result(out, "diagnosis")["tail"]["settings"]["tokens"] == 50
    assert sorted(file.name for file in out.iterdir()) == sorted(
        ["diagnosis.json", *(f"tail.{kind}" for kind in FIGURES)]
    )


@pytest.fixture
def texts(tmp_path):
    lines = {
        "reference": ["Herr Krause hat 25 Äpfel.", "Der Hund schläft."],
        "source": ["Mr Krause has 25 apples.", "The dog sleeps."],
        "teacher": ["Herr Krause hat 25 Äpfel.", "Ein Hund schläft."],
        "student": ["Nein $ <b>", "Der Hund schläft."],
        "train": ["Der Hund schläft."] * 9,
    }
    for name, each in lines.items():
        (tmp_path / name).write_text("".join(f"{line}\n" for line in each), encoding="utf-8")
    return {name: tmp_path / name for name in lines}


def test_diagnose_shows_what_the_teacher_gets_right(texts, tmp_path):
    out = tmp_path / "out"
    assert (
        lskd(
            "diagnose",
            "--hypotheses",
            texts["teacher"],
            texts["student"],
            "--reference",
            texts["reference"],
            "--source",
            texts["source"],
            "--train-target",
            texts["train"],
            "--out",
            out,
        )
        == 0
    )
    content = result(out, "diagnosis")
    assert "tail" not in content and set(content["sentences"]["sha256"]) == {
        "teacher",
        "student",
        "reference",
        "source",
        "train_target",
    }
    (example,) = content["sentences"]["examples"]
    assert example["student"] == "Nein $ <b>" and example["names"] == ["Krause"] and example["numbers"] == ["25"]
    assert example["rare_words"] == ["Herr", "Krause", "hat", "Äpfel"]
    assert all((out / f"sentences.{kind}").stat().st_size for kind in FIGURES)


@pytest.mark.parametrize(
    "arguments, message",
    [
        ([], "give --teacher, or --hypotheses with --reference, or both"),
        (["--hypotheses", "teacher", "student"], "--hypotheses and --reference need each other"),
        (["--hypotheses", "teacher", "student", "--reference", "train"], "reference has 9 lines, teacher 2, student 2"),
        (["--hypotheses", "teacher", "gone", "--reference", "train"], "gone does not exist"),
        (["--teacher", "F", "--top", "0,4"], "--temperatures, --top and --sample must be above 0"),
        (["--teacher", "F", "--top", "1.9"], "--top is '1.9': give whole numbers"),
        (["--teacher", "F", "--temperatures", "warm"], "--temperatures is 'warm': give numbers with commas"),
        (["--teacher", "F", "--temperatures", "nan"], "--temperatures is 'nan': give numbers with commas"),
    ],
)
def test_diagnose_refuses(write, texts, tmp_path, monkeypatch, capsys, arguments, message):
    monkeypatch.chdir(tmp_path)
    write("F")
    assert lskd("diagnose", *arguments, "--out", "out") == 2
    error = capsys.readouterr().err.strip()
    assert message in error and "\n" not in error
    assert not (tmp_path / "out").exists()
