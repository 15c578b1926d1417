"""table.json as records: what is read is written again byte for byte, and older tables are read."""

import json

import pytest
from conftest import ROOT
from test_method_table import screening
from test_table import sweep, table

from lskd_nmt.errors import LskdError
from lskd_nmt.report.results.table_json import as_json, read_table, table_of

KEPT = [file for file in sorted(ROOT.glob("benchmarks/results/**/table.json")) if '"runs"' in file.read_text("utf-8")]


def same(new, old):
    """`new` without the keys that `old` lacks, as those of later versions."""
    if isinstance(old, dict):
        return {key: same(value, old[key]) for key, value in new.items() if key in old}
    return [same(*each) for each in zip(new, old, strict=True)] if isinstance(old, list) else new


@pytest.mark.parametrize("arguments", [(), ("--pool-seeds",), ("--baseline", "plain", "--baseline", "word_kd")])
def test_a_table_is_written_as_it_was_read(tmp_path, arguments):
    run = screening(tmp_path / "run") if arguments else sweep(tmp_path / "run", seeds=(1, 2))
    content = table(tmp_path, run, *arguments)
    assert json.dumps(as_json(read_table(tmp_path / "out" / "table.json"))) == json.dumps(content)


@pytest.mark.parametrize("file", KEPT, ids=lambda file: str(file.parent.relative_to(ROOT)))
def test_a_table_of_an_older_version_is_read_and_keeps_its_keys(file):
    old = json.loads(file.read_text(encoding="utf-8"))
    assert json.dumps(same(as_json(read_table(file)), old)) == json.dumps(old)


@pytest.mark.parametrize(
    "change, said",
    [
        ({"rows": [{"run": "a"}]}, "table.json lacks 'name' in rows[0]"),
        ({"name": 1}, "table.json: name is 1, where text is meant"),
        ({"cells": {}}, "table.json: cells is {}, where a list is meant"),
        ({"significance": {"seed": 1}}, "table.json lacks 'method' in significance.settings"),
    ],
)
def test_a_key_that_is_missing_or_of_another_type_is_named(change, said):
    content = {"name": "a", "runs": [], "signatures": {}, "rows": [], "cells": []}
    assert table_of(content, "table.json").name == "a"
    with pytest.raises(LskdError) as error:
        table_of(content | change, "table.json")
    assert str(error.value).startswith(said)
