"""`Tokenizer`: CLIP's tokenizer, exact for its profile and fast for one text or millions."""

import os
import sys
from collections.abc import Iterable
from typing import TYPE_CHECKING, Any, TypeVar, overload

from cliptok.tokenizer.bulk import PackedTokens, encode_batch, encode_packed
from cliptok.tokenizer.calls.call import SHORT, Call, one_row
from cliptok.tokenizer.calls.encoding import BatchEncoding
from cliptok.tokenizer.calls.options import (
    PLAIN,
    UNUSUAL,
    Returned,
    check_iterable,
    check_stride,
    side,
    strategies,
    unusual,
)
from cliptok.tokenizer.profiles import DEFAULT_LENGTH, is_unlimited, preset_named, profile_named
from cliptok.tokenizer.settings import Settings, build, default_roles
from cliptok.tokenizer.texts import as_batch, as_text, nulls_are_empty, threads_for
from cliptok.tokenizer.tokens.added_tokens import AddedToken, as_added_token, as_token_list
from cliptok.tokenizer.tokens.special_tokens import SpecialTokens, checked_roles
from cliptok.tokenizer.tokens.token_table import TokenTable
from cliptok.tokenizer.transformers_api import TransformersApi

if TYPE_CHECKING:
    from typing import Literal

    import numpy.typing as npt
    import torch
    from typing_extensions import Unpack

    from cliptok.tokenizer.annotations import (
        ArrayEncoding,
        CallOptions,
        Counts,
        IdArray,
        ListEncoding,
        ListsEncoding,
        OnNull,
        ProfileName,
        TensorEncoding,
        Texts,
    )
    from cliptok.tokenizer.reference_apis import OpenAITokenizer, OpenClipTokenizer

Out = TypeVar("Out")
"""An array or tensor to write into."""
_THEIR_MODULE = "transformers.models.clip.tokenization_clip"
_SETTINGS = ("clean_up_tokenization_spaces", "model_max_length", "name_or_path", "padding_side", "truncation_side")


