"""compel itself, installed: equal parses and equal embeddings on prompts that hypothesis makes."""

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from cliptok.prompts import Conditioner, Planner, PromptError

compel = pytest.importorskip("compel")
pytest.importorskip("transformers")

WORDS = [
    "cat",
    "a red",
    "dog.",
    "c++",
    "x, y",
    "1.5",
    "well-known",
    r"\(b\)",
    r"d\+",
    '"',
    "(",
    ")",
    " ",
    ",",
    "-",
    "!",
    "e.g. 4k.",
    "many plain words, and more",
    "foo,bar",
    "x .y",
    "a\u00a0b\u3000c",
    "withLora useLora(",
    "= y",
]
PROMPTS = st.recursive(
    st.sampled_from(WORDS),
    lambda inner: st.one_of(
        st.lists(inner, min_size=1, max_size=4).map(" ".join),
        st.tuples(inner, st.sampled_from(["+", "--", "1.3", "0.5", "0", ""])).map(lambda p: f"({p[0]}){p[1]}"),
        st.tuples(inner, st.sampled_from(["++", "-", "1.1", ""])).map(lambda p: f'"{p[0]}"{p[1]}'),
    ),
    max_leaves=6,
)
WHOLE = st.one_of(
    PROMPTS,
    st.tuples(PROMPTS, PROMPTS).map(lambda p: f'("{p[0]}", "{p[1]}").blend(0.3, 0.9)'),
    st.tuples(PROMPTS, PROMPTS).map(lambda p: f'("{p[0]}", "{p[1]}").and(1, 0.5)'),
)


def deep(text: str) -> bool:
    """Whether compel's parser would take too long: some seconds from three brackets inside one another."""
    depth = most = 0
    for character in text:
        depth += (character == "(") - (character == ")")
        most = max(most, depth)
    return most > 2 or text.count('"') > 6


def theirs(text):
    parsed = compel.Compel.parse_prompt_string(text)
    found = []
    for prompt, weight in zip(parsed.prompts, parsed.weights, strict=True):
        members = prompt.prompts if hasattr(prompt, "prompts") else [prompt]
        found.append((weight, [[(part.text, part.weight) for part in member.children] for member in members]))
    return found


@settings(max_examples=150)
@given(WHOLE)
def test_parses_are_equal(text):
    if deep(text):
        return
    try:
        expected = theirs(text)
    except Exception:
        expected = None
    try:
        parsed = Planner("compel").parse(text)
    except PromptError:
        assert not expected, text
        return
    ours = [
        (part.weight, [[(piece.text, piece.weight) for piece in member.pieces] for member in part.members])
        for part in parsed.parts
    ]
    assert ours == expected, text


@pytest.fixture(scope="module")
def pair(tmp_path_factory):
    from transformers import CLIPTextConfig, CLIPTextModel, CLIPTokenizer

    from cliptok import Tokenizer

    folder = tmp_path_factory.mktemp("tokenizer")
    Tokenizer().save_pretrained(folder)
    tokenizer = CLIPTokenizer.from_pretrained(folder)
    torch.manual_seed(0)
    config = CLIPTextConfig(
        hidden_size=32, intermediate_size=64, projection_dim=32, num_attention_heads=4, num_hidden_layers=2
    )
    encoder = CLIPTextModel(config).eval()
    reference = compel.Compel(tokenizer=tokenizer, text_encoder=encoder, truncate_long_prompts=False)
    return reference, Conditioner(encoder, tokenizer, dialect="compel")


def test_embeddings_are_equal(pair):
    reference, cond = pair

    @settings(max_examples=40)
    @given(WHOLE)
    def check(text):
        if deep(text):
            return
        try:
            plan = cond.plan(text, negative=False)
        except PromptError:
            return
        try:
            expected = reference(text)
        except TypeError:
            return  # a weight on nothing, which compel cannot mask
        ours = cond.encode(plan).prompt_embeds
        assert (ours - expected).abs().max() <= 2e-5 * expected.abs().max(), text

    check()
