"""experiments/run.sh with several test sets: one process a model makes all, and one that comes later is made alone."""

import json

import pytest
from bench import CONFIG, MODELS, STEPS, TEXT, error_line


def more(bench, name, references):
    """Files of a test set; the path before their languages."""
    source = [f"line {number} of the text {name}" for number, _ in enumerate(references)]
    for lang, lines in (("en", source), ("de", references)):
        (bench.folder / f"{name}.{lang}").write_text("".join(f"{line}\n" for line in lines), encoding="utf-8")
    return bench.folder / name


def with_tests(bench, prepared, **tests):
    listed = ", ".join(f"{name}: {prefix}" for name, prefix in tests.items())
    bench.config.write_text(CONFIG.format(data=prepared).replace("{dir:", f"{{tests: {{{listed}}}, dir:"))


def decoded(bench):
    """The folders of the test sets that fairseq-generate was called with, by model."""
    calls = [json.loads(line) for line in (bench.folder / "calls").read_text().splitlines()]
    return [(call[1], call[3]) for call in calls if call[0] == "fairseq-generate"]


def without_commit(text):
    """A file without the line that names the commit, which changes where somebody works on the code meanwhile."""
    return [line for line in text.splitlines() if not line.startswith(' "commit": ')]


def made(planned):
    return sorted(line.removeprefix("would make ") for line in planned.stdout.splitlines())


def test_a_dry_run_tells_of_all_sets_and_bad_ones_are_refused_before_it(bench, prepared):
    with_tests(bench, prepared, one=more(bench, "one", TEXT), two=more(bench, "two", TEXT[::-1]))
    planned = bench.experiment("--dry-run", "yes")
    folders = ("", "sets/one/", "sets/two/")
    for name in MODELS:
        files = [f"models/{name}/{folder}{file}" for folder in folders for file in ("test.hyp", "metrics.json")]
        assert ", ".join(files) in made(planned), planned.stdout + planned.stderr
    assert not bench.run.exists()
    (bench.folder / "two.de").write_text("one line\n")
    line = error_line(bench.experiment())
    assert line.startswith("lskd plan: error: test set two: ") and "has 27 lines and" in line
    assert not (bench.run / "plan.json").exists()


@pytest.mark.long
def test_later_sets_are_made_alone_and_the_main_ones_files_are_those_of_a_run_without(bench, once_finished, prepared):
    with_tests(bench, prepared, one=more(bench, "one", TEXT))
    assert bench.experiment("--device", "cpu", "--jobs", "2").returncode == 0
    bins = {f"{prepared}/bin", "tests/one/bin"}
    assert sorted(decoded(bench)) == sorted((name, data) for name in MODELS for data in bins)
    for name in MODELS:
        for file in ("test.hyp", "metrics.json", "generate.log"):
            ours, theirs = ((each.model(name) / file).read_text() for each in (bench, once_finished))
            assert without_commit(ours) == without_commit(theirs)
        metrics = json.loads((bench.model(name) / "sets/one/metrics.json").read_text())
        assert metrics["bleu"]["score"] == 100 and metrics["sentences"] == len(TEXT)
    table = json.loads((bench.run / "table.json").read_text())
    assert list(table["sets"]) == ["one"] and len(table["over_sets"]["rows"]) == len(MODELS)
    assert (bench.run / "significance.json").read_bytes() == (once_finished.run / "significance.json").read_bytes()

    before = {file: file.stat().st_mtime_ns for file in (bench.run / "models").rglob("*") if file.is_file()}
    with_tests(bench, prepared, one=bench.folder / "one", two=more(bench, "two", TEXT[::-1]))
    only = [f"models/{name}/sets/two/test.hyp, models/{name}/sets/two/metrics.json" for name in MODELS]
    assert made(bench.experiment("--dry-run", "yes")) == sorted([*only, "table.json, table.md, curves.png"])
    assert bench.experiment("--device", "cpu", "--until", "score").returncode == 0
    assert sorted(decoded(bench)[-len(MODELS) :]) == sorted((name, "tests/two/bin") for name in MODELS)
    changed = {file.name for file, time in before.items() if file.stat().st_mtime_ns != time}
    assert not changed - {".lock", ".lock.decode", ".lock.score", "command.sh", "decode.sh"}

    (bench.model(MODELS[1]) / "sets/two/metrics.json").unlink()
    done = bench(STEPS / "evaluate.sh", "--run", bench.run, "--model", MODELS[1], "--set", "two,one")
    assert done.returncode == 0 and "evaluate student-plain-s1 on one: done, skipped" in done.stderr
    assert len(decoded(bench)) == 3 * len(MODELS)
    refused = bench(STEPS / "decode.sh", "--run", bench.run, "--model", MODELS[1], "--set", "three")
    assert "has no test set 'three': one of test, one, two" in error_line(refused)
