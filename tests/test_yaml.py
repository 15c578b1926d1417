"""Text that is no config: each kind is refused in one line, and none hangs or fills the memory."""

import os

import pytest

from lskd_nmt.cli import main
from lskd_nmt.errors import LskdError
from lskd_nmt.storage.yaml_file import read_yaml

BOMB = "a: &a [1,1,1,1,1,1,1,1,1]\n" + "".join(
    f"{name}: &{name} [{','.join([f'*{before}'] * 9)}]\n" for before, name in zip("abcdefgh", "bcdefghi", strict=True)
)
TEXTS = {
    "": "holds no 'key: value' lines",
    "- 1": "holds no 'key: value' lines",
    "just text": "holds no 'key: value' lines",
    "? {a: b}\n: c": "line 1: a key is {'a': 'b'}, it must be a word",
    "? [a]\n: c": "line 1: a key is ['a'], it must be a word",
    "name: x\non: c": "line 2: a key is True, it must be a word: put it in quotes",
    "1: c": "line 1: a key is 1, it must be a word",
    "name: a\nname: b": "line 1: key 'name' stands twice: keep one",
    "a: " + "[" * 3000: "3,000 brackets",
    "a: " + "{a: " * 3000: "3,000 brackets",
    "- " * 3000 + "a": "too many levels",
    "a: &a [*a]": "more than 20,000 values",
    "a: &a {b: *a}": "more than 20,000 values",
    BOMB: "more than 20,000 values",
    "a:\n\tb: 1": "is not YAML: while scanning",
    "a: !!set {x, y}": "could not determine a constructor",
    "a: !!binary aGk=": "could not determine a constructor",
    "a: !!timestamp 2024-01-01": "could not determine a constructor",
    "a: !!python/object/apply:os.system [x]": "could not determine a constructor",
    "a: !!bool maybe": "is not YAML",
    "a: !!int x": "is not YAML",
    "a: " + "9" * 5000: "is not YAML",
    "a: 1\n---\nb: 2": "expected a single document",
    "a: \0": "is not YAML",
    "x" * 300_001: "has 300,001 bytes",
    "name: no": "name is False, it must be a name of letters, digits, '.', '_' and '-' (in quotes",
    "seeds: 2024-01-01": "seeds is '2024-01-01', it must be a whole number from 1",
    "seeds: true": "seeds is True, it must be a whole number from 1",
    "seeds: 99999999999999999999": "a whole number from 1 to 4294967295",
    "decode: {lenpen: .nan}": "decode.lenpen is nan, it must be a number",
    "decode: {max_len_a: x}": "decode.max_len_a is 'x', it must be a number from 0",
    "decode: {max_len_a: 1" + "0" * 400 + "}": "it must be a number from 0",
    "student: {tail: 'bucket:1" + "0" * 5000 + "'}": "characters), it must be dense, or bucket",
    "data: {dir: ~nobody-of-this-name/x}": "data.dir is '~nobody-of-this-name/x', it must be a path",
    'data: {dir: "a\\nb"}': "it must be a path",
    "name: " + "x" * 200: "it must be a name",
}


@pytest.mark.parametrize("text", TEXTS, ids=lambda text: repr(text[:24]))
def test_what_is_no_config_is_refused_in_one_line(text, tmp_path, capsys):
    file = tmp_path / "x.yaml"
    file.write_text(text, encoding="utf-8")
    assert main(["plan", str(file), "--out", str(tmp_path / "run")]) == 2
    err = capsys.readouterr().err
    assert TEXTS[text] in err and err.count("\n") == 1 and len(err) < 5000, err
    assert not (tmp_path / "run").exists()


def test_what_is_no_file_of_text_is_refused_and_none_waits_for_a_writer(tmp_path):
    os.mkfifo(tmp_path / "fifo")
    (tmp_path / "loop").symlink_to(tmp_path / "loop")
    (tmp_path / "latin").write_bytes(b"name: \xe4")
    for name, part in (
        ("fifo", "is not a file"),
        ("loop", "is not a file"),
        ("none", "is not a file"),
        (".", "is not a file"),
        ("latin", "is not YAML: 'utf-8' codec"),
    ):
        with pytest.raises(LskdError, match=part) as refused:
            read_yaml(tmp_path / name)
        assert "\n" not in str(refused.value)


def test_what_is_yaml_is_read(tmp_path):
    file = tmp_path / "x.yaml"
    file.write_text("\ufeffa: &b {lr: 1e-3, d: 2024-01-01, n: ~, no-x: yes}\nc: *b\n", encoding="utf-8")
    inner = {"lr": "1e-3", "d": "2024-01-01", "n": None, "no-x": True}
    assert read_yaml(file) == {"a": inner, "c": inner}
