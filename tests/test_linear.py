"""Linear layers in blocks of rows, whose products another library may do: the same values, in a training, too."""

import pytest
import torch
from conftest import train
from torch.nn import functional

from lskd_nmt.losses import linear, products

ROUNDING = 1e-5  # relative, of sums of up to 2,000 numbers in float32


@pytest.fixture
def everywhere(monkeypatch):
    """Blocks on every processor, and of layers as small as a test's; oneDNN only where it is the faster one."""
    monkeypatch.setattr(linear, "onednn_is_faster", lambda: True)
    monkeypatch.setattr(linear, "LEAST_WIDTH", 8)


def asked(function, *tensors):
    """What a layer gives, and the gradient of a sum of it for each tensor."""
    inputs = [tensor.clone().requires_grad_() for tensor in tensors]
    out = function(*inputs)
    weights = torch.linspace(0.5, 1.5, out.numel()).view_as(out).to(out)
    return [out.detach(), *torch.autograd.grad((out * weights).sum(), inputs)]


@pytest.mark.parametrize("rows", [256, 300, 512, 1800])
@pytest.mark.parametrize("with_bias", [True, False])
def test_a_layer_in_blocks_is_the_layer(everywhere, rows, with_bias):
    torch.manual_seed(1)
    tensors = [torch.randn(rows, 1, 24), torch.randn(40, 24), torch.randn(40)][: 2 + with_bias]
    assert linear.takes(*tensors[:2], None)
    ours = asked(linear.in_blocks(functional.linear), *tensors)
    exact = asked(functional.linear, *[tensor.double() for tensor in tensors])
    for mine, right in zip(ours, exact, strict=True):
        assert (mine - right).norm() <= ROUNDING * right.norm()


def test_the_blocks_are_all_rows_but_what_is_left_over():
    for rows in (0, 63, 64, 700, 2047):
        covered = [row for where in linear.blocks(rows) for row in range(where.start, where.stop)]
        assert covered == list(range(linear.whole_rows(rows))) and rows - len(covered) < 64


def test_layers_of_another_kind_stay_torchs_own(everywhere):
    x, w = torch.randn(512, 24), torch.randn(40, 24)
    assert linear.takes(x, w, None) and not linear.takes(x[:9], w, None)
    assert not linear.takes(x.double(), w.double(), None) and not linear.takes(x.bfloat16(), w.bfloat16(), None)
    with torch.autocast("cpu", torch.bfloat16):
        assert not linear.takes(x, w, None)


def test_what_torch_was_told_of_products_is_what_it_was_told_afterwards():
    before = torch.backends.mkldnn.matmul.fp32_precision
    with products.matrix_products("bfloat16"):
        assert torch.backends.mkldnn.matmul.fp32_precision == "bf16"
    assert torch.backends.mkldnn.matmul.fp32_precision == before
    assert not products.onednn_is_faster() or products.rounding_of_onednn() < products.LEAST_DIGITS


def test_a_training_has_the_same_curve(data, tmp_path, monkeypatch, everywhere):
    taken = []

    def curve(name):
        folder = train(data, tmp_path / name, "--kd-weight", 0, "--dropout", 0)
        state = torch.load(folder / "checkpoint_last.pt", weights_only=False)
        return [state["extra_state"]["val_loss"], state["extra_state"]["train_iterator"]["epoch"]]

    takes = linear.takes
    monkeypatch.setattr(linear, "LEAST_ROWS", 64)
    monkeypatch.setattr(linear, "takes", lambda *tensors: takes(*tensors) and not taken.append(1))
    ours = curve("blocks")
    assert taken
    monkeypatch.setattr(linear, "takes", lambda *tensors: False)
    assert ours == pytest.approx(curve("torch"), abs=2e-3)  # logged with three digits
