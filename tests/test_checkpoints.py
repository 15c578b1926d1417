"""Checkpoints of strangers: what may be in one and what it may say; nothing else runs, hangs or is a traceback."""

import argparse
import ast
import collections
import copy
import os
import pickletools
import random
import re
import sys
import types
import zipfile
from pathlib import Path

import numpy as np
import pytest
import torch
from conftest import build

from lskd_nmt import cli, fairseq_io
from lskd_nmt.errors import LskdError
from lskd_nmt.fairseq_io import settings, unpickling
from lskd_nmt.fairseq_io.checkpoints import load_model, read_checkpoint, section
from lskd_nmt.fairseq_io.literals import is_literal
from lskd_nmt.teacher import online

ADVICE = re.compile(r"weights_only|safe_globals|\x1b|\n")


def refusal(read, *arguments):
    """The line with which something is refused; it is one, and advises nothing careless."""
    with pytest.raises(LskdError) as refused:
        read(*arguments)
    line = str(refused.value)
    assert not ADVICE.search(line), line
    return line


@pytest.fixture
def state(teacher):
    return torch.load(teacher, weights_only=True)


@pytest.fixture
def saved(tmp_path):
    """`saved(content)` is the path of a checkpoint with this content."""

    def save(content, name="model.pt"):
        torch.save(content, tmp_path / name)
        return str(tmp_path / name)

    return save


# what may be unpickled


def test_the_list_of_what_a_pickle_may_call_is_exactly_this(plugin):
    namespace, meters = {"argparse.Namespace"}, {"AverageMeter", "StopwatchMeter", "TimeMeter"}
    rebuilt = {"numpy.dtype", "numpy.ndarray"} | {
        f"numpy.{core}.multiarray.{name}" for core in ("core", "_core") for name in ("scalar", "_reconstruct")
    }
    inert = {f"fairseq.{module}.{meter}" for module in ("meters", "logging.meters") for meter in meters}
    fairseq_io.allow_safe_unpickling()
    listed = [each for each in torch.serialization.get_safe_globals() if isinstance(each, tuple)]
    others = set(torch.serialization.get_safe_globals()) - set(listed)
    assert {each.__module__.partition(".")[0] for each in others} <= {"torch"}  # its own
    assert len(listed) == len(namespace | rebuilt | inert)
    assert {name for _, name in listed} == namespace | rebuilt | inert
    own = {call for call, name in listed if name not in namespace}
    assert {call.__module__ for call in own} == {unpickling.__name__}  # none of NumPy's or fairseq's own is called
    assert {call for call, name in listed if name in inert} == {unpickling.Unread}


def test_numbers_and_arrays_come_back_as_numpy_wrote_them_and_are_written_as_numpy_writes_them(saved, tmp_path):
    scalars = [
        np.float64(-0.1),
        np.float32(3.2),
        np.float16(1.5),
        np.int64(-7),
        np.int32(3),
        np.uint8(255),
        np.bool_(1),
    ]
    arrays = [
        np.arange(6).reshape(2, 3),
        np.arange(6, dtype=">f8").reshape(2, 3).T,
        np.array(5.0),
        np.array([True, False]),
    ]
    content = {"scalars": scalars, "arrays": arrays}
    fairseq_io.allow_safe_unpickling()
    for path in (saved(content), saved(torch.load(saved(content), weights_only=True), "again.pt")):
        found = torch.load(path, weights_only=True)
        assert [type(each) for each in found["scalars"]] == [type(each) for each in scalars]
        assert found["scalars"] == scalars
        for each, array in zip(found["arrays"], arrays, strict=True):
            np.testing.assert_array_equal(each, array)
            assert each.dtype == array.dtype.newbyteorder("=")
        with zipfile.ZipFile(path) as archive:
            pickled = archive.read(next(name for name in archive.namelist() if name.endswith("data.pkl")))
        called = {argument for operation, argument, _ in pickletools.genops(pickled) if operation.name == "GLOBAL"}
        assert called == {
            "numpy._core.multiarray scalar",
            "numpy._core.multiarray _reconstruct",
            "numpy dtype",
            "numpy ndarray",
            "_codecs encode",
        }


