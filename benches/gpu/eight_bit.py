"""fp8 beside half precision: how near, and how much faster."""

from collections.abc import Iterator
from functools import partial
from typing import Any

import torch
from encoder_peer import compare
from settings import DEVICE, Settings, check, relative
from towers import captions, pair, zero_shot

from cliptok import Tokenizer
from cliptok.encoder.sharing.eight_bit import FLOAT8, EightBit, product, quantized


@torch.inference_mode()
def run(settings: Settings) -> Iterator[dict[str, Any]]:
    if not settings.computes or torch.cuda.get_device_capability(DEVICE) < (8, 9):
        yield {"what": "fp8", "skipped": "needs a device that computes, of capability 8.9"}
        return
    tokenizer, texts = Tokenizer(), captions(settings)
    for activation in (None, "quick_gelu", "gelu"):
        yield {"what": f"fp8 product after {activation}", "error": _product(activation, settings)}
    for kind in ("float16", "bfloat16"):
        encoder, _ = pair(getattr(torch, kind), settings)
        rounded = encoder.quantize("fp8")
        agreement = rounded.agreement(encoder, sorted(set(texts))[:: settings.some(20, 1)], tokenizer)
        check(1 - agreement.cosine_mean, 0.05, "fp8", settings)
        for name, chosen in (("captions", texts), ("zero-shot", zero_shot(settings))):
            half = partial(encoder.encode, chosen, tokenizer)
            rounded.warm_up(), encoder.warm_up()
            yield {
                "what": f"fp8, {name}",
                "dtype": kind,
                "count": len(chosen),
                "agreement": agreement._asdict(),
                **compare(
                    DEVICE,
                    5,
                    partial(rounded.encode, chosen, tokenizer),
                    len(chosen),
                    {"half": lambda _, half=half, chosen=chosen: (half, len(chosen))},
                ),
            }


def _product(activation: str | None, settings: Settings) -> float:
    """Against float64 on the operands as they were rounded."""
    x, layer = torch.randn(333, 768, device=DEVICE, dtype=torch.float16), torch.nn.Linear(768, 3072, device=DEVICE)
    exact = {None: x, "gelu": torch.nn.functional.gelu(x.double()), "quick_gelu": x * torch.sigmoid(1.702 * x.double())}
    eight, rows = EightBit.of(layer.half(), FLOAT8), quantized(x, FLOAT8, activation)
    values, weight = rows.values.double() * rows.scale[:, None], eight.weight.double() * eight.scale[:, None]
    check(relative(values, exact[activation]), 0.04, "rounding to fp8", settings)
    found = product(rows, eight, torch.float16)
    return check(relative(found, values @ weight.t() + eight.bias.double()), 5e-3, "fp8 product", settings)
