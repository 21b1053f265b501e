"""What fails leaves the encoder and the tokenizer as they were."""

from __future__ import annotations

import copy

import pytest
import torch

from cliptok import Tokenizer
from cliptok.encoder import TextConfig, TextEncoder
from cliptok.encoder.weights import MAX_VECTORS
from cliptok.prompts import Conditioner

CONFIGS = {
    "plain": TextConfig(width=32, layers=2, heads=2, mlp=64),
    "projected": TextConfig(width=32, layers=2, heads=2, mlp=64, projection=16),
}


@pytest.fixture(params=sorted(CONFIGS))
def encoder(request):
    return TextEncoder(copy.deepcopy(CONFIGS[request.param]))


def state(encoder, tokenizer):
    """Everything that loading changes."""
    return (
        {name: value.clone() for name, value in encoder.state_dict().items()},
        [id(parameter) for parameter in encoder.parameters()],
        encoder.config.vocabulary,
        encoder.rows_without_inversions,
        tokenizer.get_vocab(),
    )


def same(first, second):
    return first[1:] == second[1:] and all(torch.equal(first[0][name], value) for name, value in second[0].items())


def of(vectors):
    return {"string_to_token": {"*": 265}, "string_to_param": {"*": vectors}, "name": "n"}


HOSTILE = {
    "a number": 5,
    "null": None,
    "a list": [[1.0] * 32],
    "no dimension": torch.tensor(1.0),
    "no vectors": torch.zeros(0, 32),
    "no width": torch.zeros(1, 0),
    "another width": torch.zeros(1, 31),
    "three dimensions": torch.zeros(1, 1, 32),
    "integers": torch.zeros(1, 32, dtype=torch.int8),
    "booleans": torch.zeros(1, 32, dtype=torch.bool),
    "complex": torch.zeros(1, 32, dtype=torch.complex64),
    "sparse": torch.zeros(1, 32).to_sparse(),
    "meta": torch.zeros(1, 32, device="meta"),
    "not a number": torch.full((1, 32), torch.nan),
    "beyond float32": torch.full((1, 32), 1e300, dtype=torch.float64),
    "too many": torch.zeros(MAX_VECTORS + 1, 32),
}


@pytest.mark.parametrize("what", sorted(HOSTILE))
def test_an_inversion_that_fails(encoder, what):
    tokenizer, vectors = Tokenizer(), HOSTILE[what]
    before = state(encoder, tokenizer)
    for source in (of(vectors), *((vectors, {"emb_params": vectors}) if isinstance(vectors, torch.Tensor) else ())):
        with pytest.raises(ValueError, match="vectors"):
            encoder.load_textual_inversion(source, tokenizer, "<new>")
    assert same(before, state(encoder, tokenizer))


@pytest.mark.parametrize("params", [None, 5, [torch.zeros(1, 32)], torch.zeros(1, 32)])
def test_an_inversion_whose_embeddings_have_no_names(encoder, params, tmp_path):
    """Other entries of the file are no embeddings then, nor is this one a file of another kind."""
    tokenizer = Tokenizer()
    before = state(encoder, tokenizer)
    torch.save({"string_to_param": params, "name": "n"}, tmp_path / "x.pt")
    with pytest.raises(ValueError, match=r"x\.pt: string_to_param is .*; expected Mapping"):
        encoder.load_textual_inversion(tmp_path / "x.pt", tokenizer, "<new>")
    assert same(before, state(encoder, tokenizer))


def test_an_inversion_whose_token_exists(encoder, tmp_path):
    torch.save({"photo</w>": torch.zeros(32)}, tmp_path / "x.bin")
    with pytest.raises(ValueError, match=r"x\.bin: token 'photo</w>' is in the tokenizer already"):
        encoder.load_textual_inversion(tmp_path / "x.bin", Tokenizer())


@pytest.mark.parametrize("token", [" ", "\n", "\u3000", " a", "a ", "a\n", "x" * 1001, "\ud800"])
def test_tokens_that_no_prompt_can_name(encoder, token, tmp_path):
    """One of white space alone was found between all words, so that every text had other ids."""
    tokenizer = Tokenizer()
    before = state(encoder, tokenizer)
    torch.save({token: torch.zeros(32)}, tmp_path / "x.bin")
    for source, given in ((torch.zeros(32), token), (tmp_path / "x.bin", None)):
        with pytest.raises(ValueError, match=r"white space|lone surrogate") as caught:
            encoder.load_textual_inversion(source, tokenizer, given)
        assert str(caught.value).isprintable()
    assert same(before, state(encoder, tokenizer))


@pytest.mark.parametrize("second", [torch.ones(2, 31), torch.full((2, 32), torch.nan), torch.ones(2, 32).int(), None])
def test_an_embedding_of_two_encoders_whose_second_fails(second):
    conditioner = Conditioner([TextEncoder(CONFIGS["projected"]) for _ in "lg"], family="sdxl", dialect="a1111")
    with pytest.raises((TypeError, ValueError), match=r"embedding 'emb'.* of encoder 'g'|the textual inversion is"):
        conditioner.add_embedding("emb", {"l": torch.ones(2, 32), "g": second})
    assert all(role.vectors is None and not role.inversions for role in conditioner.roles)
    assert conditioner.inversions == {"l": {}, "g": {}}