class Calls:
    """Pickled as a call of anything with anything, and a state."""

    def __init__(self, call, *arguments, state=None):
        self.reduced = (call, arguments) if state is None else (call, arguments, state)

    def __reduce__(self):
        return self.reduced


ADDRESS = b"\x10\x27\0\0\0\0\0\0"
OBJECTS = np.dtype("O")
HOSTILE = {
    "an array of addresses": lambda: Calls(np.ndarray, (1,), OBJECTS, ADDRESS),
    "an array that becomes one": lambda: Calls(
        np.zeros(0).__reduce__()[0], np.ndarray, (0,), b"b", state=(1, (1,), OBJECTS, False, ADDRESS)
    ),
    "an array of records": lambda: np.zeros(1, [("a", "O"), ("b", "f8")]),
    "a number that is an address": lambda: Calls(np.float64(0).__reduce__()[0], OBJECTS, ADDRESS),
    "a type with flags of its own": lambda: Calls(
        np.dtype, "V8", state=(3, "|", None, ("a",), {"a": (OBJECTS, 0)}, 8, 1, 0)
    ),
    "more numbers than bytes": lambda: Calls(
        np.zeros(0).__reduce__()[0], np.ndarray, (0,), b"b", state=(1, (10**9,), np.dtype("f8"), False, ADDRESS)
    ),
    "sizes below zero": lambda: Calls(
        np.zeros(0).__reduce__()[0], np.ndarray, (0,), b"b", state=(1, (-1, -1), np.dtype("f8"), False, ADDRESS)
    ),
    "a call of the system": lambda: Calls(os.system, "touch CALLED"),
    "a call of Python": lambda: Calls(eval, "open('CALLED', 'w')"),
    "an attribute": lambda: Calls(getattr, "", "join"),
    "a file": lambda: Calls(np.fromfile, "CALLED"),
    "a partial": lambda: Calls(__import__("functools").partial, os.system, "touch CALLED"),
}


@pytest.mark.parametrize("what", HOSTILE)
def test_a_pickle_that_asks_for_more_than_data_is_refused_before_it_does_anything(
    what, state, saved, tmp_path, monkeypatch
):
    monkeypatch.chdir(tmp_path)
    path = saved({**state, "extra_state": {"best": HOSTILE[what]()}})
    line = refusal(read_checkpoint, path, "teacher")
    assert line.startswith(f"teacher {path} cannot be read (")
    assert not (tmp_path / "CALLED").exists()


def test_an_array_may_be_called_with_anything_and_is_empty():
    array = unpickling.empty(unpickling.Numbers, (1,), OBJECTS, ADDRESS)
    assert array.shape == (0,) and array.dtype == np.int8
    assert unpickling.Numbers((1,), OBJECTS, ADDRESS).shape == (0,)


# what settings may say


def test_what_is_a_literal_and_what_is_a_program():
    for text in (
        "[(512, 3)] * 20",
        "[(512, 3)] * 9 + [(1024, 3)] * 4",
        "True",
        "1000,5000",
        "(0.9, -0.98)",
        "6",
        "None",
        "{'name': 'linformer', 'k': 3}",
        " [1, 2]",
        "'text'",
    ):
        assert is_literal(text) and isinstance(eval(text.strip(), {"__builtins__": {}}), object), text
    for text in (
        "",
        "print()",
        "x",
        "(0.9, 0.98) if 1 else 2",
        "[c for c in (1, 2)]",
        "().__class__",
        "f'{1}'",
        "lambda: 0",
        "[0] * 10 ** 9",
        "[0] * 1000000000",
        "[[0] * 1000] * 1000",
        "'a' 'b'[0]",
        "(x := 1)",
        "1 if",
        "-" * 9999 + "1",
        "{**{}}",
        "(" * 3000,
        "[1][0]",
        "2 ** 9",
    ):
        assert not is_literal(text), text


