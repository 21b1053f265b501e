"""Names that transformers' tokenizers have, each in terms of the tokenizer's own parts."""

from collections.abc import Sequence

from cliptok.tokenizer.tokens.added_tokens import AddedToken
from cliptok.tokenizer.tokens.special_tokens import Role, RoleId, SpecialTokens
from cliptok.tokenizer.tokens.token_table import TokenTable


class TransformersApi:
    """What code written for a transformers tokenizer reads from one: tables, roles and sizes.

    It keeps nothing of its own. The parts that it reads are `Tokenizer`'s.
    """

    _tokens: TokenTable
    _specials: SpecialTokens

    is_fast = True
    """As of transformers' tokenizers in Rust."""
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

    @property
    def special_tokens_map(self) -> dict[str, str]:
        """Role to token, for the roles that are set."""
        return {name: token.content for name, token in self._specials.roles.items()}

    @property
    def extra_special_tokens(self) -> list[str]:
        """Special tokens without a role."""
        return [token.content for token in self._specials.extra]

    @property
    def additional_special_tokens(self) -> list[str]:
        """`extra_special_tokens` under the name of transformers 4."""
        return self.extra_special_tokens

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

    def get_special_tokens_mask(
        self, token_ids_0: Sequence[int], token_ids_1: None = None, already_has_special_tokens: bool = False
    ) -> list[int]:
        """1 for each special id, 0 for each other.

        Without `already_has_special_tokens` the mask is that of the ids after start and end are put around them.
        """
        if token_ids_1 is not None:
            raise TypeError("token_ids_1 is not supported: CLIP has no pairs of texts")
        if not already_has_special_tokens:
            return [1, *([0] * len(token_ids_0)), 1]
        special = set(self.all_special_ids)
        return [int(int(id) in special) for id in token_ids_0]

    def num_special_tokens_to_add(self, pair: bool = False) -> int:
        """The ids that a call puts around a text: 2."""
        if pair:
            raise TypeError("pair is not supported: CLIP has no pairs of texts")
        return 2

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
        return dict(self._tokens.added.by_id)

    @property
    def added_tokens_encoder(self) -> dict[str, int]:
        """Content of each added token to its id, in id order."""
        return dict(self._tokens.added_ids)

    def get_added_vocab(self) -> dict[str, int]:
        """`added_tokens_encoder`."""
        return self.added_tokens_encoder
