"""Names that transformers' tokenizers have, each in terms of the tokenizer's own parts."""

from collections.abc import Iterable, Sequence
from typing import Any, ClassVar

from cliptok.tokenizer.calls.decoding import clean_up_tokenization, decode
from cliptok.tokenizer.calls.encoding import BatchEncoding
from cliptok.tokenizer.calls.options import check_int, check_iterable
from cliptok.tokenizer.texts import as_text
from cliptok.tokenizer.tokens.added_tokens import AddedToken, AddedTokens, as_added_token
from cliptok.tokenizer.tokens.special_tokens import Role, RoleId, SpecialTokens
from cliptok.tokenizer.tokens.token_table import TokenTable


class TransformersApi:
    """What code written for a transformers tokenizer reads from one: tables, roles and sizes.

    It keeps nothing of its own. The parts that it reads are `Tokenizer`'s.
    """

    _tokens: TokenTable
    _specials: SpecialTokens

    model_max_length: int
    _processor_class: str | None = None
    _edited: dict[int, AddedToken] | None = None

    is_fast = True
    """As of transformers' tokenizers in Rust."""
    backend = "cliptok"
    """In transformers the library that a tokenizer is made with."""
    pad_token_type_id = 0
    """What `token_type_ids` are padded with."""
    split_special_tokens = False
    """Special tokens in a text are found, unless a call says otherwise."""
    init_inputs = ()
    """Positional arguments of `init_kwargs`: none."""
    vocab_files_names: ClassVar = {
        "vocab_file": "vocab.json",
        "merges_file": "merges.txt",
        "tokenizer_file": "tokenizer.json",
    }
    """The names of a vocabulary's files."""
    model_input_names = ("input_ids", "attention_mask")
    """What a call returns unless it is told otherwise."""

    bos_token = Role("bos_token")
    """The token before a text."""
    eos_token = Role("eos_token")
    """The token after a text."""
    unk_token = Role("unk_token")
    """The token for what has none."""
    sep_token = Role("sep_token")
    """Unset in CLIP."""
    pad_token = Role("pad_token")
    """The token behind shorter rows."""
    cls_token = Role("cls_token")
    """Unset in CLIP."""
    mask_token = Role("mask_token")
    """Unset in CLIP."""
    bos_token_id = RoleId("bos_token")
    """The id of `bos_token`, None where that is unset."""
    eos_token_id = RoleId("eos_token")
    """The id of `eos_token`, None where that is unset."""
    unk_token_id = RoleId("unk_token")
    """The id of `unk_token`, None where that is unset."""
    sep_token_id = RoleId("sep_token")
    """The id of `sep_token`, None where that is unset."""
    pad_token_id = RoleId("pad_token")
    """The id of `pad_token`, None where that is unset."""
    cls_token_id = RoleId("cls_token")
    """The id of `cls_token`, None where that is unset."""
    mask_token_id = RoleId("mask_token")
    """The id of `mask_token`, None where that is unset."""

    def _role(self, name: str) -> str | None:
        return self._specials.content(name)

    def _role_id(self, name: str) -> int | None:
        token = self._specials.content(name)
        return None if token is None else self._tokens.token_to_id(token)

    def _token_of(self, id: int) -> str | None:
        return self._tokens.id_to_token(id)

    def _set_role(self, name: str, token: AddedToken | None) -> None:
        self._set_specials(self._specials.with_role(name, token))

    def _set_specials(self, specials: SpecialTokens) -> None:
        raise NotImplementedError

    def __call__(self, text: Any, text_pair: Any, **options: Any) -> BatchEncoding:
        raise NotImplementedError

    def _in_transformers(self) -> Any:
        raise NotImplementedError

    @property
    def special_tokens_map(self) -> dict[str, str]:
        """Role to token, for the roles that are set."""
        return {name: token.content for name, token in self._specials.roles.items()}

    @property
    def extra_special_tokens(self) -> list[str]:
        """Special tokens without a role. Setting them adds no token to the vocabulary."""
        return [token.content for token in self._specials.extra]

    @extra_special_tokens.setter
    def extra_special_tokens(self, tokens: Iterable[Any]) -> None:
        check_iterable("extra_special_tokens", tokens, "str or AddedToken, several")
        extra = [as_added_token(token, "extra_special_tokens", special=True) for token in tokens]
        self._set_specials(self._specials.with_extra(extra))

    @property
    def extra_special_tokens_ids(self) -> list[int]:
        """The ids of `extra_special_tokens`."""
        return [id for id in map(self._tokens.token_to_id, self.extra_special_tokens) if id is not None]

    @extra_special_tokens_ids.setter
    def extra_special_tokens_ids(self, ids: Iterable[int]) -> None:
        check_iterable("extra_special_tokens_ids", ids, "several ints")
        ids = list(ids)
        for id in ids:
            check_int("extra_special_tokens_ids", id, 0)
        tokens = [self._tokens.id_to_token(id) for id in ids]
        if None in tokens:
            raise ValueError(f"extra_special_tokens_ids holds {ids[tokens.index(None)]}, which is no token's id")
        self.extra_special_tokens = [token for token in tokens if token is not None]

    additional_special_tokens = extra_special_tokens
    """`extra_special_tokens` under the name of transformers 4."""
    additional_special_tokens_ids = extra_special_tokens_ids
    """`extra_special_tokens_ids` under the name of transformers 4."""

    @property
    def all_special_tokens(self) -> list[str]:
        """Every special token once, those with a role first."""
        return self._specials.contents()

    @property
    def all_special_ids(self) -> list[int]:
        """The ids of `all_special_tokens`."""
        unknown = self.unk_token_id
        ids = map(self._tokens.token_to_id, self.all_special_tokens)
        return [id for id in (unknown if id is None else id for id in ids) if id is not None]

    def build_inputs_with_special_tokens(
        self, token_ids_0: Sequence[int], token_ids_1: Sequence[int] | None = None
    ) -> list[int]:
        """The ids of a text, or of a pair of texts, with start and end."""
        _check_ids(token_ids_0, token_ids_1)
        start, end = self._tokens.start_id, self._tokens.end_id
        second = [] if token_ids_1 is None else [end, *token_ids_1, end]
        return [start, *token_ids_0, end, *second]

    def create_token_type_ids_from_sequences(
        self, token_ids_0: Sequence[int], token_ids_1: Sequence[int] | None = None
    ) -> list[int]:
        """A zero for each id of `build_inputs_with_special_tokens`."""
        return [0] * len(self.build_inputs_with_special_tokens(token_ids_0, token_ids_1))

    def get_special_tokens_mask(
        self,
        token_ids_0: Sequence[int],
        token_ids_1: Sequence[int] | None = None,
        already_has_special_tokens: bool = False,
    ) -> list[int]:
        """1 for each special id, 0 for each other.

        Without `already_has_special_tokens` the mask is that of the ids after start and end are put around them.
        """
        _check_ids(token_ids_0, token_ids_1)
        if not already_has_special_tokens:
            second = [] if token_ids_1 is None else [1, *([0] * len(token_ids_1)), 1]
            return [1, *([0] * len(token_ids_0)), 1, *second]
        special = set(self.all_special_ids)
        return [int(int(id) in special) for id in (*token_ids_0, *(token_ids_1 or ()))]

    def num_special_tokens_to_add(self, pair: bool = False) -> int:
        """The ids that a call puts around a text, 2, or around a pair of texts, 4."""
        return 4 if pair else 2

    @property
    def max_len_single_sentence(self) -> int:
        """Ids of a text in a row of `model_max_length`."""
        return self.model_max_length - 2

    @property
    def max_len_sentences_pair(self) -> int:
        """Ids of a pair of texts in a row of `model_max_length`."""
        return self.model_max_length - 4

    def encode_plus(self, text: Any, text_pair: Any = None, **options: Any) -> BatchEncoding:
        """A call with one text."""
        return self(text, text_pair, **options)

    def batch_encode_plus(self, batch_text_or_text_pairs: Any, **options: Any) -> BatchEncoding:
        """A call with many texts, or with pairs of them."""
        check_iterable("batch_text_or_text_pairs", batch_text_or_text_pairs, "several texts or pairs of them")
        batch = list(batch_text_or_text_pairs)
        if batch and isinstance(batch[0], (list, tuple)) and not options.get("is_split_into_words"):
            for row, pair in enumerate(batch):
                if not isinstance(pair, (list, tuple)) or len(pair) != 2:
                    raise ValueError(f"batch_text_or_text_pairs[{row}] is no pair of texts, as the first is")
            return self([first for first, _ in batch], [second for _, second in batch], **options)
        return self(batch, None, **options)

    def convert_tokens_to_string(self, tokens: Sequence[str]) -> str:
        """The text of tokens, as `decode` gives it for their ids. Raises ValueError for what is no token."""
        check_iterable("tokens", tokens, "several str")
        tokens = list(tokens)
        ids = self._tokens.ids_of(tokens)
        if None in ids:
            raise ValueError(f"tokens holds {tokens[ids.index(None)]!r}, which is no token")
        return decode([id for id in ids if id is not None], self._tokens, self._specials, False, False)

    @staticmethod
    def clean_up_tokenization(text: str) -> str:
        """The text without spaces before punctuation and shortened words."""
        return clean_up_tokenization(as_text(text))

    def save_vocabulary(self, save_directory: str, filename_prefix: str | None = None) -> tuple[str, ...]:
        """Write vocab.json and merges.txt into a folder that is there, and return their paths."""
        from cliptok.tokenizer.files.saving import save_vocabulary

        return save_vocabulary(save_directory, self._tokens, filename_prefix)

    @property
    def init_kwargs(self) -> dict[str, Any]:
        """The arguments that make this tokenizer. A new dict."""
        names = ("clean_up_tokenization_spaces", "model_max_length", "name_or_path", "padding_side", "truncation_side")
        further = ("extra_special_tokens", "additional_special_tokens")
        return {
            "profile": self._tokens.profile.name,
            **{name: getattr(self, name) for name in (*names, *further)},
            **{name: str(token) for name, token in self._specials.roles.items()},
        }

    def _set_processor_class(self, processor_class: str) -> None:
        self._processor_class = processor_class

    @property
    def backend_tokenizer(self) -> Any:
        """The tokenizers library's tokenizer of the same files. A copy: what is changed in it stays in it."""
        return self._in_transformers().backend_tokenizer

    def push_to_hub(self, repo_id: str, **options: Any) -> Any:
        """Upload the files to the hub, by transformers and with its arguments."""
        return self._in_transformers().push_to_hub(repo_id, **options)

    # What `diffusers` edits in place to unload a textual inversion, and then calls.

    @property
    def _added_tokens_decoder(self) -> dict[int, AddedToken]:
        if self._edited is None:
            self._edited = dict(self._tokens.added.by_id)
        return self._edited

    @property
    def _added_tokens_encoder(self) -> dict[str, int]:
        return dict(self._tokens.added_ids)  # What is edited in it follows from `_added_tokens_decoder`.

    def _update_trie(self) -> None:
        if self._edited is not None:
            edited, self._edited = dict(sorted(self._edited.items())), None
            contents = {token.content for token in edited.values()}
            special = self._tokens.added.special & contents
            self._tokens = self._tokens.replaced(AddedTokens(edited, special))

    @property
    def vocab(self) -> dict[str, int]:
        """`get_vocab()`."""
        return self._tokens.tokens()

    @property
    def encoder(self) -> dict[str, int]:
        """Token to id, without added tokens. A new dict."""
        return self._tokens.vocabulary.vocabulary()

    @property
    def decoder(self) -> dict[int, str]:
        """Id to token, added tokens included. Made at the first use and kept, so do not change it."""
        return self._tokens.decoder()

    @property
    def added_tokens_decoder(self) -> dict[int, AddedToken]:
        """Id to AddedToken, in id order."""
        return dict(sorted((self._tokens.added.by_id if self._edited is None else self._edited).items()))

    @property
    def added_tokens_encoder(self) -> dict[str, int]:
        """Content of each added token to its id, in id order."""
        return dict(self._tokens.added_ids)

    def get_added_vocab(self) -> dict[str, int]:
        """`added_tokens_encoder`."""
        return self.added_tokens_encoder


def _check_ids(first: Any, second: Any) -> None:
    check_iterable("token_ids_0", first, "several ints")
    if second is not None:
        check_iterable("token_ids_1", second, "several ints")