def test_everything_that_fairseq_evaluates_of_these_models_and_tasks_is_on_the_list(plugin):
    """Read off the sources of all classes that a checkpoint may name, of what they inherit and of fairseq's modules."""
    import fairseq
    from fairseq.models import MODEL_REGISTRY
    from fairseq.tasks import TASK_REGISTRY

    assert set(MODEL_REGISTRY) >= settings.MODELS and set(TASK_REGISTRY) >= settings.TASKS
    classes = [
        registry[name]
        for registry, names in ((MODEL_REGISTRY, settings.MODELS), (TASK_REGISTRY, settings.TASKS))
        for name in names
    ]
    modules = {base.__module__ for each in classes for base in each.__mro__ if base.__module__.startswith("fairseq.")}
    home = Path(fairseq.__file__).parent
    files = {Path(sys.modules[module].__file__) for module in modules} | set((home / "modules").glob("*.py"))
    files |= set((home / "models" / "transformer").glob("*.py")) | set((home / "models" / "nat").glob("*.py"))
    evaluated = set()
    for file in files:
        for node in ast.walk(ast.parse(file.read_text())):
            name = getattr(node.func, "attr", getattr(node.func, "id", "")) if isinstance(node, ast.Call) else ""
            if name == "eval" and not node.args:
                continue  # of a torch module
            if name == "eval" or name.startswith(("eval_str", "eval_bool")):
                argument = node.args[0]
                evaluated.add(getattr(argument, "attr", getattr(argument, "id", None)))
    evaluated -= {"x"}  # of a flag on the command line
    assert (
        {"encoder_layers", "left_pad_source", "decoder_attention", "adaptive_softmax_cutoff"}
        <= evaluated
        <= settings.EVALUATED
    )


def with_model(state, **changes):
    """The state with other settings of its model."""
    state = copy.copy(state)
    state["cfg"] = {**state["cfg"], "model": argparse.Namespace(**{**section(state, "model"), **changes})}
    return state


CODE = "__import__('pathlib').Path('CALLED').touch() or [(16, 3)]"
FORGED = {
    "the arch of the report": lambda s: with_model(s, arch="fconv", _name="fconv", encoder_layers=CODE),
    "its decoder": lambda s: with_model(s, arch="fconv_iwslt_de_en", _name=None, decoder_attention=CODE),
    "a transformer's softmax": lambda s: with_model(s, adaptive_softmax_cutoff=CODE),
    "its attention": lambda s: with_model(s, encoder_xformers_att_config=CODE),
    "another attention": lambda s: with_model(s, arch="fconv_self_att", _name="fconv_self_att", gated_attention=CODE),
    "another checkpoint": lambda s: with_model(s, arch="fconv_self_att", _name="fconv_self_att", pretrained="True"),
    "args beside cfg": lambda s: {
        **s,
        "args": argparse.Namespace(task="translation", arch="fconv", encoder_layers=CODE),
    },
    "args alone": lambda s: {**s, "cfg": None, "args": argparse.Namespace(arch="lstm", adaptive_softmax_cutoff=CODE)},
    "a section of a section": lambda s: with_model(s, encoder=argparse.Namespace(layers=[{"encoder_layers": CODE}])),
    "the environment": lambda s: with_model(s, activation_fn="${oc.env:HOME}"),
    "a nested look-up": lambda s: with_model(s, activation_fn="${task.${oc.env:HOME}}"),
    "speech": lambda s: with_model(s, arch="wav2vec2", _name="wav2vec2", conv_feature_layers=CODE),
    "a language model": lambda s: with_model(s, arch="fconv_lm", _name="fconv_lm", decoder_layers=CODE),
    "no arch": lambda s: with_model(s, arch=None, _name=None),
    "an unknown arch": lambda s: with_model(s, arch="mine", _name="mine"),
    "an arch that is a list": lambda s: with_model(s, arch=["fconv"], _name=["fconv"]),
    "an unknown task": lambda s: {
        **s,
        "cfg": {**s["cfg"], "task": {**s["cfg"]["task"], "_name": "hubert_pretraining"}},
    },
    "a task of old": lambda s: {**s, "cfg": {**s["cfg"], "task": {**s["cfg"]["task"], "task": "audio_pretraining"}}},
    "a task for CTranslate2": lambda s: with_model(s, task="audio_pretraining"),
    "no task": lambda s: {**s, "cfg": {**s["cfg"], "task": None}},
    "a billion layers": lambda s: with_model(s, encoder_layers=10**9),
    "a billion positions": lambda s: with_model(s, max_source_positions=10**9),
    "a billion columns": lambda s: with_model(s, decoder_ffn_embed_dim=10**9),
    "endless nesting": lambda s: with_model(s, extra=nested(200)),
}


