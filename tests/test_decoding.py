"""A student's own translations and a teacher's features without padding, against fairseq's generator and its models."""

import pytest
import torch
from conftest import batch_of, build

from lskd_nmt import fairseq_io
from lskd_nmt.fairseq_io.inference import plain_transformer

PAD, EOS = 1, 2
BOTH = ("encoder", "decoder")
LSTM = ["--arch", "lstm", "--encoder-hidden-size", 16, "--decoder-hidden-size", 16, "--decoder-out-embed-dim", 16]
KINDS = {
    "post-norm": [],
    "pre-norm": [f"--{side}-normalize-before" for side in BOTH],
    "learned places": [f"--{side}-learned-pos" for side in BOTH],
    "no places": ["--no-token-positional-embeddings", "--layernorm-embedding", "--activation-fn", "tanh"],
}


@pytest.fixture
def decoding(plugin):
    from user_dir.criterions import decoding

    return decoding


def varied(data, *flags):
    """A task and a model in double precision whose translations differ, and of which some do not end."""
    task, model, _ = build(data, "--kd-weight", 0, "--decoder-layers", 2, "--encoder-layers", 2, *flags)
    output = getattr(model.decoder, "output_projection", None)
    if output is not None:  # of its own, as a shared one repeats the symbol before
        output.weight = torch.nn.Parameter(output.weight.data.clone())
    redraw(model, 1)
    return task, model.double().train()


def redraw(model, seed):
    """Other weights, so large that what is attended to decides the next symbol."""
    generator = torch.Generator().manual_seed(seed)
    for weight in model.parameters():
        if weight.dim() == 2:
            weight.data.copy_(torch.randn(weight.shape, generator=generator) * 1.2 * weight.size(1) ** -0.5)


@pytest.mark.parametrize("kind", KINDS)
def test_the_most_probable_symbols_are_those_of_fairseqs_generator(data, decoding, kind):
    task, model = varied(data, *KINDS[kind])
    model.eval()
    net_input, longest, lengths = batch_of(task, 40)["net_input"], 16, set()
    assert net_input["src_tokens"].eq(PAD).any() and plain_transformer(model)

    def choose(logits, sentences, step):
        logits[:, EOS] -= torch.inf if step == 0 else 0  # as fairseq's, which gives no empty translation
        return decoding.most_probable(logits, sentences, step)

    for seed in range(3):
        redraw(model, seed)
        found = decoding.decoded(model, net_input, torch.full((40,), longest), PAD, EOS, choose)
        generated = fairseq_io.generate(
            [model],
            task.target_dictionary,
            net_input,
            beam=1,
            sampling_topk=None,
            temperature=1.0,
            len_penalty=1.0,
            max_len_a=0,
            max_len_b=longest,
        )
        ours = [[symbol for symbol in row if symbol not in (PAD, EOS)] for row in found.tolist()]
        assert ours == [best[0][0] for best in generated]
        lengths |= {len(row) for row in ours}
    assert longest in lengths and len(lengths) > 2  # some end, and some are cut off


@pytest.mark.parametrize("flags", [[], KINDS["pre-norm"], LSTM])
def test_a_sentence_that_ends_changes_no_other(data, decoding, flags):
    """All numbers in one batch, and each sentence alone; and by fairseq's own incremental state."""
    task, model = varied(data, *flags)
    net_input = batch_of(task, 12)["net_input"]
    numbers = torch.rand(12, 15, dtype=torch.float64, generator=torch.Generator().manual_seed(1))
    limits = torch.arange(4, 16)

    def drawn(rows):
        lengths = net_input["src_lengths"][rows]
        part = {"src_tokens": net_input["src_tokens"][rows, -int(lengths.max()) :], "src_lengths": lengths}
        choose = decoding.drawn_with(numbers[rows])
        return decoding.decoded(model, part, limits[rows], PAD, EOS, choose).tolist()

    together = drawn(torch.arange(12))
    for row, expected in enumerate(together):
        alone = drawn(torch.tensor([row]))[0]
        assert alone == expected[: len(alone)] and set(expected[len(alone) :]) <= {PAD}
    assert len({row.count(PAD) for row in together}) > 1


def test_fairseqs_own_state_gives_the_same_samples(data, decoding, monkeypatch):
    task, model = varied(data)
    net_input = batch_of(task, 30)["net_input"]
    numbers = torch.rand(30, 12, dtype=torch.float64, generator=torch.Generator().manual_seed(1))
    limits, choose = torch.full((30,), 12), decoding.drawn_with(numbers)
    cached = decoding.decoded(model, net_input, limits, PAD, EOS, choose)
    assert model.training
    monkeypatch.setattr(decoding, "plain_transformer", lambda model: None)
    assert decoding.decoded(model, net_input, limits, PAD, EOS, choose).equal(cached)


def test_a_number_chooses_the_symbol_in_whose_share_it_lies(decoding):
    logits = torch.tensor([0.5, 0.0, 0.25, 0.25]).log().expand(6, -1)
    numbers = torch.tensor([[0.0, 0.4999, 0.5001, 0.7499, 0.7501, 1 - 2**-53]], dtype=torch.float64).T
    assert decoding.drawn_with(numbers)(logits, torch.arange(6), 0).tolist() == [0, 0, 2, 2, 3, 3]
    certain = torch.tensor([[-torch.inf, 3.0, -torch.inf]])
    for number in (0.0, 1 - 2**-53):
        assert decoding.drawn_with(torch.tensor([[number]], dtype=torch.float64))(certain, torch.tensor([0]), 0) == 1


@pytest.mark.parametrize("kind", KINDS)
def test_features_without_padding_are_the_models_own(data, kind):
    task, model = varied(data, *KINDS[kind])
    net_input = dict(batch_of(task, 20)["net_input"])
    previous = net_input["prev_output_tokens"].clone()
    previous[3, 2] = PAD  # inside of a sentence, where no place is counted
    previous[4] = previous[4].roll(int(previous[4].eq(PAD).sum()))  # padded on the left
    net_input["prev_output_tokens"] = previous
    model.eval()
    plain = plain_transformer(model)
    found = plain.features(previous, plain.encode(net_input["src_tokens"]))
    expected = model(**net_input, features_only=True)[0]
    real = previous.ne(PAD)
    assert not real.all()
    torch.testing.assert_close(found[real], expected[real], rtol=0, atol=1e-5)  # fairseq attends in float32
    assert not found[~real].any() and not found.requires_grad


@pytest.mark.parametrize(
    "flags",
    [
        LSTM,
        ["--cross-self-attention"],
        ["--adaptive-softmax-cutoff", "5,10"],
        ["--quant-noise-pq", 0.1],
    ],
)
def test_models_with_further_parts_are_left_to_fairseq(data, flags):
    assert plain_transformer(varied(data, *flags)[1]) is None
