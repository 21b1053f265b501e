"""`as_open_clip()` and `as_openai()`: code of those libraries runs on them as it is, and gives the same."""

import importlib.util
import pickle
from types import ModuleType
from typing import Any

import numpy as np
import pytest

from cliptok import Tokenizer
from support.references import open_clip_folder, reference

torch = pytest.importorskip("torch")

TEXTS = [
    "a cat",
    "",
    "“curly” &amp; quotes 😀 – café",
    "wow! !!!!",
    "<start_of_text> <|endoftext|> x",
    "very " * 100,
    "schÃ¶n",
]


def of_open_clip(name: str) -> ModuleType:
    """A module of the open_clip package alone: the package itself wants torchvision."""
    spec = importlib.util.spec_from_file_location(f"_open_clip_{name}", open_clip_folder() / f"{name}.py")
    assert spec is not None and spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


@pytest.fixture
def theirs() -> Any:
    return reference("open_clip").tok


def test_open_clip_has_the_references_values(theirs: Any) -> None:
    ours = Tokenizer("open_clip").as_open_clip()
    for length in (None, 77, 16, 248, 2):
        assert torch.equal(ours(TEXTS, context_length=length), theirs(TEXTS, context_length=length))
    assert torch.equal(ours("a cat"), theirs("a cat")) and ours("a cat").dtype == torch.long
    for text in TEXTS:
        assert ours.encode(text) == theirs.encode(text)
        assert ours.decode(ours.encode(text)) == theirs.decode(theirs.encode(text))
    assert ours.decode(ours("a cat")[0]) == theirs.decode(theirs("a cat")[0].tolist())
    for name in (
        "sot_token_id",
        "eot_token_id",
        "vocab_size",
        "all_special_ids",
        "context_length",
        "encoder",
        "decoder",
    ):
        assert getattr(ours, name) == getattr(theirs, name), name


def test_openai_has_the_references_values() -> None:
    theirs = reference("openai").tok
    ours = Tokenizer("openai").as_openai()
    for length in (77, 16):
        expected = theirs(TEXTS, context_length=length)
        for call in (ours, ours.tokenize):
            ids = call(TEXTS, context_length=length, truncate=True)
            assert torch.equal(ids.long(), expected) and ids.dtype == torch.int
    with pytest.raises(RuntimeError, match=r"texts\[5\] is too long: it has 102 tokens"):
        ours(TEXTS)
    assert [ours.encode(text) for text in TEXTS] == [theirs.encode(text) for text in TEXTS]
    assert ours.encoder["<|startoftext|>"] == ours.sot_token_id == 49406
    assert ours.encoder["<|endoftext|>"] == ours.eot_token_id == 49407


def test_open_clips_zero_shot_builder_runs_on_it(theirs: Any) -> None:
    class Model(torch.nn.Module):  # type: ignore[misc, name-defined]
        def __init__(self) -> None:
            super().__init__()
            torch.manual_seed(0)
            self.embedding = torch.nn.Embedding(49408, 8)

        def encode_text(self, text: Any, normalize: bool = False) -> Any:
            embedded = self.embedding(text).mean(1)
            return torch.nn.functional.normalize(embedded, dim=-1) if normalize else embedded

    build = of_open_clip("zero_shot_classifier").build_zero_shot_classifier
    templates = [lambda name: f"a photo of a {name}.", lambda name: f"“{name}”"]
    names = ["cat", "tench, Tinca tinca", "Crêpe"]
    made = [build(Model(), tok, names, templates) for tok in (Tokenizer("open_clip").as_open_clip(), theirs)]
    assert torch.equal(*made) and made[0].shape == (8, 3)


def test_training_data_code_and_clip_benchmark_take_it(theirs: Any) -> None:
    """open_clip_train's data sets take `tokenizer([text])[0]`, and clip_benchmark collates and moves the result."""
    from torch.utils.data import DataLoader

    ours = pickle.loads(pickle.dumps(Tokenizer("open_clip").as_open_clip()))  # to a worker
    rows = [[(tok([text])[0], 0) for text in TEXTS] for tok in (ours, theirs)]
    ids = [next(iter(DataLoader(samples, len(TEXTS))))[0] for samples in rows]
    assert torch.equal(*ids) and ids[0].dtype == torch.long
    texts_of_images = [["a cat", "two cats"], ["a dog"]]
    batch = ours([text for texts in texts_of_images for text in texts]).to("cpu")
    assert torch.equal(batch, theirs(["a cat", "two cats", "a dog"]))


def test_prompt_learners_and_web_ui_code_take_it(theirs: Any) -> None:
    """CoOp counts the ids of a name, and the web UIs put start and end around those of a prompt."""
    ours = Tokenizer("open_clip").as_open_clip()
    assert [len(ours.encode(name)) for name in ("cat", "golden retriever")] == [1, 2]
    ids = [ours.encoder["<start_of_text>"], *ours.encode("a, cat"), ours.encoder["<end_of_text>"]]
    assert ids == theirs("a, cat")[0][: len(ids)].tolist()
    assert [id for token, id in ours.encoder.items() if token == ",</w>"] == [267]


@pytest.mark.parametrize(("profile", "method"), [("transformers", "as_open_clip"), ("open_clip", "as_openai")])
def test_another_profile_is_refused(profile: str, method: str) -> None:
    with pytest.raises(ValueError, match=f"{method} needs the profile"):
        getattr(Tokenizer(profile), method)()


@pytest.mark.parametrize("profile", ["open_clip", "openai"])
def test_padding_is_skipped_with_the_other_special_tokens(profile: str) -> None:
    tok = Tokenizer(profile)
    row = tok.encode_batch(["a cat!"], 9)[0]
    assert tok.decode(row, skip_special_tokens=True).strip() == "a cat !"
    kept = tok.convert_ids_to_tokens(row, skip_special_tokens=True)
    assert kept == ["a</w>", "cat</w>", "!</w>"]
    assert tok.decode(row).count("!") == 5


@pytest.mark.parametrize("profile", ["transformers", "open_clip", "openai"])
@pytest.mark.parametrize("length", [20, 76, 248])
def test_the_tokenizers_own_length_holds_everywhere(profile: str, length: int) -> None:
    from cliptok.data import Collator

    tok, texts = Tokenizer(profile, model_max_length=length), ["very " * 300]
    ids = tok.encode_batch(texts, truncate=True)
    assert ids.shape == (1, length)
    assert np.array_equal(ids, tok(texts, padding="max_length", truncation=True, return_tensors="np").input_ids)
    assert Collator(tok)(texts).shape == (1, length)
    if profile == "openai":
        assert tok.as_openai()(texts, truncate=True).shape == (1, length)
        with pytest.raises(RuntimeError, match=f"max_length is {length}"):
            tok.encode_batch(texts)


def test_without_a_length_rows_have_77_and_giving_none_back_is_explained() -> None:
    tok = Tokenizer(model_max_length=int(1e30))
    assert tok.encode_batch(["very " * 300]).shape == (1, 77)
    with pytest.raises(ValueError, match=r"max_length is 1e\+30.*model_max_length = 77, or pass max_length=77"):
        tok(["a", "b c"], padding="max_length", truncation=True, max_length=tok.model_max_length, return_tensors="pt")
    with pytest.raises(ValueError, match="no model_max_length"):
        tok(["a", "b c"], padding="max_length", truncation=True, return_tensors="pt")