@pytest.mark.parametrize("params", [{}, {"*": torch.zeros(1, 32), "+": torch.zeros(1, 32)}])
def test_an_inversion_of_none_or_several_embeddings(encoder, params):
    with pytest.raises(ValueError, match="embeddings in string_to_param; expected one"):
        encoder.load_textual_inversion({"string_to_param": params}, Tokenizer(), "<new>")


def fail_in(where, monkeypatch):
    """Make a tokenizer's method, or with "memory" a new token table, raise MemoryError."""

    def fail(*_, **__):
        raise MemoryError(where)

    if where == "memory":
        monkeypatch.setattr(torch.nn, "Embedding", fail)
    else:
        monkeypatch.setattr(Tokenizer, where, fail)


@pytest.mark.parametrize("where", ["add_tokens", "convert_tokens_to_ids", "memory"])
def test_an_inversion_that_fails_on_the_way(encoder, where, monkeypatch):
    tokenizer = Tokenizer()
    before = state(encoder, tokenizer)

    fail_in(where, monkeypatch)
    with pytest.raises(MemoryError):
        encoder.load_textual_inversion(torch.ones(2, 32), tokenizer, "<new>")
    monkeypatch.undo()
    assert same(before, state(encoder, tokenizer))
    encoder.load_textual_inversion(torch.ones(2, 32), tokenizer, "<new>")


@pytest.mark.parametrize("where", ["remove_tokens", "memory"])
def test_unloading_that_fails(encoder, where, monkeypatch):
    tokenizer = Tokenizer()
    loaded = encoder.load_textual_inversion(torch.ones(2, 32), tokenizer, "<new>")
    before = state(encoder, tokenizer)

    fail_in(where, monkeypatch)
    with pytest.raises(MemoryError):
        loaded.unload()
    monkeypatch.undo()
    assert loaded.loaded and same(before, state(encoder, tokenizer))
    loaded.unload()
    assert len(tokenizer) == 49408 and encoder.config.vocabulary == 49408


@pytest.mark.parametrize("rows", [0, -1, 1.5, "x", True, [], 10**30, torch.tensor([1, 2])])
def test_a_resize_that_fails(encoder, rows):
    before = state(encoder, Tokenizer())
    for arguments in ({"new_num_tokens": rows}, {"pad_to_multiple_of": rows}):
        with pytest.raises((TypeError, ValueError), match=next(iter(arguments))):
            encoder.resize_token_embeddings(**arguments)
    assert same(before, state(encoder, Tokenizer()))


@pytest.mark.parametrize("value", [None, torch.nn.Linear(32, 32), torch.zeros(5, 32), torch.nn.Embedding(5, 31)])
def test_a_table_that_does_not_fit(encoder, value):
    before = state(encoder, Tokenizer())
    with pytest.raises((TypeError, ValueError), match="value"):
        encoder.set_input_embeddings(value)
    assert same(before, state(encoder, Tokenizer()))


DAMAGES = {
    "missing": lambda tensors, name: tensors.pop(name),
    "unexpected": lambda tensors, name: tensors.update({"x": torch.zeros(1)}),
    "shape": lambda tensors, name: tensors.update({name: torch.zeros(3)}),
    "a number": lambda tensors, name: tensors.update({name: 5}),
    "integers": lambda tensors, name: tensors.update({name: tensors[name].to(torch.int8)}),
    "complex": lambda tensors, name: tensors.update({name: tensors[name].to(torch.complex64)}),
    "meta": lambda tensors, name: tensors.update({name: tensors[name].to("meta")}),
    "sparse": lambda tensors, name: tensors.update({name: tensors[name].to_sparse()}),
}


@pytest.mark.parametrize("assign", [False, True])
@pytest.mark.parametrize("damage", sorted(DAMAGES))
def test_a_state_dict_that_fails(encoder, damage, assign):
    tensors = {name: value + 1 for name, value in encoder.state_dict().items()}
    DAMAGES[damage](tensors, sorted(tensors)[-1])
    before = state(encoder, Tokenizer())
    with pytest.raises((RuntimeError, ValueError)):
        encoder.load_state_dict(tensors, assign=assign)
    assert same(before, state(encoder, Tokenizer()))


@pytest.mark.parametrize("assign", [False, True])
def test_a_state_dict_that_loads(encoder, assign):
    """In place, and cast to the dtype and device that there were; with `assign` the given tensors themselves."""
    wanted = {name: (value + 1).half() for name, value in encoder.state_dict().items()}
    parameters = dict(encoder.named_parameters())
    result = encoder.load_state_dict(wanted, assign=assign)
    assert not result.missing_keys and not result.unexpected_keys
    for name, value in encoder.named_parameters():
        assert torch.equal(value.half(), wanted[name]) and value.requires_grad
        assert (value is parameters[name]) is not assign
        assert value.dtype == (torch.float16 if assign else torch.float32)
    del wanted["final_layer_norm.bias" if "final_layer_norm.bias" in wanted else "text_model.final_layer_norm.bias"]
    assert encoder.load_state_dict(wanted, strict=False).missing_keys
