"""Architectures, tasks and precisions beside a plain transformer in float32: each trains, or is refused in one line."""

import math

import pytest
import torch
from conftest import USER_DIR, call, train

from lskd_nmt import cli, fairseq_io
from lskd_nmt.fairseq_io import read_checkpoint, read_symbols
from lskd_nmt.teacher.online import LiveTeacher
from lskd_nmt.teacher.store import TeacherStore

LANGS = ("aa", "bb")
SMALL = ["--encoder-embed-dim", 16, "--decoder-embed-dim", 16]
FFN = [*SMALL, "--encoder-ffn-embed-dim", 16, "--decoder-ffn-embed-dim", 16]
HEADS = ["--encoder-attention-heads", 4, "--decoder-attention-heads", 4]
LAYERS = ["--encoder-layers", 1, "--decoder-layers", 1]
TINY = [*FFN, *HEADS, *LAYERS]
SHAPES = "[(16, 3)]"  # of fconv's layers: width and kernel
KERNELS = ["--encoder-kernel-size-list", "[3]", "--decoder-kernel-size-list", "[3]"]

TRAINED = {
    "transformer": ["--arch", "transformer", *TINY],
    "lstm": [
        "--arch",
        "lstm",
        *SMALL,
        "--encoder-hidden-size",
        16,
        "--decoder-hidden-size",
        16,
        "--decoder-out-embed-dim",
        16,
    ],
    "fconv": [
        "--arch",
        "fconv",
        *SMALL,
        "--encoder-layers",
        SHAPES,
        "--decoder-layers",
        SHAPES,
        "--decoder-out-embed-dim",
        16,
    ],
    "lightconv": ["--arch", "lightconv", *TINY, "--encoder-conv-dim", 16, "--decoder-conv-dim", 16, *KERNELS],
    "transformer_align": ["--arch", "transformer_align", *TINY, "--alignment-layer", 0],
    "adaptive-softmax": ["--arch", "transformer", *TINY, "--adaptive-softmax-cutoff", "6,11"],
    "layerdrop": ["--arch", "transformer", *TINY, "--encoder-layerdrop", 0.4, "--decoder-layerdrop", 0.4],
    "learned-positions": ["--arch", "transformer", *TINY, "--encoder-learned-pos", "--decoder-learned-pos"],
    "quant-noise": ["--arch", "transformer", *TINY, "--quant-noise-pq", 0.3],
    "ema": ["--arch", "transformer", *TINY, "--store-ema"],
    "bart": ["--arch", "bart_base", *TINY],
}
MULTI = {
    "translation_multi_simple_epoch": [
        "--task",
        "translation_multi_simple_epoch",
        "--lang-pairs",
        "aa-bb,bb-aa",
        "--arch",
        "transformer",
        *TINY,
    ],
    "language-tags": [
        "--task",
        "translation_multi_simple_epoch",
        "--lang-pairs",
        "aa-bb,bb-aa",
        "--encoder-langtok",
        "tgt",
        "--decoder-langtok",
        "--arch",
        "transformer",
        *TINY,
    ],
    "multilingual_translation": [
        "--task",
        "multilingual_translation",
        "--lang-pairs",
        "aa-bb,bb-aa",
        "--arch",
        "multilingual_transformer",
        *TINY,
    ],
}
TEACHERS = ["lstm", "fconv", "lightconv", "transformer_align", "adaptive-softmax"]


def fit(data, save_dir, *flags):
    """Two updates with flags that every architecture knows; the last checkpoint."""
    from fairseq_cli import train as fairseq_train

    call(
        fairseq_train.cli_main,
        "fairseq-train",
        data,
        "--user-dir",
        USER_DIR,
        "--save-dir",
        save_dir,
        "--cpu",
        "--criterion",
        "kd_ls",
        "--optimizer",
        "adam",
        "--lr",
        0.01,
        "--max-tokens",
        100,
        "--max-update",
        2,
        "--num-workers",
        0,
        "--seed",
        7,
        "--log-format",
        "none",
        "--no-epoch-checkpoints",
        *flags,
    )
    return save_dir / "checkpoint_last.pt"


