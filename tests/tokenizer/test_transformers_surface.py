"""What transformers' tokenizers have beside ids: pairs, words, encodings, setters; and code written for them."""

import copy
import io
import logging
import pickle
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

from cliptok import BatchEncoding, Tokenizer
from support.references import clip_files
from support.shared import live

torch = pytest.importorskip("torch")
transformers = pytest.importorskip("transformers")

TEXTS = ["a cat", "very " * 100, "“x” <|endoftext|> Hi!", ""]


@pytest.fixture
def theirs() -> Any:
    vocab, merges = clip_files()
    return transformers.CLIPTokenizer(vocab=dict(vocab), merges=list(merges), model_max_length=77)


def plain(encoding: Any) -> dict[str, Any]:
    return {name: value.tolist() if hasattr(value, "tolist") else value for name, value in encoding.items()}


CALLS: list[tuple[tuple[Any, ...], dict[str, Any]]] = [
    (("a cat", "b dog"), {}),
    ((["a", "b"], ["c d", "e"]), {"padding": True, "return_tensors": "pt"}),
    (([("a", "b"), ("c", "d e")],), {"truncation": "only_second", "max_length": 6}),
    ((["two", "words here"],), {"is_split_into_words": True}),
    (("a <|endoftext|> b",), {"split_special_tokens": True}),
    (("a",), {"text_target": "b"}),
]


@pytest.mark.parametrize(("arguments", "options"), CALLS)
def test_what_clip_has_no_use_for_is_answered_as_by_transformers(theirs: Any, arguments: Any, options: Any) -> None:
    ours = Tokenizer()(*arguments, **options)
    assert isinstance(ours, BatchEncoding)
    assert plain(ours) == plain(theirs(*arguments, **options))


@pytest.mark.parametrize(
    "options", [{}, {"padding": True, "return_tensors": "np"}, {"truncation": True, "max_length": 6, "padding": True}]
)
def test_words_and_characters_of_an_encoding(theirs: Any, options: dict[str, Any]) -> None:
    ours, expected = Tokenizer()(TEXTS, **options), theirs(TEXTS, **options)
    for row in range(len(TEXTS)):
        for name in ("tokens", "word_ids", "sequence_ids"):
            assert getattr(ours, name)(row) == getattr(expected, name)(row), name
    assert ours.char_to_token(0, 2) == expected.char_to_token(0, 2)
    assert ours.token_to_chars(0, 1) == expected.token_to_chars(0, 1)
    assert ours.word_to_tokens(2, 0) == expected.word_to_tokens(2, 0)
    assert ours[1].ids == expected[1].ids and ours.is_fast
    sent = pickle.loads(pickle.dumps(ours))
    assert plain(sent) == plain(ours)
    with pytest.raises(ValueError, match="word_ids needs the encoding of a call"):
        sent.word_ids()


def test_encodings_of_a_tokenizer_that_changed_are_refused() -> None:
    tok = Tokenizer()
    encoding = tok("a <x>")
    tok.add_tokens(["<x>"])
    with pytest.raises(ValueError, match="has changed since this encoding was made"):
        encoding.tokens()


@pytest.mark.parametrize("profile", ["transformers-slow", "open_clip", "openai"])
def test_other_profiles_refuse_what_they_have_no_reference_for(profile: str) -> None:
    with pytest.raises(ValueError, match="text_pair needs the profile 'transformers'"):
        Tokenizer(profile)("a", "b")
    with pytest.raises(ValueError, match="needs the profile 'transformers'"):
        Tokenizer(profile)("a").word_ids()


def test_methods_have_the_references_values(theirs: Any, tmp_path: Path) -> None:
    tok = Tokenizer()
    for name in ("num_special_tokens_to_add",):
        assert [getattr(tok, name)(pair) for pair in (False, True)] == [getattr(theirs, name)(p) for p in (False, True)]
    ids = theirs("a", "b")["input_ids"]
    assert tok.build_inputs_with_special_tokens(ids[1:2], ids[4:5]) == ids
    assert tok.get_special_tokens_mask(ids[1:2], ids[4:5]) == [1, 0, 1, 1, 0, 1]
    assert (
        tok.create_token_type_ids_from_sequences([1], [2])
        == theirs("a", "b", return_token_type_ids=True).token_type_ids
    )
    assert tok.max_len_single_sentence == theirs.max_len_single_sentence
    assert tok.max_len_sentences_pair == theirs.max_len_sentences_pair
    assert tok.encode_plus("a", "b").input_ids == ids == tok.batch_encode_plus([("a", "b")]).input_ids[0]
    assert tok.tokenize("a cat", "b") == theirs.tokenize("a cat", "b")
    assert tok.convert_tokens_to_string(tok.tokenize("a cat's é")) == "a cat 's é"
    assert tok.clean_up_tokenization("a , b n't") == theirs.clean_up_tokenization("a , b n't")
    assert tok.backend_tokenizer.encode("a cat").ids == tok.encode("a cat")
    paths = [Path(path).name for path in tok.save_vocabulary(str(tmp_path), "x")]
    assert paths == ["x-vocab.json", "x-merges.txt"]
    assert Tokenizer(additional_special_tokens=["<a>"]).additional_special_tokens == ["<a>"]
    with pytest.warns(UserWarning, match="do_lower_case=False has no effect"):
        Tokenizer.from_pretrained(_saved(tok, tmp_path), use_fast=False, do_lower_case=False)


