"""Scores of a program of the user's: what it is asked, what it may answer, and what is refused in one line."""

import json
import sys

import pytest

from lskd_nmt.errors import LskdError
from lskd_nmt.evaluate.score_command import item, scored_by
from lskd_nmt.progress import Progress

LENGTHS = "import json, sys\nfor line in sys.stdin: print(len(json.loads(line)['translation']))"


def quiet(line):
    """Show nothing."""


def ask(tmp_path, code, items, name="--score-command"):
    """What a Python program answers."""
    (tmp_path / "program.py").write_text(code, encoding="utf-8")
    return scored_by(f"{sys.executable} {tmp_path}/program.py", items, name, Progress(len(items), "sentences", quiet))


def test_a_number_for_each_line_in_its_order(tmp_path):
    found = ask(tmp_path, LENGTHS, [item("drei", "three"), item(""), item("ä\u2028\x85 'n")])
    assert found.scores == [4, 0, 6] and found.about == {}


def test_the_program_gets_what_is_known(tmp_path):
    code = f"import sys\nopen({str(tmp_path / 'asked')!r}, 'w').write(sys.stdin.read())\nprint(1)\nprint('2.5')"
    ask(tmp_path, code, [item("ja", "yes", ["ja", "jo"]), item("nein")])
    asked = [json.loads(line) for line in (tmp_path / "asked").read_text(encoding="utf-8").splitlines()]
    assert asked == [{"source": "yes", "translation": "ja", "references": ["ja", "jo"]}, {"translation": "nein"}]


def test_the_first_line_may_say_what_the_program_is(tmp_path):
    code = "import json\nprint(json.dumps({'signature': 'stub|1'}))\nprint(json.dumps({'score': -0.5, 'x': [1]}))"
    found = ask(tmp_path, code, [item("ja")])
    assert found.scores == [-0.5] and found.about == {"signature": "stub|1"}


def test_a_program_finds_modules_beside_itself_as_if_it_were_started_by_hand(tmp_path, monkeypatch):
    monkeypatch.setenv("PYTHONSAFEPATH", "1")  # as run.sh sets it for our own programs
    (tmp_path / "beside.py").write_text("SCORE = 7\n")
    code = "import sys\nfrom beside import SCORE\nfor line in sys.stdin: print(SCORE)"
    assert ask(tmp_path, code, [item("a"), item("b")]).scores == [7, 7]


def test_more_than_a_pipe_holds_in_both_directions(tmp_path):
    code = "import sys\nlines = sys.stdin.readlines()\nfor line in lines: print(len(line), flush=True)"
    items = [item("x" * (number % 700)) for number in range(20_000)]
    found = ask(tmp_path, code, items)
    assert found.scores == [len(json.dumps(each)) + 1 for each in items]


def test_a_stop_takes_the_command_along(tmp_path):
    """SIGTERM is an exception that is raised anywhere, here at the first score; the command would take an hour."""
    code = "import time\nprint(1, flush=True)\ntime.sleep(3600)"

    class Stopped(KeyboardInterrupt):
        pass

    class Stopping(Progress):
        def add(self, count):
            raise Stopped

    (tmp_path / "program.py").write_text(code)
    with pytest.raises(Stopped):
        scored_by(f"{sys.executable} {tmp_path}/program.py", [item("ja")], "--x", Stopping(1, "sentences", quiet))


def test_no_sentence_is_no_score(tmp_path):
    assert ask(tmp_path, LENGTHS, []).scores == []


REFUSED = {
    "import sys; sys.exit('no GPU here')": "ended with exit code 1 (no GPU here): run it by hand to see why",
    "import sys; print(1); print(2); sys.exit(3)": "ended with exit code 3 (it said nothing)",
    "print(1)": "gave 1 scores of 2 sentences",
    "print(1); print(2); print(3)": "printed more than 2 scores",
    "print(1); print('NaN')": "said on line 2 'NaN', which is no finite number",
    "print(1); print('-Infinity')": "which is no finite number",
    "print(1); print('1' + '0' * 400)": "which is no finite number",
    "print(1); print('good')": "said on line 2 'good', which is no number",
    "print(1); print('true')": "which is no number",
    "print(1); print()": "said on line 2 '', which is no number",
    "print(1); print('{\"score\": null}')": "which is no number",
    "print(1); print('{\"system\": 2}')": "which has no 'score'",
    "print(1); print('[' * 100_000)": "which is no number",
    "import sys; print(1); sys.stdout.buffer.write(bytes([255, 10]))": "which is no number",
}


@pytest.mark.parametrize("code", list(REFUSED))
def test_another_answer_is_refused_in_one_line(tmp_path, code):
    with pytest.raises(LskdError) as refused:
        ask(tmp_path, code, [item("eins"), item("zwei")], "metric 'stub':")
    text = str(refused.value)
    assert REFUSED[code] in text and text.startswith("metric 'stub':") and "\n" not in text and len(text) < 600


def test_a_command_that_is_not_there_is_named(tmp_path):
    with pytest.raises(LskdError, match=r"--score-command 'no-such-program' ended with exit code 127 \(.*not found"):
        scored_by("no-such-program", [item("a")], "--score-command", Progress(1, "sentences", quiet))