def updates(checkpoint):
    return read_checkpoint(str(checkpoint), "checkpoint")["optimizer_history"][-1]["num_updates"]


@pytest.fixture(scope="module")
def teachers(data, tmp_path_factory):
    """`teachers(name)`: a checkpoint of that architecture."""
    made = {}

    def teacher(name):
        if name not in made:
            made[name] = fit(data, tmp_path_factory.mktemp(name), "--kd-weight", 0, *TRAINED[name])
        return made[name]

    return teacher


@pytest.mark.parametrize("name", TRAINED)
def test_students_of_these_architectures_distil(data, teacher, tmp_path, name):
    assert updates(fit(data, tmp_path, "--teacher-path", teacher, "--temperature", 2, *TRAINED[name])) == 2


@pytest.mark.parametrize("name", [*MULTI, "transformer_align", "lstm", "fconv"])
def test_without_a_teacher_they_train_as_with_fairseqs_own_criterion(data, tmp_path, name):
    flags = [*(MULTI | TRAINED)[name], "--label-smoothing", 0.1, "--optimizer", "sgd", "--lr", 0.1]
    ours = fit(data, tmp_path / "ours", "--kd-weight", 0, *flags)
    theirs = fit(data, tmp_path / "theirs", *flags, "--criterion", "label_smoothed_cross_entropy")
    ours, theirs = (read_checkpoint(str(path), "checkpoint")["model"] for path in (ours, theirs))
    assert ours.keys() == theirs.keys()
    for parameter in ours:
        torch.testing.assert_close(ours[parameter], theirs[parameter], rtol=1e-4, atol=1e-6)


@pytest.mark.parametrize("name", MULTI)
def test_several_language_pairs_have_no_teacher(data, teacher, tmp_path, refused, name):
    with refused() as line:
        fit(data, tmp_path / "m", "--teacher-path", teacher, *MULTI[name])
    assert "has no single language pair, for which a teacher could be asked" in line[0]
    assert "--kd-weight 0" in line[0] and not (tmp_path / "m").exists()


@pytest.mark.parametrize(
    "flags, part",
    [
        (
            ["--arch", "nonautoregressive_transformer", "--task", "translation_lev", "--noise", "full_mask"],
            "--arch nonautoregressive_transformer needs tgt_tokens beside source and prefix",
        ),
        (
            ["--arch", "levenshtein_transformer", "--task", "translation_lev"],
            "--arch levenshtein_transformer needs tgt_tokens",
        ),
        (["--arch", "cmlm_transformer"], "--arch cmlm_transformer needs tgt_tokens"),
        (["--arch", "transformer_lm", "--task", "language_modeling"], "--arch transformer_lm is no encoder-decoder"),
        (["--arch", "roberta_base", "--task", "masked_lm"], "--arch roberta_base is no encoder-decoder"),
        (["--arch", "transformer", "--quant-noise-scalar", 0.5], "--quant-noise-scalar is for GPUs"),
        (["--arch", "transformer", "--num-batch-buckets", 3], "--num-batch-buckets is 3"),
        (["--arch", "transformer", "--fp16"], "--fp16 is for GPUs, and this training is on the CPU"),
        (["--arch", "transformer", "--memory-efficient-bf16"], "--memory-efficient-bf16 is for TPUs"),
        (["--arch", "transformer", "--tpu"], "--tpu is given and torch_xla is not installed"),
        (["--arch", "transformer", "--bf16", "--amp"], "--bf16 and --amp are both given"),
    ],
)
def test_what_cannot_train_is_refused_before_anything_is_written(data, tmp_path, refused, flags, part):
    with refused() as line:
        fit(data, tmp_path / "m", "--kd-weight", 0, *flags)
    assert part in line[0]
    assert not (tmp_path / "m").exists()