def nested(depth):
    content = []
    for _ in range(depth):
        content = [content]
    return content


@pytest.mark.parametrize("what", FORGED)
def test_settings_that_would_run_or_build_anything_else_are_refused(what, state, saved, data, tmp_path, monkeypatch):
    path = saved(FORGED[what](state))
    monkeypatch.chdir(tmp_path)
    symbols = fairseq_io.read_symbols(str(data), ("aa", "bb"))
    lines = {refusal(online.check, path, symbols, None), refusal(load_model, path, {"data": str(data)})}
    assert len(lines) == 1 and f"teacher {path} cannot be built (" in lines.pop()
    assert not (tmp_path / "CALLED").exists()


@pytest.mark.parametrize(
    "words",
    [
        ["doctor", "--data", "DATA", "--teacher-path", "FILE"],
        ["teacher-store", "--data", "DATA", "--teacher-path", "FILE", "--out", "OUT"],
        ["seqkd", "decode", "--data", "DATA", "--teacher-path", "FILE", "--out", "OUT"],
        ["seqkd", "decode", "--data", "DATA", "--teacher-path", "FILE", "--out", "OUT", "--engine", "fairseq"],
        ["features", "--data", "DATA", "--checkpoint", "FILE", "--out", "OUT"],
        ["export", "--data", "DATA", "--checkpoint", "FILE", "--to", "fairseq", "--out", "OUT"],
        ["export", "--data", "DATA", "--checkpoint", "FILE", "--to", "ctranslate2", "--out", "OUT"],
        ["compare", "--data", "DATA", "--models", "a=FILE", "b=FILE", "--out", "OUT"],
    ],
    ids=lambda words: " ".join(words[:2]),
)
def test_no_verb_runs_what_a_checkpoint_says(words, state, saved, pieces, tmp_path, monkeypatch, capsys):
    places = {"DATA": str(pieces), "OUT": "out", "FILE": saved(FORGED["the arch of the report"](state))}
    monkeypatch.chdir(tmp_path)
    words = [places.get(word, word.replace("FILE", places["FILE"])) for word in words]
    try:
        code = cli.main(words)
    except SystemExit as stopped:
        code = stopped.code
    assert code == 2
    assert "encoder_layers" in capsys.readouterr().err
    assert not (tmp_path / "CALLED").exists() and not (tmp_path / "out").exists()