def _saved(tok: Tokenizer, folder: Path) -> Path:
    tok.save_pretrained(folder)
    return folder


def test_setters() -> None:
    tok = Tokenizer(extra_special_tokens=["<a>"])
    assert tok.extra_special_tokens_ids == tok.additional_special_tokens_ids == [49408]
    tok.extra_special_tokens_ids = [320]
    assert tok.extra_special_tokens == tok.additional_special_tokens == ["a</w>"]
    tok.additional_special_tokens = []
    assert tok.all_special_ids == [49406, 49407]
    with pytest.raises(ValueError, match="60000, which is no token's id"):
        tok.extra_special_tokens_ids = [60000]


def test_nulls_in_a_call() -> None:
    tok = Tokenizer()
    for options in (
        {},
        {"padding": "max_length", "truncation": True, "max_length": 8},
        {"return_offsets_mapping": True},
    ):
        assert plain(tok(["a", None], on_null="empty", **options)) == plain(tok(["a", ""], **options))
    with pytest.raises(TypeError, match=r"texts\[1\]"):
        tok(["a", None])
    with pytest.raises(ValueError, match="on_null"):
        tok(["a"], on_null="drop")


# -- the class on demand


def test_as_transformers_has_the_references_values(theirs: Any, tmp_path: Path) -> None:
    made = Tokenizer().as_transformers()
    assert isinstance(made, transformers.CLIPTokenizer) and type(made).__name__ == "CLIPTokenizer"
    for tok in (made, pickle.loads(pickle.dumps(made)), copy.deepcopy(made)):
        for options in (
            {},
            {"padding": True},
            {"padding": "max_length", "truncation": True, "return_tensors": "pt"},
            {"truncation": True, "max_length": 5, "padding": True, "padding_side": "left", "return_tensors": "np"},
            {"return_offsets_mapping": True, "return_special_tokens_mask": True},
            {"add_special_tokens": False, "return_token_type_ids": True},
        ):
            ours, expected = tok(TEXTS, **options), theirs(TEXTS, **options)
            assert plain(ours) == plain(expected), options
            assert [ours.word_ids(row) for row in range(4)] == [expected.word_ids(row) for row in range(4)]
    made.save_pretrained(tmp_path)
    again = transformers.AutoTokenizer.from_pretrained(tmp_path)
    assert again(TEXTS)["input_ids"] == theirs(TEXTS)["input_ids"]


def test_as_transformers_is_answered_by_the_engine(monkeypatch: pytest.MonkeyPatch) -> None:
    made = Tokenizer().as_transformers()
    made("a")
    monkeypatch.setattr(type(made).__mro__[1], "__call__", lambda *_, **__: pytest.fail("transformers was asked"))
    assert made(TEXTS, padding=True, return_tensors="pt").input_ids.shape == (4, 102)


def test_as_transformers_follows_its_changes(theirs: Any) -> None:
    made = Tokenizer().as_transformers()
    for tok in (made, theirs):
        tok.add_tokens(["<sks>"])
        tok.add_special_tokens({"pad_token": "<pad>"})
    assert made(["a <sks>", "b"], padding=True)["input_ids"] == theirs(["a <sks>", "b"], padding=True)["input_ids"]
    made.backend_tokenizer.normalizer = transformers.CLIPTokenizer().backend_tokenizer.normalizer
    renamed = Tokenizer()
    renamed.pad_token_id = 0
    assert renamed.as_transformers()("wow!")["input_ids"] == renamed("wow!")["input_ids"] == [49406, 2781, 256, 49407]
    assert renamed.as_transformers().pad_token_id == 0
    with pytest.raises(ValueError, match="as_transformers needs the profile 'transformers'"):
        Tokenizer("open_clip").as_transformers()


# -- where it is put in


def processor(tokenizer: Any) -> Any:
    return transformers.CLIPProcessor(transformers.CLIPImageProcessorPil(), tokenizer)


def test_clip_processor_saves_and_loads(theirs: Any, tmp_path: Path) -> None:
    pytest.importorskip("PIL")
    expected = processor(theirs)(text=TEXTS, padding=True, return_tensors="pt")
    made = processor(Tokenizer().as_transformers())
    assert plain(made(text=TEXTS, padding=True, return_tensors="pt")) == plain(expected)
    made.tokenizer = Tokenizer()
    assert plain(made(text=TEXTS, padding=True, return_tensors="pt")) == plain(expected)
    for number, tokenizer in enumerate((Tokenizer(), Tokenizer().as_transformers())):
        made.tokenizer = tokenizer
        made.save_pretrained(tmp_path / str(number))
        again = transformers.AutoProcessor.from_pretrained(tmp_path / str(number))
        assert plain(again(text=TEXTS, padding=True, return_tensors="pt")) == plain(expected)