@pytest.mark.parametrize(
    "flags, part",
    [
        (["--arch", "transformer", "--encoder-attention-heads", 3], "AssertionError: embed_dim must be divisible"),
        (
            ["--arch", "transformer", "--encoder-attention-heads", 0],
            "--arch transformer cannot be built with its flags",
        ),
        (["--arch", "fconv", "--encoder-layers", "nonsense"], "--arch fconv cannot be built with its flags (NameError"),
        (
            ["--arch", "transformer", "--task", "translation_from_pretrained_bart", "--langs", "aa,bb"],
            "TranslationFromPretrainedBARTTask cannot read its 'train'",
        ),
        (
            ["--arch", "transformer", "--task", "translation_from_pretrained_xlm"],
            "--task translation_from_pretrained_xlm cannot be set up",
        ),
    ],
)
def test_what_fairseq_itself_does_not_build_takes_one_line(data, tmp_path, refused, flags, part):
    with refused() as line:
        fit(data, tmp_path / "m", "--kd-weight", 0, *flags)
    assert part in line[0]


@pytest.mark.parametrize(
    "arch, part",
    [
        ("nonautoregressive_transformer", "which needs tgt_tokens beside source and prefix"),
        ("multilingual_transformer", "a model for each of several language pairs"),
    ],
)
def test_teachers_that_cannot_be_asked_are_refused(data, teacher, tmp_path, refused, arch, part):
    state = torch.load(teacher, weights_only=True)
    state["cfg"]["model"].arch = arch
    torch.save(state, tmp_path / "teacher.pt")
    with refused() as line:
        train(data, tmp_path / "m", "--teacher-path", tmp_path / "teacher.pt")
    assert f"teacher {tmp_path / 'teacher.pt'} is of --arch {arch}, {part}" in line[0]
    assert not (tmp_path / "m").exists()


@pytest.mark.parametrize("name", TEACHERS)
def test_a_store_has_what_the_teacher_says_of_each_pair_alone(data, teachers, tmp_path, name, capsys):
    """Batches of a store are sorted by target length; a sentence alone has no order that could be wrong."""
    path, out = teachers(name), tmp_path / "store"
    assert (
        cli.main(
            [
                "teacher-store",
                "--teacher-path",
                str(path),
                "--data",
                str(data),
                "--out",
                str(out),
                "--top-k",
                "16",
                "--temperatures",
                "1",
                "--precision",
                "fp32",
                "--device",
                "cpu",
            ]
        )
        == 0
    )
    opened, symbols = TeacherStore.open(out), read_symbols(str(data), LANGS)
    live = LiveTeacher.load([str(path)], symbols, str(data), None)
    for split in ("train", "valid"):
        (dataset,) = fairseq_io.translation_data(str(data), LANGS, split)
        for item in map(dataset.__getitem__, range(0, len(dataset), 7)):
            pair = item["source"], item["target"]
            net_input, target = fairseq_io.net_input([pair], dataset.tgt_dict.pad(), dataset.tgt_dict.eos())
            asked = live.log_probs(net_input, target.ne(dataset.tgt_dict.pad()))
            record = opened.layout.decode(opened.lookup([tuple(side.numpy() for side in pair)]))
            stored = torch.full_like(asked, math.nan).scatter(1, record.ids, record.log_probs)  # all 16 symbols
            torch.testing.assert_close(stored, asked, rtol=1e-4, atol=1e-4)
            torch.testing.assert_close(asked.exp().sum(-1), torch.ones(len(asked)))