@pytest.mark.parametrize(
    "flags",
    [
        ["--arch", "fconv", "--encoder-layers", "[(16, 3)] * 2", "--decoder-layers", "[(16, 3)] + [(16, 3)]"],
        ["--arch", "lstm", "--encoder-hidden-size", 8, "--decoder-hidden-size", 8],
        [
            "--arch",
            "lightconv",
            "--encoder-conv-dim",
            16,
            "--decoder-conv-dim",
            16,
            "--encoder-layers",
            2,
            "--decoder-layers",
            2,
            "--encoder-kernel-size-list",
            "[3, 5]",
            "--decoder-kernel-size-list",
            "(3, 5)",
        ],
        ["--arch", "transformer", "--adaptive-softmax-cutoff", "8,12", "--encoder-layers", 1, "--decoder-layers", 1],
    ],
    ids=lambda flags: flags[1],
)
def test_models_of_other_archs_are_built_as_before_also_without_the_embeddings_that_they_began_with(flags, data, saved):
    task, model, _ = build(data, "--kd-weight", 0, *flags)
    content = {
        "args": None,
        "cfg": {"model": model_settings(data, flags), "task": dict(task.cfg)},
        "model": model.state_dict(),
        "extra_state": {},
    }
    found = load_model(saved(content), {"data": str(data), "eval_bleu": False}).state_dict()
    assert list(found) == list(content["model"])
    assert all(torch.equal(found[name], tensor) for name, tensor in content["model"].items())


def model_settings(data, flags):
    from fairseq import options

    parser = options.get_training_parser()
    words = [data, "-s", "aa", "-t", "bb", "--encoder-embed-dim", 16, "--decoder-embed-dim", 16, *flags]
    given = options.parse_args_and_arch(parser, list(map(str, words)))
    given.encoder_embed_path = "gone.vec"
    return given


# files that are none, and those of other times


def drop(*names):
    return lambda state: {key: value for key, value in state.items() if key not in names}


MALFORMED = {
    "no model": (drop("model"), "holds no fairseq model and settings"),
    "no settings": (drop("cfg", "args"), "holds no fairseq model and settings"),
    "a list": (lambda _: [1, 2], "holds no fairseq model and settings"),
    "a model that is a list": (lambda s: {**s, "model": [1]}, "holds no weights by name"),
    "no weights": (lambda s: {**s, "model": {}}, "holds no weights by name"),
    "a weight that is a word": (lambda s: {**s, "model": {**s["model"], "w\x1b[1m": "x"}}, "its weight w is no tensor"),
    "a name that is a number": (
        lambda s: {**s, "model": {**s["model"], 5: torch.zeros(1)}},
        "its weight 5 is no tensor",
    ),
    "a weight of one number for a trillion": (
        lambda s: {**s, "model": {**s["model"], "w": torch.zeros(1).expand(10**6, 10**6)}},
        "not whole",
    ),
    "a sparse weight": (lambda s: {**s, "model": {**s["model"], "w": torch.eye(3).to_sparse()}}, "not whole"),
    "a weight without memory": (
        lambda s: {**s, "model": {**s["model"], "w": torch.empty(3, device="meta")}},
        "not whole",
    ),
    "symbols that are no words": (
        lambda s: {**s, "task_state": {"lskd_symbols": {"source": [1], "target": []}}},
        "its symbols (lskd_symbols) are no two lists",
    ),
    "one dictionary": (lambda s: {**s, "task_state": {"lskd_symbols": {"source": ["a"]}}}, "are no two lists"),
    "settings in a list": (lambda s: {**s, "cfg": [1]}, "its settings are no settings"),
    "an empty section": (lambda s: {**s, "cfg": {**s["cfg"], "model": {}}}, "lack the section model"),
    "a width that is a word": (lambda s: with_model(s, encoder_embed_dim="wide"), "does not fit its own settings ("),
    "other widths": (lambda s: with_model(s, encoder_embed_dim=24), "does not fit its own settings ("),
    "a history of nothing": (lambda s: {**s, "optimizer_history": 5}, "does not fit its own settings ("),
    "words where numbers belong": (lambda s: {**s, "extra_state": "none"}, "does not fit its own settings ("),
}