class Tokenizer(TransformersApi):
    """CLIP's byte-pair tokenizer.

    `profile` names the reference whose ids it gives: `transformers`, `transformers-slow`, `open_clip` or `openai`.
    Without further arguments it has the CLIP vocabulary, which is part of the package. The special tokens default to
    the profile's own; `pad_token="!"` is what Stable Diffusion 2 and SDXL's second tokenizer have.

    Safe to share between threads, to fork, to pickle and to copy. Adding tokens changes the tokenizer; do that before
    sharing it.

    >>> tok = Tokenizer()
    >>> tok("a photo of a cat")["input_ids"]
    [49406, 320, 1125, 539, 320, 2368, 49407]
    """

    _tokens: TokenTable
    """The vocabulary and the added tokens: token to id and back, and the engine that encodes and decodes."""
    _specials: SpecialTokens
    """Which of the tokens are special, and their roles."""
    model_max_length: int
    """The default of `max_length`: ids in a row, start and end included."""
    padding_side: str
    """`"right"` or `"left"`: where rows are padded."""
    truncation_side: str
    """`"right"` or `"left"`: where texts are truncated."""
    clean_up_tokenization_spaces: bool
    """Whether `decode` takes out spaces before punctuation, unless it is told otherwise."""
    name_or_path: str
    """What `from_pretrained` was given."""

    def __init__(
        self,
        profile: "ProfileName" = "transformers",
        *,
        bos_token: str | AddedToken | None = None,
        eos_token: str | AddedToken | None = None,
        unk_token: str | AddedToken | None = None,
        pad_token: str | AddedToken | None = None,
        extra_special_tokens: "list[str | AddedToken] | tuple[str | AddedToken, ...]" = (),
        additional_special_tokens: "list[str | AddedToken] | tuple[str | AddedToken, ...]" = (),
        model_max_length: int = DEFAULT_LENGTH,
        padding_side: str = "right",
        truncation_side: str = "right",
        clean_up_tokenization_spaces: bool = False,
    ) -> None:
        found = profile_named(profile)
        roles = default_roles(found)
        given = {"bos_token": bos_token, "eos_token": eos_token, "unk_token": unk_token, "pad_token": pad_token}
        for name, token in given.items():
            if token is not None:
                roles[name] = as_added_token(token, name, special=True)
        listed = extra_special_tokens or additional_special_tokens
        extra = [as_added_token(token, "extra_special_tokens", special=True) for token in listed]
        sides = padding_side, truncation_side
        self._build(Settings(found, roles, extra, {}, None, model_max_length, *sides, clean_up_tokenization_spaces))

    @classmethod
    def from_preset(cls, preset: str, profile: "ProfileName" = "transformers") -> "Tokenizer":
        """The CLIP tokenizer of an image model's family: `sd1`, `sd2`, `sdxl`, `sd3` (their first), `sdxl-2`, `sd3-2`
        (their second) or `flux`.

        >>> Tokenizer.from_preset("sd2").pad_token
        '!'
        """
        return cls(profile, pad_token=preset_named(preset).get("pad_token"))

    @classmethod
    def from_pretrained(
        cls,
        name_or_path: "str | os.PathLike[str]",
        *,
        profile: str | None = None,
        subfolder: str = "",
        revision: str | None = None,
        cache_dir: "str | os.PathLike[str] | None" = None,
        local_files_only: bool = False,
        force_download: bool = False,
        token: str | bool | None = None,
        **overrides: Any,
    ) -> "Tokenizer":
        """Load a tokenizer's folder, or a hub model's through huggingface_hub.

        The folder has `tokenizer.json`, or `vocab.json` and `merges.txt`, and may have `tokenizer_config.json`,
        `special_tokens_map.json` and `added_tokens.json`. Special tokens, lengths and added tokens come from them as
        in the profile's reference. `overrides` are arguments of the constructor that win over the files. Without
        `profile` the one that `save_pretrained` noted is taken, else `transformers`. Where the files of OpenAI's CLIP
        or of a published Stable Diffusion or Flux cannot be had, without a network for one, their tokenizer is made of
        the bundled vocabulary, which is the same; the logger `cliptok` says so once.

        Raises ValueError that names the file for anything wrong inside one, FileNotFoundError when there are none,
        ImportError when a hub name needs huggingface_hub and it is not installed.
        """
        from cliptok._common.json_files import Trouble
        from cliptok.tokenizer.files.known_names import known_preset, say_once
        from cliptok.tokenizer.files.reading import locate, read_settings

        try:
            folder = locate(name_or_path, subfolder, revision, cache_dir, local_files_only, force_download, token)
        except (FileNotFoundError, ImportError) as error:
            preset = None if revision or force_download else known_preset(str(name_or_path), subfolder)
            if preset is None:
                raise
            say_once(str(name_or_path), str(error))
            return cls._of_preset(preset, profile, overrides, str(name_or_path))
        settings = read_settings(folder, profile, overrides, str(name_or_path))
        tok = cls.__new__(cls)
        config = folder / "tokenizer_config.json"
        with Trouble(config if config.is_file() else folder):
            tok._build(settings)
        return tok

    @classmethod
    def _of_preset(cls, preset: str, profile: Any, overrides: dict[str, Any], name: str) -> "Tokenizer":
        """What `from_pretrained` gives for the files of a preset."""
        from cliptok.tokenizer.files.reading import check_overrides

        check_overrides(overrides)
        named = profile_named(profile or "transformers")
        tok = cls(
            profile or "transformers", **{**(preset_named(preset) if named.specials_are_added else {}), **overrides}
        )
        tok.name_or_path = name
        return tok

    def save_pretrained(
        self,
        save_directory: "str | os.PathLike[str]",
        legacy_format: bool | None = None,
        filename_prefix: str | None = None,
        push_to_hub: bool = False,
        **hub: Any,
    ) -> tuple[str, ...]:
        """Write files that transformers and `from_pretrained` load with equal ids, and return their paths.

        The folder is made if need be. Each file is written whole or not at all. `legacy_format` is accepted, and the
        files of both formats are written; `push_to_hub` and `hub` are those of transformers.

        Raises ValueError for a `filename_prefix`, under which no tokenizer finds its files.
        """
        from cliptok.tokenizer.files.saving import save

        if filename_prefix is not None:
            raise ValueError("filename_prefix is not supported: files are found by their own names alone")
        if push_to_hub:
            from pathlib import Path  # not above: it takes as long to import as all of this package

            self.push_to_hub(hub.pop("repo_id", Path(save_directory).name), **hub)
        return save(save_directory, self._tokens, self._specials, self._saved_settings())

    @property
    def _row_length(self) -> int:
        """Ids in a row where nothing else is said: `model_max_length`, or 77 where the files give none."""
        return DEFAULT_LENGTH if is_unlimited(self.model_max_length) else int(self.model_max_length)

    def _settings(self) -> dict[str, Any]:
        return {name: getattr(self, name) for name in _SETTINGS}

    def _saved_settings(self) -> dict[str, Any]:
        settings = {name: value for name, value in self._settings().items() if name != "name_or_path"}
        return settings if self._processor_class is None else {**settings, "processor_class": self._processor_class}

    def _build(self, settings: Settings) -> None:
        self.model_max_length = settings.model_max_length
        self.padding_side = side("padding_side", settings.padding_side)
        self.truncation_side = side("truncation_side", settings.truncation_side)
        self.clean_up_tokenization_spaces = settings.clean_up_tokenization_spaces
        self.name_or_path = settings.name_or_path
        self._tokens, self._specials = build(settings)
        self._stand_in()

    def _stand_in(self) -> None:
        """Name the module of transformers' class, which diffusers reads from the instance beside `__class__`."""
        if self.profile == "transformers":
            self.__dict__["__module__"] = _THEIR_MODULE

    @property
    def profile(self) -> str:
        """The name of the profile."""
        return self._tokens.profile.name

    @property  # type: ignore[misc] # an attribute to the type checker
    def __class__(self) -> type:
        """In the profile `transformers` transformers' `CLIPTokenizer`, where that is imported, else the type itself.

        `isinstance` is true of both. Libraries ask for that class (diffusers writes no other into a pipeline's folder),
        and all that it answers them is in files that it loads with equal ids.
        """
        theirs = sys.modules.get(_THEIR_MODULE) if "__module__" in self.__dict__ else None
        return type(self) if theirs is None else getattr(theirs, "CLIPTokenizer", type(self))

    def __dir__(self) -> Iterable[str]:
        return {*dir(type(self)), *self.__dict__}

    # -- one text or a few, as transformers does

    @overload
    def __call__(
        self, text: "Texts" = ..., *, return_tensors: "Literal['pt']", **options: "Unpack[CallOptions]"
    ) -> "TensorEncoding": ...
    @overload
    def __call__(
        self, text: "Texts" = ..., *, return_tensors: "Literal['np']", **options: "Unpack[CallOptions]"
    ) -> "ArrayEncoding": ...
    @overload
    def __call__(  # type: ignore[overload-overlap] # A str is an iterable of str, but comes first.
        self, text: str, *, return_tensors: None = ..., **options: "Unpack[CallOptions]"
    ) -> "ListEncoding": ...
    @overload
    def __call__(
        self, text: "Texts", *, return_tensors: None = ..., **options: "Unpack[CallOptions]"
    ) -> "ListsEncoding": ...
    @overload
    def __call__(self, text: Any, text_pair: Any, **options: Any) -> BatchEncoding: ...
    def __call__(
        self,
        text: Any = None,
        text_pair: Any = None,
        *,
        add_special_tokens: bool = True,
        padding: bool | str = False,
        truncation: bool | str | None = None,
        max_length: int | None = None,
        stride: int = 0,
        pad_to_multiple_of: int | None = None,
        padding_side: str | None = None,
        return_tensors: str | None = None,
        return_token_type_ids: bool | None = None,
        return_attention_mask: bool | None = None,
        return_overflowing_tokens: bool = False,
        return_special_tokens_mask: bool = False,
        return_offsets_mapping: bool = False,
        return_length: bool = False,
        verbose: bool = True,
        on_null: str = "error",
        **others: Any,
    ) -> BatchEncoding:
        """Encode one text or a batch, with the arguments and the result of a transformers tokenizer.

        A str gives flat lists, a batch lists of lists, and `return_tensors` "np" or "pt" int64 arrays or tensors
        (texts, length). `padding` is False, True or "longest", or "max_length"; `truncation` is False or True;
        `max_length` defaults to `model_max_length`. With `return_overflowing_tokens` a long text goes on in further
        rows, `stride` ids shared, and `overflow_to_sample_mapping` says whose they are. Offsets are (begin, end) in
        characters of the text. With `on_null="empty"` a None or a null is an empty text. `verbose` is accepted, and
        nothing is ever printed.

        What no CLIP model has a use for is answered by transformers itself, in the profile `transformers`: `text_pair`,
        `text_target`, `text_pair_target`, `is_split_into_words`, `split_special_tokens`.

        Raises TypeError for unknown arguments, NotImplementedError for offsets outside the profile `transformers`,
        ValueError for values out of range and for tensors of rows that differ in length, and as `encode_batch` for
        texts.
        """
        pairs = isinstance(text, (list, tuple)) and len(text) > 0 and isinstance(text[0], tuple) and len(text[0]) == 2
        if pairs or others or text_pair is not None:
            further = unusual({"text_pair": text_pair, **others})
            if further or pairs:
                options = {
                    "add_special_tokens": add_special_tokens,
                    "padding": padding,
                    "truncation": truncation,
                    "max_length": max_length,
                    "stride": stride,
                    "pad_to_multiple_of": pad_to_multiple_of,
                    "padding_side": padding_side,
                    "return_token_type_ids": return_token_type_ids,
                    "return_attention_mask": return_attention_mask,
                    "return_overflowing_tokens": return_overflowing_tokens,
                    "return_special_tokens_mask": return_special_tokens_mask,
                    "return_offsets_mapping": return_offsets_mapping,
                    "return_length": return_length,
                    "return_tensors": return_tensors,
                }
                return self._by_transformers(text, {**options, **further})
        if return_offsets_mapping and self.profile != "transformers":
            raise NotImplementedError(
                f"return_offsets_mapping: the profile {self.profile!r} has no offsets, its reference gives none;"
                " use profile='transformers'"
            )
        if padding_side is not None:
            side("padding_side", padding_side)
        if on_null != "error":
            nulls_are_empty(on_null)
        specials = bool(add_special_tokens)
        how = strategies(padding, truncation, max_length, pad_to_multiple_of, specials, self.model_max_length)
        if stride:
            check_stride(stride, how)
        wanted = PLAIN
        more = return_token_type_ids or return_special_tokens_mask or return_offsets_mapping
        if more or return_attention_mask is not None or return_length or return_overflowing_tokens:
            wanted = Returned(
                return_attention_mask is None or bool(return_attention_mask),
                bool(return_token_type_ids),
                bool(return_special_tokens_mask),
                bool(return_offsets_mapping),
                bool(return_length),
                bool(return_overflowing_tokens),
            )
        tokens, row = self._tokens, how.row
        pad_id = None if how.padding is None else self._role_id("pad_token")
        pad_left = (padding_side or self.padding_side) == "left"
        truncate_left = self.truncation_side == "left"
        call = tuple.__new__(
            Call,
            (
                tokens,
                pad_id,
                pad_left,
                truncate_left,
                how,
                wanted,
                specials,
                stride,
                return_tensors,
                on_null != "error",
            ),
        )
        if (
            return_tensors is not None
            and row is not None
            and wanted is PLAIN
            and not truncate_left
            and isinstance(text, str)
            and len(text) < SHORT
            and (pad_id is not None or how.padding is None)
        ):
            encoding = one_row(text, tokens.engine, row, pad_id or 0, specials, pad_left, return_tensors)
        else:
            encoding = call.encoding(text)
        encoding._source = self, call, text
        return encoding

    def _by_transformers(self, text: Any, options: dict[str, Any]) -> BatchEncoding:
        self._check_profile("transformers", ", ".join(name for name in options if name in UNUSUAL))
        found = self._in_transformers()(text, **options, verbose=False)
        return BatchEncoding(found.data, found.encodings)

    def _in_transformers(self) -> Any:
        """`as_transformers()`, kept until something of this tokenizer changes."""
        now = (self._tokens, self._specials, self._settings())
        kept, made = self.__dict__.get("_kept", (None, None))
        if kept != now:
            made = self.as_transformers()
            self.__dict__["_kept"] = now, made
        return made

    def _encodings(self, call: Call, text: Any) -> Any:
        """What transformers' BatchEncoding has of a call beside its values, for `call`'s text."""
        if call.tokens is not self._tokens:
            raise ValueError("the tokenizer has changed since this encoding was made; encode the text again")
        self._check_profile("transformers", "what an encoding knows of words and characters")
        return self._in_transformers()(text, **call.options(), verbose=False)

    @overload
    def encode(
        self, text: "Texts", text_pair: Any = ..., *, return_tensors: "Literal['pt']", **options: Any
    ) -> "torch.Tensor": ...
    @overload
    def encode(
        self, text: "Texts", text_pair: Any = ..., *, return_tensors: "Literal['np']", **options: Any
    ) -> "IdArray": ...
    @overload
    def encode(self, text: str, text_pair: Any = ..., *, return_tensors: None = ..., **options: Any) -> list[int]: ...
    @overload
    def encode(
        self, text: "Texts", text_pair: Any = ..., *, return_tensors: None = ..., **options: Any
    ) -> list[list[int]]: ...
    def encode(self, text: Any, text_pair: Any = None, **options: Any) -> Any:
        """The `input_ids` of a call with the same arguments: a list of ids for a str."""
        if text_pair is None and not options and isinstance(text, str):
            return self._tokens.engine.encode(text, True)  # what the call comes down to
        call: Any = self
        return call(text, text_pair, **options)["input_ids"]

    def pad(
        self,
        encoded_inputs: Any,
        padding: bool | str = True,
        max_length: int | None = None,
        pad_to_multiple_of: int | None = None,
        padding_side: str | None = None,
        return_attention_mask: bool | None = None,
        return_tensors: str | None = None,
        verbose: bool = True,
    ) -> BatchEncoding:
        """Pad encodings, a list of mappings or one mapping of lists, as a transformers tokenizer does.

        `input_ids` and its companions are padded, and `attention_mask` is made where there is none; other fields, such
        as labels, go along. Rows longer than `max_length` stay as they are. `verbose` is accepted.

        Raises ValueError without `input_ids` or a pad token, for fields that differ in their number of rows, and for
        tensors of rows that differ in length.
        """
        from cliptok.tokenizer.calls.padding import pad

        how = strategies(padding, False, max_length, pad_to_multiple_of, False, self.model_max_length)
        left = self._pads_left(padding_side)
        return pad(encoded_inputs, how, self.pad_token_id, left, return_attention_mask, return_tensors)

    def _pads_left(self, padding_side: str | None = None) -> bool:
        return side("padding_side", self.padding_side if padding_side is None else padding_side) == "left"

    def tokenize(
        self, text: str, pair: str | None = None, add_special_tokens: bool = False, **options: Any
    ) -> list[str]:
        """The tokens of one text as they stand in the vocabulary, `</w>` at each word's end.

        `pair` and `options` are those of a call. Raises TypeError for anything but str, ValueError for lone surrogates.

        >>> Tokenizer().tokenize("a highres photo")
        ['a</w>', 'high', 'res</w>', 'photo</w>']
        """
        if pair is not None or options:
            tokens: list[str] = self(text, pair, add_special_tokens=add_special_tokens, **options).tokens()
            return tokens
        ids = self._tokens.engine.encode(as_text(text), add_special_tokens)
        return [self._tokens.id_to_token(id) or "" for id in ids]

    @overload
    def decode(
        self, token_ids: int, skip_special_tokens: bool = ..., clean_up_tokenization_spaces: bool | None = ...
    ) -> str: ...
    @overload
    def decode(
        self, token_ids: Any, skip_special_tokens: bool = ..., clean_up_tokenization_spaces: bool | None = ...
    ) -> Any: ...
    def decode(
        self, token_ids: Any, skip_special_tokens: bool = False, clean_up_tokenization_spaces: bool | None = None
    ) -> Any:
        """The text of ids: a str, or a list of them for a batch of rows.

        `token_ids` is an int, a list, an array, a tensor or an encoding. The profiles `open_clip` and `openai` keep the
        spaces at both ends, as their references do. `clean_up_tokenization_spaces` (default: what the files say) has
        an effect in the profile `transformers-slow` only, as in transformers.

        Raises ValueError for an id that is no token's.
        """
        from cliptok.tokenizer.calls.decoding import as_ids, decode

        ids = as_ids(token_ids)
        if clean_up_tokenization_spaces is None:
            clean_up_tokenization_spaces = self.clean_up_tokenization_spaces
        parts = self._tokens, self._specials, skip_special_tokens, clean_up_tokenization_spaces
        if isinstance(ids, int):
            return decode([ids], *parts)
        if ids and isinstance(ids[0], (list, tuple)):
            return [decode(as_ids(row), *parts) for row in ids]
        return decode(ids, *parts)

    def batch_decode(
        self, sequences: Any, skip_special_tokens: bool = False, clean_up_tokenization_spaces: bool | None = None
    ) -> list[str]:
        """The texts of rows of ids. Raises as `decode`."""
        if hasattr(sequences, "__len__") and len(sequences) == 0:
            return []
        texts = self.decode(sequences, skip_special_tokens, clean_up_tokenization_spaces)
        return [texts] if isinstance(texts, str) else texts

    # -- millions of texts

    @overload
    def encode_batch(
        self,
        texts: "Texts",
        max_length: int = ...,
        dtype: "npt.DTypeLike" = ...,
        out: None = ...,
        return_lengths: "Literal[False]" = ...,
        threads: int | None = ...,
        truncate: bool | None = ...,
        on_null: "OnNull" = ...,
    ) -> "IdArray": ...
    @overload
    def encode_batch(
        self,
        texts: "Texts",
        max_length: int = ...,
        dtype: "npt.DTypeLike" = ...,
        out: None = ...,
        *,
        return_lengths: "Literal[True]",
        threads: int | None = ...,
        truncate: bool | None = ...,
        on_null: "OnNull" = ...,
    ) -> "tuple[IdArray, Counts]": ...
    @overload
    def encode_batch(
        self,
        texts: "Texts",
        max_length: int = ...,
        dtype: "npt.DTypeLike" = ...,
        *,
        out: "Out",
        return_lengths: "Literal[False]" = ...,
        threads: int | None = ...,
        truncate: bool | None = ...,
        on_null: "OnNull" = ...,
    ) -> "Out": ...
    @overload
    def encode_batch(
        self,
        texts: "Texts",
        max_length: int = ...,
        dtype: "npt.DTypeLike" = ...,
        *,
        out: "Out",
        return_lengths: "Literal[True]",
        threads: int | None = ...,
        truncate: bool | None = ...,
        on_null: "OnNull" = ...,
    ) -> "tuple[Out, Counts]": ...
    def encode_batch(
        self,
        texts: Any,
        max_length: int | None = None,
        dtype: Any = "int64",
        out: Any = None,
        return_lengths: bool = False,
        threads: int | None = None,
        truncate: bool | None = None,
        on_null: str = "error",
    ) -> Any:
        """Ids of many texts in one array (texts, max_length), start and end included, padded with `pad_token_id`.

        `max_length` defaults to `model_max_length`, and to 77 where the tokenizer's files give none.

        `texts` is a sequence or iterable of str, an Arrow column of strings (read in place), or a str, which is a batch
        of one. A None or a null among them raises, or with `on_null="empty"` is an empty text. Longer texts are
        truncated before their end token; with `truncate=False`, and by default in the profile `openai`, they raise.
        `out` is a NumPy array or CPU torch tensor of that shape, of dtype uint16, int32 or int64, to write into and
        return; `dtype` is for when there is none. With `return_lengths` the result is (ids, lengths), lengths (texts,)
        int64 without padding. `threads` defaults to one per CPU, and to 1 in a torch dataloader worker.

        Raises TypeError that names the row for anything but str, ValueError that names it for lone surrogates,
        TooLongError (a RuntimeError and ValueError) that names it for a text to be refused, and TypeError or
        ValueError for a wrong argument.

        >>> ids, lengths = Tokenizer().encode_batch(["a cat", "a photo of a dog"], return_lengths=True)
        >>> ids.shape, lengths.tolist()
        ((2, 77), [4, 7])
        """
        pad_id = self.pad_token_id
        if pad_id is None:
            raise ValueError("encode_batch needs a pad token; set one, as in tok.pad_token = tok.eos_token")
        refuse_long = self._refuses_long(truncate)
        ids, lengths = encode_batch(
            self._tokens,
            texts,
            self._row_length if max_length is None else max_length,
            dtype,
            out,
            threads,
            refuse_long,
            on_null,
            pad_id,
            self.padding_side == "left",
            return_lengths,
        )
        return (ids, lengths) if return_lengths else ids

    def encode_packed(
        self,
        texts: "Texts",
        max_length: int | None = None,
        dtype: "npt.DTypeLike" = "int32",
        threads: int | None = None,
        truncate: bool | None = None,
        on_null: "OnNull" = "error",
    ) -> PackedTokens:
        """Ids of many texts one after the other, start and end included, with no padding at all.

        Texts are kept whole without `max_length`; with it they are truncated or refused as `encode_batch` does.

        Raises as `encode_batch`.

        >>> packed = Tokenizer().encode_packed(["a cat", "a photo of a dog"])
        >>> packed.input_ids.tolist()
        [49406, 320, 2368, 49407, 49406, 320, 1125, 539, 320, 1929, 49407]
        >>> packed.offsets.tolist()
        [0, 4, 11]
        """
        refuse_long = self._refuses_long(truncate)
        return encode_packed(self._tokens, texts, max_length, dtype, threads, refuse_long, on_null)

    def _refuses_long(self, truncate: bool | None) -> bool:
        return self._tokens.profile.refuses_long if truncate is None else not truncate

    def count(self, texts: "Texts", threads: int | None = None, on_null: "OnNull" = "error") -> "Counts":
        """Tokens per text, start and end included, none truncated: int64 (texts,). Raises as `encode_batch`.

        >>> Tokenizer().count(["a cat", "very " * 100]).tolist()
        [4, 102]
        """
        batch = as_batch(texts)
        empty = nulls_are_empty(on_null)
        return self._tokens.engine.count(batch, null_as_empty=empty, threads=threads_for(batch, threads))

    # -- tokens

    @property
    def vocab_size(self) -> int:
        """Tokens of the vocabulary, without added tokens."""
        return self._tokens.vocabulary.vocabulary_size

    def __len__(self) -> int:
        return len(self._tokens)

    def __bool__(self) -> bool:
        return True

    def get_vocab(self) -> dict[str, int]:
        """Token to id, added tokens included. A new dict."""
        return self._tokens.tokens()

    @overload
    def convert_tokens_to_ids(self, tokens: str) -> int: ...  # type: ignore[overload-overlap]
    @overload
    def convert_tokens_to_ids(self, tokens: Iterable[str]) -> list[int]: ...
    def convert_tokens_to_ids(self, tokens: str | Iterable[str]) -> int | list[int]:
        """The id of a token, or of each of several. A string that is no token has the id of `unk_token`.

        Raises ValueError for such a string when there is no `unk_token`, TypeError for anything but str.
        """
        if isinstance(tokens, str):
            return self._known_id(tokens)
        check_iterable("tokens", tokens, "str or several")
        tokens = list(tokens)
        ids = self._tokens.ids_of(tokens)
        return [self._known_id(token) if id is None else id for token, id in zip(tokens, ids, strict=True)]

    def _known_id(self, token: str) -> int:
        if not isinstance(token, str):
            raise TypeError(f"tokens holds a value of type {type(token).__name__}; expected str")
        id = self._tokens.token_to_id(token)
        if id is None:
            id = self.unk_token_id
        if id is None:
            raise ValueError(f"{token!r} is no token, and there is no unk_token to stand for it")
        return id

    @overload
    def convert_ids_to_tokens(self, ids: int, skip_special_tokens: bool = False) -> str | None: ...
    @overload
    def convert_ids_to_tokens(self, ids: Iterable[int], skip_special_tokens: bool = False) -> list[str | None]: ...
    def convert_ids_to_tokens(
        self, ids: int | Iterable[int], skip_special_tokens: bool = False
    ) -> str | list[str | None] | None:
        """The token of an id, or of each of several; None for an id that is no token's."""
        if isinstance(ids, int):
            return self._tokens.id_to_token(ids)
        check_iterable("ids", ids, "int or several")
        if skip_special_tokens:
            skipped = set(self.all_special_ids)
            ids = [id for id in map(int, ids) if id not in skipped]
        return self._tokens.tokens_of(ids)

    def add_tokens(
        self, new_tokens: str | AddedToken | Iterable[str | AddedToken], special_tokens: bool = False
    ) -> int:
        """Add tokens that are found in a text as a whole, and return how many were new.

        A token of the vocabulary keeps its id; the others are numbered from `len(self)` on. A known token takes the
        new flags. As in transformers, the default profile counts tokens that changed in any way as new,
        `transformers-slow` only those that had no id.

        Raises ValueError in the profiles `open_clip` and `openai`, whose references know no added tokens, and
        TypeError for anything but str and AddedToken.
        """
        given = as_token_list(new_tokens)
        tokens = []
        for position, token in enumerate(given):
            tokens.append(as_added_token(token, f"new_tokens[{position}]", special=special_tokens))
        if not tokens:
            return 0
        if self.profile == "transformers-slow":  # It skips a str that it has already, whatever its flags.
            known = {content for content in given if isinstance(content, str) and content in self._tokens.added_ids}
            tokens = [token for token in tokens if token.content not in known]
        self._tokens, count = self._tokens.plus(tokens)
        if self.profile == "transformers-slow":
            listed = {"", *self.all_special_tokens}
            extra = [token for token in tokens if token.special and token.content not in listed]
            self._specials = self._specials.with_extra([*self._specials.extra, *extra])
        return count

    def remove_tokens(self, tokens: str | AddedToken | Iterable[str | AddedToken]) -> int:
        """Take added tokens out again, and return how many. The other tokens keep their ids.

        Raises ValueError, and removes nothing, for a token that was not added and for one with a role, such as
        `pad_token`; in the profile `transformers-slow`, which numbers new tokens by their count, also when an added
        token with a larger id would stay.
        """
        contents = [as_added_token(token, f"tokens[{i}]").content for i, token in enumerate(as_token_list(tokens))]
        roles = {content: name for name, content in self.special_tokens_map.items()}
        for position, content in enumerate(contents):
            if content in roles:
                raise ValueError(
                    f"tokens[{position}], {content!r}, is the {roles[content]}; give it another token first"
                )
        self._tokens = self._tokens.minus(contents)
        self._specials = self._specials.with_extra([t for t in self._specials.extra if t.content not in contents])
        return len(set(contents))

    def add_special_tokens(self, special_tokens_dict: dict[str, Any], replace_extra_special_tokens: bool = True) -> int:
        """Give tokens a role, as in `{"pad_token": "<pad>", "extra_special_tokens": ["<a>"]}`, adding those missing.

        Returns how many were new, as `add_tokens`. Raises ValueError for an unknown role.
        """
        to_add: list[AddedToken] = []
        specials = self._specials
        for name, value in checked_roles(special_tokens_dict, specials.roles).items():
            if name != "extra_special_tokens":
                token = as_added_token(value, name, special=True)
                to_add.append(token)
                specials = specials.with_role(name, token)
                continue
            tokens = [as_added_token(token, name, special=True) for token in value]
            if not replace_extra_special_tokens:
                listed = {token.content for token in specials.extra}
                tokens = [token for token in tokens if token.content not in listed]
            replaces = replace_extra_special_tokens and tokens
            specials = specials.with_extra(tokens if replaces else [*specials.extra, *tokens])
            to_add += tokens
        before, self._specials = self._specials, specials
        try:
            count = self.add_tokens(to_add)
        except ValueError:
            self._specials = before
            raise
        self._set_specials(specials)
        return count

    def _set_specials(self, specials: SpecialTokens) -> None:
        self._specials = specials
        # transformers 5 fixes start and end when it is made; transformers 4's slow tokenizer looks them up anew.
        if self.profile == "transformers-slow":
            start, end = self.bos_token_id, self.eos_token_id
            if (start, end) != (self._tokens.start_id, self._tokens.end_id) and None not in (start, end):
                self._tokens = self._tokens.replaced(self._tokens.added, start, end)

    # -- other libraries' names

    def as_open_clip(self) -> "OpenClipTokenizer":
        """The same ids as open_clip's `SimpleTokenizer` gives them: `(texts, context_length=None)` to a LongTensor.

        Raises ValueError in another profile than `open_clip`.
        """
        from cliptok.tokenizer.reference_apis import OpenClipTokenizer

        self._check_profile("open_clip", "as_open_clip")
        return OpenClipTokenizer(self._tokens, self._row_length)

    def as_openai(self) -> "OpenAITokenizer":
        """The same ids as `clip.tokenize` and clip's `SimpleTokenizer` give them, under their names.

        Raises ValueError in another profile than `openai`.
        """
        from cliptok.tokenizer.reference_apis import OpenAITokenizer

        self._check_profile("openai", "as_openai")
        return OpenAITokenizer(self._tokens, self._row_length)

    def as_transformers(self) -> Any:
        """A new tokenizer of transformers' own class (`CLIPTokenizer`, in transformers 4 `CLIPTokenizerFast`).

        Its calls are answered by the engine; everything else is transformers' own: processors, pipelines, saving,
        chat templates. It is for where the class is asked for, and shares nothing with this tokenizer afterwards. Calls
        with pairs, words, offsets or overflowing tokens, and those after its `backend_tokenizer` was given other parts,
        are transformers' own as well.

        Raises ImportError without transformers, and ValueError in another profile than `transformers`, whose ids
        transformers' class would not have.
        """
        from cliptok.tokenizer.in_transformers import made

        self._check_profile("transformers", "as_transformers")
        tok = made(self._tokens, self._specials, self._saved_settings())
        tok.name_or_path = self.name_or_path
        return tok

    def _check_profile(self, name: str, method: str) -> None:
        if self.profile != name:
            raise ValueError(f"{method} needs the profile {name!r}, and this is {self.profile!r}")

    # -- copies

    def __getstate__(self) -> dict[str, Any]:
        from cliptok.tokenizer.files.state import FORMAT, to_json

        others = {
            key: value
            for key, value in self.__dict__.items()
            if key not in ("_tokens", "_specials", "_kept", "__module__", *_SETTINGS)
        }
        return {
            "format": FORMAT,
            "tokenizer": to_json(self._tokens, self._specials, self._settings()),
            "attributes": others,
        }

    def __setstate__(self, state: dict[str, Any]) -> None:
        from cliptok.tokenizer.files.state import FORMAT, from_json

        if state.get("format") != FORMAT:
            raise ValueError(
                f"the pickled tokenizer has the format {state.get('format')!r}, and this version of cliptok loads"
                f" {FORMAT}; use save_pretrained and from_pretrained between versions"
            )
        self._tokens, self._specials, settings = from_json(state["tokenizer"])
        self.__dict__.update({**settings, **state["attributes"]})
        self._stand_in()

    def __reduce__(self) -> Any:
        return _unbuilt, (type(self),), self.__getstate__()

    def __copy__(self) -> "Tokenizer":
        """A tokenizer of its own on the same vocabulary: what is added to one is not added to the other."""
        twin = object.__new__(type(self))
        twin.__dict__.update(self.__dict__)
        return twin

    def __deepcopy__(self, memo: dict[int, Any]) -> "Tokenizer":
        return self.__copy__()

    def __repr__(self) -> str:
        return (
            f"Tokenizer(profile={self.profile!r}, vocab_size={self.vocab_size}, tokens={len(self)},"
            f" model_max_length={self.model_max_length}, padding_side={self.padding_side!r},"
            f" special_tokens={self.special_tokens_map})"
        )


def _unbuilt(kind: type[Tokenizer]) -> Tokenizer:
    """What pickle fills; its own way compares `__class__`."""
    return object.__new__(kind)