@pytest.mark.parametrize(
    "kind, name",
    [
        *(("--teacher-path", name) for name in ("lstm", "transformer_align", "adaptive-softmax")),
        ("--teacher-store", "lstm"),
    ],
)
def test_their_opinion_is_distilled(data, teachers, tmp_path, name, kind, capsys):
    source = path = teachers(name)
    if kind == "--teacher-store":
        source = tmp_path / "store"
        cli.main(
            [
                "teacher-store",
                "--teacher-path",
                str(path),
                "--data",
                str(data),
                "--out",
                str(source),
                "--top-k",
                "4",
                "--temperatures",
                "2",
                "--device",
                "cpu",
            ]
        )
    assert updates(fit(data, tmp_path / "m", kind, source, "--temperature", 2, *TRAINED["transformer"])) == 2


def test_an_adaptive_softmax_gives_fairseqs_own_probabilities_and_a_gradient(data, teachers):
    model = fairseq_io.load_model(str(teachers("adaptive-softmax")), {"data": str(data)}).eval()
    features = torch.randn(5, 16, generator=torch.Generator().manual_seed(1))
    with torch.no_grad():
        theirs = model.get_normalized_probs((features.unsqueeze(0), {}), log_probs=True).squeeze(0)
    features.requires_grad_()
    ours = fairseq_io.log_probs(model, features, ({},))
    torch.testing.assert_close(ours, theirs)
    ours.exp().sum(-1).sum().backward()  # always 5: its gradient is 0
    torch.testing.assert_close(features.grad, torch.zeros_like(features), atol=1e-6, rtol=0)


class TestBf16:
    """--bf16 on a processor without TPU or GPU."""

    def test_matrices_are_multiplied_in_bfloat16_and_checkpoints_are_float32(self, data, teacher, tmp_path):
        kinds = set()

        def multiplied(module, arguments, output):
            if type(module) is torch.nn.Linear:
                kinds.add(output.dtype)

        with torch.nn.modules.module.register_module_forward_hook(multiplied):
            train(data, tmp_path / "m", "--teacher-path", teacher, "--bf16", "--max-update", 2)
        assert kinds == {torch.bfloat16}
        state = read_checkpoint(str(tmp_path / "m" / "checkpoint_last.pt"), "checkpoint")
        assert {tensor.dtype for tensor in state["model"].values()} == {torch.float32}

    @pytest.mark.parametrize("name", ["transformer", "adaptive-softmax"])
    def test_it_is_close_to_float32(self, data, teacher, tmp_path, name):
        flags = ["--teacher-path", teacher, *TRAINED[name], "--dropout", 0, "--max-update", 1]
        half, whole = (
            read_checkpoint(str(fit(data, tmp_path / kind, *flags, *more)), "checkpoint")["extra_state"]
            for kind, more in (("half", ["--bf16"]), ("whole", []))
        )
        assert half["val_loss"] == pytest.approx(whole["val_loss"], rel=0.02)

    def test_a_resumed_training_equals_one_never_stopped(self, data, teacher, tmp_path):
        kd = "--teacher-path", teacher, "--bf16", "--no-epoch-checkpoints", "--disable-validation"
        train(data, tmp_path / "a", *kd, "--max-update", 5)
        train(data, tmp_path / "b", *kd, "--max-update", 3)
        train(data, tmp_path / "b", *kd, "--max-update", 5)
        whole, resumed = (
            read_checkpoint(str(tmp_path / name / "checkpoint_last.pt"), "checkpoint")["model"] for name in "ab"
        )
        for name in whole:
            assert torch.equal(whole[name], resumed[name]), name

    def test_an_lstm_without_kernels_for_it_is_refused(self, data, tmp_path, refused, monkeypatch, plugin):
        def missing(*arguments, **keywords):
            raise RuntimeError("could not create a primitive descriptor")

        monkeypatch.setattr(torch.nn.LSTM, "forward", missing)
        with refused() as line:
            fit(data, tmp_path / "m", "--kd-weight", 0, "--bf16", *TRAINED["lstm"])
        assert "--bf16: this processor has no LSTM in bfloat16, as --arch lstm needs" in line[0]
