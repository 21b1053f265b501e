"""`TextEncoder.quantize` on a CPU: near the encoder's own embeddings, a copy, and refused where it would be wrong.

fp8, which needs a GPU, is in `tests/recorded` and in `make gpu`.
"""

from __future__ import annotations

import pytest
import torch
import torch.nn.functional as F

from cliptok.encoder import TextConfig, TextEncoder
from cliptok.encoder import quantized as module
from cliptok.encoder.sharing.eight_bit import FLOAT8, INT8, EightBit, product, quantized
from support.towers import relative

TEXTS = [f"a {kind} of a {noun}" for kind in ("photo", "sketch", "bad photo") for noun in ("cat", "dog", "red bird")]


@pytest.fixture
def encoder():
    torch.manual_seed(0)
    return TextEncoder(TextConfig(width=128, layers=4, heads=2, mlp=256, projection=48)).eval()


@pytest.fixture
def vnni(monkeypatch):
    """The products are exact on any CPU; whether they are fast is asked apart."""
    monkeypatch.setattr(module, "_has_vnni", lambda: True)


@torch.no_grad()
@pytest.mark.parametrize("rows", [1, 17, 40])
def test_products_are_exact_up_to_the_rounding_of_their_operands(rows):
    torch.manual_seed(0)
    layer, x = torch.nn.Linear(64, 96), torch.randn(rows, 64) * torch.rand(rows, 1) * 100
    x[rows // 2] = 0
    x[-1] = torch.randn(64)
    eight, given = EightBit.of(layer, INT8), quantized(x, INT8)
    weight, values = eight.weight.double() * eight.scale[:, None], given.values.double() * given.scale[:, None]
    assert relative(product(given, eight, torch.float32), F.linear(values, weight, layer.bias.double())) < 1e-6
    assert float((values - x).abs().max() / x.abs().max()) < 1 / 250  # half a step of 127
    assert (eight.weight.abs().amax(1) == 127).all() and given.values[-1].abs().max() == 127


@torch.no_grad()
def test_float8_uses_its_range():
    layer = torch.nn.Linear(64, 96)
    eight = EightBit.of(layer, FLOAT8)
    assert (eight.weight.float().abs().amax(1) == 448).all()
    assert float((eight.weight.float() * eight.scale[:, None] - layer.weight).abs().max()) < 1 / 16 * 64**-0.5


@pytest.mark.parametrize("activation", ["gelu", "quick_gelu"])
def test_near_the_encoder_and_not_equal(vnni, tokenizer, activation):
    torch.manual_seed(0)
    config = TextConfig(width=128, layers=4, heads=2, mlp=256, projection=48, activation=activation)
    encoder = TextEncoder(config).eval()
    rounded = encoder.quantize("int8")
    found, exact = rounded.encode(TEXTS), encoder.encode(TEXTS)
    assert 1e-5 < relative(found, exact) < 0.05
    agreement = rounded.agreement(encoder, TEXTS)
    assert agreement.cosine_min > 0.999 and agreement.cosine_mean >= agreement.cosine_min
    assert agreement.nearest > 0.7 and agreement.ten_nearest > 0.9
    assert rounded.zero_shot(["cat", "dog"], ["a {}"]).shape == (2, 48)


def test_a_row_and_its_batch(vnni, encoder):
    """Scales are those of rows alone. The last bits of float32 decide how some values round, unless these are fixed."""
    rounded = encoder.quantize("int8")
    alone = torch.cat([rounded.encode([text]) for text in TEXTS])
    assert relative(rounded.encode(TEXTS), alone) < relative(alone, encoder.encode(TEXTS))
    exact = torch.cat([rounded.encode([text], batch_invariant=True) for text in TEXTS])
    assert torch.equal(rounded.encode(TEXTS, batch_invariant=True), exact)


def test_agreement_is_a_measure(vnni, encoder):
    """Of other weights it finds nothing that agrees, and of the same all."""
    rounded = encoder.quantize("int8")
    torch.manual_seed(1)
    other = TextEncoder(encoder.config).eval()
    assert rounded.agreement(other, TEXTS).cosine_mean < 0.9
    assert rounded.agreement(rounded._encoder, TEXTS) == pytest.approx((1, 1, 1, 1), abs=1e-6)
    with pytest.raises(ValueError, match="two at least"):
        rounded.agreement(encoder, TEXTS[:1])


def test_it_is_a_copy(vnni, encoder):
    state = {name: value.clone() for name, value in encoder.state_dict().items()}
    rounded = encoder.quantize("int8")
    before = rounded.encode(TEXTS)
    assert all(torch.equal(value, state[name]) for name, value in encoder.state_dict().items())
    with torch.no_grad():
        for weight in encoder.parameters():
            weight.zero_()
    assert torch.equal(rounded.encode(TEXTS), before)
    assert next(encoder.blocks()).mlp.fc1.weight.requires_grad


def test_what_it_cannot_do_is_refused(vnni, encoder, tmp_path):
    rounded = encoder.quantize("int8")
    with pytest.raises(TypeError, match="call the encoder that it was made of"):
        rounded(torch.zeros(1, 77, dtype=torch.long))
    for name in ("state_dict", "save_pretrained", "to", "train", "text_model"):
        with pytest.raises(AttributeError, match=f"in 8 bits has no {name}"):
            getattr(rounded, name)
    for call in (rounded.encode, lambda texts, cache: rounded.zero_shot(texts, ["{}"], cache=cache)):
        with pytest.raises(ValueError, match="cache: "):
            call(TEXTS, cache=tmp_path)


def test_encoders_that_cannot_be_quantized(vnni, encoder, monkeypatch):
    with pytest.raises(ValueError, match="'int4'; expected int8 or fp8"):
        encoder.quantize("int4")
    with pytest.raises(ValueError, match="fp8 is for CUDA, not cpu; take int8"):
        encoder.quantize("fp8")
    with pytest.raises(ValueError, match="int8 is for float32"):
        TextEncoder(encoder.config, dtype=torch.bfloat16).quantize("int8")
    with pytest.raises(ValueError, match="causal"):
        TextEncoder(TextConfig(width=64, layers=3, heads=1, mlp=64, causal=False)).quantize("int8")
    hook = next(encoder.blocks()).mlp.register_forward_hook(lambda *_: None)
    with pytest.raises(ValueError, match="hooks at"):
        encoder.quantize("int8")
    hook.remove()
    monkeypatch.setattr(module, "_has_vnni", lambda: False)
    with pytest.raises(RuntimeError, match="int8 would be slower here"):
        encoder.quantize("int8")
