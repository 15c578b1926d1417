"""Records read strictly from JSON and written back: what is wrong is named with its place in one line."""

import json
from typing import Literal

import pytest

from lskd_nmt.errors import LskdError
from lskd_nmt.storage.typed import AnyFloat, Json, absent, from_json, read_record, record, to_json, write_record


@record
class Inner:
    name: str
    scores: tuple[float, ...]
    loss: AnyFloat = 0.0


@record
class Outer:
    kind: Literal["a", "b"]
    inner: list[Inner]
    seed: int = 1
    text: str | None = None


GOOD = {"kind": "a", "inner": [{"name": "x", "scores": [1, 2.5], "loss": float("nan")}], "seed": 3, "text": None}


def changed(path, value):
    copy = json.loads(json.dumps(GOOD))
    place = copy
    for part in path[:-1]:
        place = place[part]
    if value is KeyError:
        del place[path[-1]]
    else:
        place[path[-1]] = value
    return copy


def test_what_is_written_is_read_again(tmp_path):
    outer = from_json(Outer, changed(("inner", 0, "loss"), 4.0), "it")
    assert outer == Outer("a", [Inner("x", (1.0, 2.5), 4.0)], 3)
    write_record(tmp_path / "outer.json", outer)
    assert read_record(tmp_path / "outer.json", Outer) == outer
    assert list(to_json(outer)) == ["kind", "inner", "seed", "text"]


def test_keys_of_other_versions_are_no_fault():
    assert from_json(Outer, {"kind": "b", "inner": [], "later": 5}, "it") == Outer("b", [], 1, None)


def test_a_key_may_hold_any_json():
    @record
    class Flags:
        flags: dict[str, Json]

    content = {"flags": {"a": 1, "b": 1.0, "c": True, "d": None, "e": {"f": [1, "2", float("inf")]}, "g": 10**30}}
    assert to_json(from_json(Flags, content, "it")) == content
    with pytest.raises(LskdError, match=r'it: flags is "x", where an object is meant'):
        from_json(Flags, {"flags": "x"}, "it")


@pytest.mark.parametrize(
    "path, value, part",
    [
        (("kind",), KeyError, "f.json lacks 'kind': "),
        (("inner", 0, "name"), KeyError, "f.json lacks 'name' in inner[0]: "),
        (("kind",), "c", "kind is \"c\", where 'a' or 'b' is meant"),
        (("seed",), "1", 'seed is "1", where a whole number is meant'),
        (("seed",), True, "seed is true, where a whole number is meant"),
        (("seed",), 1.5, "seed is 1.5, where a whole number is meant"),
        (("inner",), {}, "inner is {}, where a list is meant"),
        (("inner", 0), "x", 'inner[0] is "x", where an object is meant'),
        (("inner", 0, "scores", 1), None, "inner[0].scores[1] is null, where a finite number is meant"),
        (("inner", 0, "scores", 1), float("inf"), "inner[0].scores[1] is Infinity, where a finite number is meant"),
        (("text",), 5, "text is 5, where text is meant"),
    ],
)
def test_a_fault_is_one_line_with_its_place(path, value, part):
    with pytest.raises(LskdError) as caught:
        from_json(Outer, changed(path, value), "f.json")
    assert part in str(caught.value) and "\n" not in str(caught.value) and str(caught.value).startswith("f.json")


def test_what_is_nested_too_deeply_for_pydantic_is_refused_in_words():
    content = json.loads('{"a": ' * 500 + "1" + "}" * 500)
    with pytest.raises(LskdError, match=r"^it is nested too deeply: "):
        from_json(Outer, content, "it")


def test_a_record_cannot_be_changed():
    with pytest.raises(AttributeError):
        from_json(Outer, GOOD, "it").seed = 2


@record
class Sparse:
    name: str
    note: str | None = absent()
    other: int | None = None


@pytest.mark.parametrize("note", [None, "x"])
def test_a_key_that_may_lack_is_written_only_where_it_has_a_value(note):
    written = to_json(Sparse("a", note))
    assert list(written) == ["name", *(["note"] if note else []), "other"]
    assert from_json(Sparse, written, "it") == Sparse("a", note)