@pytest.mark.parametrize("what", MALFORMED)
def test_a_checkpoint_that_lacks_something_is_refused_in_one_line(what, state, saved, data):
    change, part = MALFORMED[what]
    path = saved(change(state))
    assert part in refusal(load_model, path, {"data": str(data)})


@pytest.mark.parametrize(
    "content", [b"", b"a text\n", b"\x80\x04K\x05.", b"\x80\x02}.", b"PK\x03\x04", b"\0" * 500, b"a" * 9]
)
def test_a_file_that_is_no_checkpoint_is_refused_in_one_line(content, tmp_path):
    (tmp_path / "file.pt").write_bytes(content)
    assert f"teacher {tmp_path}/file.pt " in refusal(read_checkpoint, str(tmp_path / "file.pt"), "teacher")


def test_a_folder_a_pipe_and_nothing_are_told_apart_and_nothing_waits(tmp_path):
    os.mkfifo(tmp_path / "pipe.pt")
    (tmp_path / "link.pt").symlink_to("nowhere")
    for name, part in (
        ("", "is a folder"),
        ("pipe.pt", "is a pipe"),
        ("none.pt", "does not exist"),
        ("link.pt", "a link"),
    ):
        line = refusal(read_checkpoint, str(tmp_path / name), "teacher")
        assert part in line and "a colon separates two paths" in line


def test_an_archive_that_unpacks_to_more_than_it_is_is_not_unpacked(tmp_path, teacher):
    bomb = tmp_path / "bomb.pt"
    with zipfile.ZipFile(teacher) as inside, zipfile.ZipFile(bomb, "w", zipfile.ZIP_DEFLATED) as outside:
        for entry in inside.infolist():
            outside.writestr(entry.filename, inside.read(entry) + b"\0" * 10**5)
    assert "its content is compressed" in refusal(read_checkpoint, str(bomb), "teacher")


def test_checkpoints_of_older_fairseq_are_read_with_their_meters_and_floats(state, saved, data, monkeypatch):
    logging, old = types.ModuleType("fairseq.meters"), type("AverageMeter", (), {"__module__": "fairseq.meters"})
    logging.AverageMeter = old
    monkeypatch.setitem(sys.modules, "fairseq.meters", logging)
    from fairseq.logging.meters import TimeMeter

    meter = old()
    meter.sum = 5
    extra = {**state["extra_state"], "best": np.float32(3.2), "meters": collections.OrderedDict(a=meter, b=TimeMeter())}
    path = saved({**state, "extra_state": extra})
    found = read_checkpoint(path, "teacher")
    assert found["extra_state"]["best"] == np.float32(3.2)
    assert isinstance(load_model(path, {"data": str(data), "eval_bleu": False}), torch.nn.Module)
    again = torch.load(saved(found, "again.pt"), weights_only=True)
    assert again["extra_state"]["meters"] == {"a": {}, "b": {}}


def test_args_of_old_are_the_settings(state, saved, data):
    flat = {
        key: value
        for name in ("common", "dataset", "optimization", "checkpoint", "task", "model", "optimizer")
        for key, value in section(state, name).items()
        if key != "_name"
    }
    flat |= {"task": "translation", "arch": "ls_transformer_tiny", "criterion": "label_smoothed_cross_entropy"}
    path = saved({**state, "args": argparse.Namespace(**flat), "cfg": None})
    found = load_model(path, {"data": str(data), "eval_bleu": False}).state_dict()
    assert all(torch.equal(found[name], tensor) for name, tensor in state["model"].items())


@pytest.mark.parametrize("content", ["OmegaConf", "Path"])
def test_an_object_that_is_not_unpickled_is_named_and_how_to_convert_it(content, state, saved):
    from omegaconf import OmegaConf

    held = {"OmegaConf": OmegaConf.create({"a": 1}), "Path": Path("x")}[content]
    line = refusal(read_checkpoint, saved({**state, "extra_state": {"held": held}}), "teacher")
    name = f"{type(held).__module__}.{type(held).__qualname__}"  # Python 3.13 has pathlib._local.PosixPath
    assert f"it holds {name}, an object" in line and "save its parts model and args" in line and "damaged" not in line


