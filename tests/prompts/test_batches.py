"""A batch equals its prompts one by one, in every dialect, on prompts that hypothesis makes."""

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from cliptok.encoder import TextConfig, TextEncoder
from cliptok.prompts import DIALECTS, Conditioner, Plan, PromptError

PIECES = st.sampled_from(
    [
        "a cat",
        ", ",
        " ",
        "(red:1.3)",
        "[blue]",
        "(dog)1.2",
        "fox++",
        "(",
        ")",
        "BREAK",
        "x. ",
        "(a:0.6)",
        "a b " * 20,
    ]
)
PROMPTS = st.lists(st.lists(PIECES, max_size=6).map("".join), min_size=1, max_size=4)


@pytest.fixture(scope="module")
def encoder():
    torch.manual_seed(0)
    made = TextEncoder(TextConfig(width=32, layers=2, heads=4, mlp=64)).eval()
    with torch.no_grad():
        made.final_layer_norm.bias += torch.rand(32)  # a mean of 0, as without it, is not to be restored
    return made


@pytest.mark.parametrize("dialect", DIALECTS)
def test_a_batch_equals_its_prompts(encoder, dialect):
    cond = Conditioner(encoder, dialect=dialect, on_error="literal", cache_bytes=0)

    @settings(max_examples=10)
    @given(PROMPTS)
    def check(prompts):
        try:
            plan = cond.plan_each(prompts, fill="last")
        except PromptError as error:
            if "nothing to encode" in error.message:
                return
            raise
        assert Plan.from_json(plan.to_json()) == plan
        batch = cond.encode(plan).prompt_embeds
        for row, prompt in enumerate(prompts):
            alone = cond(prompt, negative=False).prompt_embeds[0]
            assert len(alone) == plan.chunks[row][0].positions
            torch.testing.assert_close(batch[row, : len(alone)], alone, rtol=1e-4, atol=1e-5)

    check()
