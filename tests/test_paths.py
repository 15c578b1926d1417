"""Which way the criterion takes its loss, from features or from dense logits, and that both are the same."""

import pytest
import torch
from conftest import batch_of, build, gradients

from lskd_nmt import fairseq_io


@pytest.mark.parametrize(
    "flags",
    [
        ("--temperature", 2, "--kd-weight", 0.7, "--label-smoothing", 0.1, "--report-accuracy"),
        ("--temperature", 3, "--kd-weight", 1, "--temper", "teacher", "--top-k", 3, "--ignore-prefix-size", 1),
        ("--kd-weight", 0, "--label-smoothing", 0.1, "--smoothing-over", "vocabulary", "--report-accuracy"),
    ],
)
def test_loss_logs_and_gradients_from_features_are_those_from_dense_logits(flags, teacher, data, plugin):
    task, model, criterion = build(data, *flags, "--teacher-path", f"{teacher}:{teacher}")
    batch = batch_of(task)
    assert criterion.projection(model) is not None
    loss, slopes = gradients(criterion, model, batch)
    _, size, logs = criterion(model, batch)
    criterion.projection = lambda model: None
    dense_loss, dense_slopes = gradients(criterion, model, batch)
    _, dense_size, dense_logs = criterion(model, batch)
    torch.testing.assert_close(loss, dense_loss)
    for ours, theirs in zip(slopes, dense_slopes, strict=True):
        torch.testing.assert_close(ours, theirs, rtol=1e-4, atol=1e-5)
    assert size == dense_size
    numbers = [{key: float(value) for key, value in log.items()} for log in (logs, dense_logs)]
    assert numbers[0] == pytest.approx(numbers[1], rel=1e-5)


def test_features_that_stand_under_padding_change_nothing(teacher, data, plugin):
    task, model, criterion = build(data, "--temperature", 2, "--teacher-path", teacher)
    batch = batch_of(task)
    padding = batch["target"].eq(1)
    assert padding.any()
    loss, slopes = gradients(criterion, model, batch)

    def poison(module, inputs, output):
        return output[0].masked_fill(padding.unsqueeze(-1), float("nan")), *output[1:]

    for each in (model, *criterion._teacher.live.models):
        each.register_forward_hook(poison)
    poisoned_loss, poisoned_slopes = gradients(criterion, model, batch)
    assert loss.equal(poisoned_loss)
    assert all(ours.equal(theirs) for ours, theirs in zip(poisoned_slopes, slopes, strict=True))


@pytest.mark.parametrize(
    "setting, part",
    [
        ({"ddp_backend": "fully_sharded"}, "fully_sharded keeps the output projection in pieces"),
        ({"find_unused_parameters": True}, "takes an untied output projection for unused"),
    ],
)
def test_settings_that_need_dense_logits_get_them_and_are_told_once(setting, part, data, plugin, caplog):
    task, model, criterion = build(data, "--kd-weight", 0)
    batch = batch_of(task)
    for name, value in setting.items():
        assert hasattr(criterion.cfg, name)
        setattr(criterion.cfg, name, value)
    model.decoder.output_projection = torch.nn.Linear(16, len(task.target_dictionary), bias=False)  # untied
    with caplog.at_level("INFO"):
        for _ in range(2):
            criterion(model, batch)
    said = [record.getMessage() for record in caplog.records if "dense logits" in record.getMessage()]
    assert len(said) == 1 and part in said[0]


def test_a_projection_that_is_not_plain_is_left_alone(data, plugin):
    _, model, criterion = build(data, "--kd-weight", 0)
    weight, bias = fairseq_io.output_projection(model)
    assert weight is model.decoder.embed_tokens.weight and bias is None and fairseq_io.tied_output(model)
    model.decoder.adaptive_softmax = torch.nn.Identity()
    assert criterion.projection(model) is None
    model.decoder.adaptive_softmax = None
    model.decoder.output_projection = torch.nn.Sequential(model.decoder.output_projection)
    assert criterion.projection(model) is None
