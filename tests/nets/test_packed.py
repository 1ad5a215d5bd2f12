"""Packed BERTs compute what the network does: exactly, in halves, and nearly so in bytes."""

import pytest
import torch
from transformers import BertConfig, BertModel

from clinbert_spacy.nets import int8, packed
from clinbert_spacy.nets.bert import encode_bert
from clinbert_spacy.nets.int8 import measure_ranges, pack_int8, split_neurons, to_bytes
from clinbert_spacy.nets.packed import can_pack, pack

needs_packing = pytest.mark.skipif(not can_pack(), reason="this build of torch does not pack")
needs_bytes = pytest.mark.skipif(
    not (can_pack() and int8.can_pack_int8() and torch.cpu._is_avx512_supported()),
    reason="int8 products are slow or missing here",
)


@pytest.fixture
def bert():
    config = BertConfig(
        vocab_size=60, hidden_size=64, num_hidden_layers=2, num_attention_heads=4,
        intermediate_size=128, max_position_embeddings=40, hidden_act="gelu",
    )  # fmt: skip
    network = BertModel(config, add_pooling_layer=False).eval()
    for weight in network.parameters():
        torch.nn.init.normal_(weight, std=0.2)
    for module in network.modules():
        if isinstance(module, torch.nn.LayerNorm):
            torch.nn.init.normal_(module.weight, mean=1.0, std=0.2)
    return network


@pytest.fixture
def batch():
    ids = torch.randint(5, 60, (6, 30))
    mask = torch.ones_like(ids)
    mask[0, 20:], mask[3, 1:] = 0, 0
    return ids, mask


def relative(found, expected, mask):
    found, expected = found[mask > 0], expected[mask > 0]
    return float((found - expected).norm() / expected.norm())


@needs_packing
def test_float32_equals_the_network(bert, batch):
    extra = torch.randn(6, 30, 64)
    with torch.inference_mode():
        expected = encode_bert(bert, *batch, extra=extra)
        found = pack(bert, torch.float32)(*batch, extra)
    assert found.dtype == torch.float32
    assert relative(found, expected, batch[1]) < 1e-5


@needs_packing
def test_bfloat16_is_near(bert, batch):
    with torch.inference_mode():
        expected = encode_bert(bert, *batch)
        found = pack(bert, torch.bfloat16)(*batch)
    assert found.dtype == torch.float32
    assert 0 < relative(found, expected, batch[1]) < 0.05


@needs_packing
def test_packed_weights_are_copies(bert, batch):
    with torch.inference_mode():
        reader = pack(bert, torch.float32)
        before = reader(*batch)
    for layer in bert.encoder.layer:
        for weight in layer.parameters():
            torch.nn.init.zeros_(weight)
    with torch.inference_mode():
        assert torch.equal(reader(*batch), before)


@needs_bytes
@pytest.mark.parametrize("scores", [torch.float32, torch.bfloat16])
def test_int8_is_near(bert, batch, scores):
    with torch.inference_mode():
        expected = encode_bert(bert, *batch)
        ranges = measure_ranges(bert, torch.randint(5, 60, (8, 40)))
        found = pack_int8(bert, ranges, scores)(*batch)
    assert 0 < relative(found, expected, batch[1]) < 0.1


@needs_bytes
def test_int8_does_not_depend_on_company(bert, batch):
    ids, _ = batch
    with torch.inference_mode():
        reader = pack_int8(bert, measure_ranges(bert, ids), torch.float32)
        together = reader(ids, torch.ones_like(ids))
        alone = torch.cat([reader(row[None], torch.ones(1, 30)) for row in ids])
    assert relative(together, alone, torch.ones_like(ids)) < 1e-5


@needs_bytes
def test_a_neuron_that_fires_high_does_not_spoil_the_others(bert, batch, monkeypatch):
    for layer in bert.encoder.layer:
        # one neuron that is always far above the others, with little to say
        layer.intermediate.dense.bias.data[7] = 150.0
        layer.output.dense.weight.data[:, 7] *= 0.01
    with torch.inference_mode():
        expected = encode_bert(bert, *batch)
        ranges = measure_ranges(bert, batch[0])
        split = relative(pack_int8(bert, ranges, torch.float32)(*batch), expected, batch[1])
        monkeypatch.setattr(int8, "EXTRA", 0)
        whole = relative(pack_int8(bert, ranges, torch.float32)(*batch), expected, batch[1])
    assert split < 0.6 * whole


def test_operators_of_another_order_are_left_alone(monkeypatch):
    monkeypatch.setattr(int8, "ORDER", ["bias", "output_scale"])
    assert not int8.can_pack_int8()


def test_parts_of_neurons_add_up():
    highest = torch.tensor([4.0, 3.9, 40.0, 4.1, 9.0] + [4.0] * 59)
    reach, parts = split_neurons(highest)
    assert int(parts.sum()) == len(highest) + int8.EXTRA
    assert (parts * reach >= highest * int8.MARGIN - 1e-4).all()
    x = torch.linspace(-3, 40, 200)
    number = torch.arange(int(parts[2]))[:, None]
    pieces = torch.nn.functional.gelu(x - number * reach).clamp(max=reach)
    assert torch.allclose(pieces.sum(0), torch.nn.functional.gelu(x), atol=0.35)


def test_splitting_is_bounded_however_flat_the_ranges_are():
    reach, parts = split_neurons(torch.zeros(16))
    assert reach > 0 and int(parts.sum()) == 16 + int8.EXTRA


def test_rounding_saturates():
    found = to_bytes(torch.tensor([[-1e9, -128.4, -0.5, 0.4, 126.6, 1e9]]))
    assert found.dtype == torch.uint8
    assert found.tolist() == [[0, 0, 128, 128, 255, 255]]


@pytest.mark.parametrize("size", [0.5, 60.0])
@pytest.mark.parametrize("at_once", [1, 1 << 21])
def test_attention_in_halves(size, at_once, monkeypatch):
    monkeypatch.setattr(packed, "SCORES", at_once)
    joint = torch.randn(3 * 10, 3 * 32)
    joint[:, :64] *= size  # large scores take the way with the maximum
    bias = torch.zeros(3, 1, 1, 10)
    bias[1, ..., 6:] = -1e4
    exact = packed.attend(joint.bfloat16().float(), bias, 3, 4)
    found = packed.attend(joint.bfloat16(), bias.bfloat16(), 3, 4).float()
    assert torch.isfinite(found).all()
    # sharp attention turns the rounding of a score into another choice here and there
    assert (found - exact).abs().median() < 0.02
    assert ((found - exact).abs() < 0.1).float().mean() > (0.99 if size < 1 else 0.8)


@needs_packing
def test_what_linear_layers_read_is_shown(bert, batch):
    seen = []
    with torch.inference_mode():
        reader = pack(bert, torch.float32)
        reader(*batch, watch=lambda i, name, x: seen.append((i, name, x.shape[1])))
    widths = {"joint": 64, "output": 64, "inner": 64, "outer": 128}
    assert seen == [(i, name, width) for i in range(2) for name, width in widths.items()]