def test_trainers_collator_takes_encodings(theirs: Any) -> None:
    features = [{**tok(TEXTS[0]), "labels": 1} for tok in (Tokenizer(), theirs)]
    collate = transformers.DataCollatorWithPadding
    ours, expected = (collate(t)([f, f]) for t, f in zip((Tokenizer(), theirs), features, strict=True))
    assert plain(ours) == plain(expected)
    default = transformers.default_data_collator([Tokenizer()(TEXTS[0]), Tokenizer()(TEXTS[0])])
    assert default["input_ids"].shape == (2, 4)


def test_zero_shot_image_classification(theirs: Any) -> None:
    image = pytest.importorskip("PIL.Image").new("RGB", (30, 30), "red")
    torch.manual_seed(0)
    text = {"hidden_size": 16, "intermediate_size": 16, "num_hidden_layers": 1, "num_attention_heads": 2}
    vision = {**text, "image_size": 30, "patch_size": 15}
    model = transformers.CLIPModel(
        transformers.CLIPConfig(text_config=text, vision_config=vision, projection_dim=8)
    ).eval()
    images = transformers.CLIPImageProcessorPil(size={"shortest_edge": 30}, crop_size=30)
    scores = []
    for tokenizer in (theirs, Tokenizer(), Tokenizer().as_transformers()):
        pipe = transformers.pipeline(
            "zero-shot-image-classification", model=model, tokenizer=tokenizer, image_processor=images, device="cpu"
        )
        scores.append(pipe(image, candidate_labels=["a cat", "two dogs"]))
    assert scores[0] == scores[1] == scores[2]


def test_nothing_is_printed(caplog: pytest.LogCaptureFixture, capsys: pytest.CaptureFixture[str]) -> None:
    with caplog.at_level(logging.WARNING):
        Tokenizer()(TEXTS).tokens()
    assert caplog.text == "" and io.StringIO(capsys.readouterr().err).read() == ""
    assert live("transformers") is not None


# -- diffusers


def test_textual_inversions_are_unloaded_by_diffusers(theirs: Any) -> None:
    loaders = pytest.importorskip("diffusers.loaders")

    class Pipe(loaders.TextualInversionLoaderMixin):  # type: ignore[misc]
        def __init__(self, tokenizer: Any) -> None:
            self.tokenizer = tokenizer
            config = transformers.CLIPTextConfig(
                hidden_size=8, intermediate_size=8, num_hidden_layers=1, num_attention_heads=2
            )
            torch.manual_seed(0)
            self.text_encoder = transformers.CLIPTextModel(config)
            self.components: dict[str, Any] = {}
            self.hf_device_map = None

    pipes = [Pipe(Tokenizer()), Pipe(theirs), Pipe(Tokenizer().as_transformers())]
    for pipe in pipes:
        for name in ("<one>", "<two>", "<three>"):
            pipe.load_textual_inversion({name: torch.ones(8)}, token=name)
        pipe.unload_textual_inversion("<one>")
    text = "a <one> <two> <three>"
    ids = [pipe.tokenizer(text)["input_ids"] for pipe in pipes]
    assert ids[0] == ids[1] == ids[2]
    assert len({pipe.text_encoder.get_input_embeddings().weight.shape for pipe in pipes}) == 1
    for pipe in pipes:
        pipe.unload_textual_inversion()
    ids = [pipe.tokenizer(text)["input_ids"] for pipe in pipes]
    assert ids[0] == ids[1] == ids[2] == Tokenizer()(text)["input_ids"]


def test_it_passes_for_transformers_class_in_its_profile() -> None:
    """By `__class__`, as mocks do: `type`, pickles and copies stay ours."""
    tok, other = Tokenizer(), Tokenizer("open_clip")
    kinds = (transformers.CLIPTokenizer, transformers.PreTrainedTokenizerBase, Tokenizer)
    for one in (tok, copy.copy(tok), copy.deepcopy(tok), pickle.loads(pickle.dumps(tok))):
        assert type(one) is Tokenizer and all(isinstance(one, kind) for kind in kinds)
        assert pickle.dumps(one) == pickle.dumps(tok)
    assert pickle._loads(pickle._dumps(tok)).get_vocab() == tok.get_vocab()  # type: ignore[attr-defined] # in Python
    assert "apply_chat_template" not in dir(tok) and not hasattr(tok, "apply_chat_template")
    assert other.__class__ is Tokenizer and not isinstance(other, transformers.PreTrainedTokenizerBase)
    assert transformers.CLIPProcessor(transformers.CLIPImageProcessorPil(), tok).tokenizer is tok


def test_it_is_itself_where_transformers_is_not_imported() -> None:
    code = "from cliptok import Tokenizer; t = Tokenizer(); print(t.__class__ is Tokenizer)"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "True"