def test_weights_and_settings_alone_are_enough_to_build_a_model(state, saved, data):
    path = saved({"model": state["model"], "cfg": state["cfg"]})
    assert isinstance(load_model(path, {"data": str(data), "eval_bleu": False}), torch.nn.Module)
    half = {name: tensor.half() for name, tensor in state["model"].items()}
    old = {**half, "decoder.version": torch.tensor([3.0])}
    assert isinstance(load_model(saved({**state, "model": old}), {"data": str(data)}), torch.nn.Module)


def test_the_longest_source_may_be_written_as_1e5_as_an_lstm_does(state, saved):
    assert fairseq_io.max_source_positions(saved(with_model(state, max_source_positions=1e5))) == 100_000
    without = with_model(state, max_source_positions=None)
    without["cfg"]["task"] = {**without["cfg"]["task"], "max_source_positions": None}
    assert "does not say its max_source_positions" in refusal(fairseq_io.max_source_positions, saved(without))


def test_a_file_with_a_colon_in_its_path_is_one_teacher(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    for name in ("run_10:30/T.pt", "a.pt", "b.pt", "x:y.pt"):
        (tmp_path / name).parent.mkdir(exist_ok=True)
        (tmp_path / name).touch()
    assert online.split_paths("run_10:30/T.pt") == ["run_10:30/T.pt"]
    assert online.split_paths("a.pt:b.pt") == ["a.pt", "b.pt"]
    assert online.split_paths("a.pt:run_10:30/T.pt:x:y.pt") == ["a.pt", "run_10:30/T.pt", "x:y.pt"]
    assert online.split_paths("a.pt:none:b.pt:") == ["a.pt", "none", "b.pt"] and online.split_paths(None) == []


def test_mutated_checkpoints_are_read_or_refused_in_one_line(plugin, tmp_path, monkeypatch):
    """Bytes of a small checkpoint are changed, cut, doubled and swapped; numbers that are still numbers may be read."""
    monkeypatch.chdir(tmp_path)
    model = {"encoder.embed_tokens.weight": torch.ones(3, 2), "decoder.embed_tokens.weight": torch.ones(3, 2)}
    cfg = {"model": argparse.Namespace(arch="fconv", encoder_layers="[(2, 3)]"), "task": {"_name": "translation"}}
    extra = {"best": np.float64(1.5), "counts": np.arange(4)}
    content = {"args": None, "cfg": cfg, "model": model, "extra_state": extra}
    originals = []
    for kind in (True, False):
        torch.save(content, tmp_path / "model.pt", _use_new_zipfile_serialization=kind)
        originals.append((tmp_path / "model.pt").read_bytes())
        read_checkpoint(str(tmp_path / "model.pt"), "teacher")
    draw, refused = random.Random(15), 0
    for number in range(200):
        mutant = bytearray(originals[number % 2])
        for _ in range(draw.randint(1, 3)):
            at, size = draw.randrange(len(mutant)), draw.randint(1, 8)
            way = draw.randrange(4)
            if way == 0:
                mutant[at : at + size] = draw.randbytes(size)
            elif way == 1:
                mutant[at] ^= 1 << draw.randrange(8)
            elif way == 2:
                del mutant[at : at + size]
            else:
                mutant[at:at] = mutant[at - size : at]
        (tmp_path / "model.pt").write_bytes(mutant)
        try:
            read_checkpoint("model.pt", "teacher")
        except LskdError as error:
            refused += 1
            assert not ADVICE.search(str(error)) and str(error).startswith("teacher model.pt"), error
    assert refused > 50 and os.listdir(tmp_path) == ["model.pt"]
