"""From ids back to text, as each profile's reference does it."""

from collections.abc import Iterable, Mapping, Sequence
from typing import Any

from cliptok.tokenizer.tokens.special_tokens import SpecialTokens
from cliptok.tokenizer.tokens.token_table import TokenTable


def as_ids(token_ids: Any) -> Any:
    """An int, a list of ints or a list of lists, from those, an array, a tensor or an encoding."""
    if type(token_ids) is list and token_ids and type(token_ids[0]) is int:
        return token_ids
    if isinstance(token_ids, Mapping):
        if "input_ids" not in token_ids:
            raise TypeError(f"token_ids is a {type(token_ids).__name__} without input_ids; expected ids or an encoding")
        token_ids = token_ids["input_ids"]
    if hasattr(token_ids, "tolist"):
        return token_ids.tolist()
    if isinstance(token_ids, (int, list, tuple)):
        if not isinstance(token_ids, int) and any(hasattr(item, "tolist") for item in token_ids):
            return [item.tolist() if hasattr(item, "tolist") else item for item in token_ids]
        return token_ids
    if isinstance(token_ids, (str, bytes)) or not isinstance(token_ids, Iterable):
        raise TypeError(f"token_ids is of type {type(token_ids).__name__}; expected ids, an array or a tensor")
    return list(token_ids)


def decode(
    ids: Sequence[int], tokens: TokenTable, specials: SpecialTokens, skip_special_tokens: bool, clean_up: bool
) -> str:
    """The text of one sequence of ids."""
    if tokens.profile.name == "transformers-slow":
        text = " ".join(_segments(tokens, specials, ids, skip_special_tokens))
        return clean_up_tokenization(text) if clean_up else text
    for id in ids:
        if not hasattr(id, "__index__"):
            raise TypeError(f"token_ids has one of type {type(id).__name__}; expected ints")
    if skip_special_tokens and not tokens.profile.specials_are_added:  # Padding is no special token of the engine's.
        skipped = {tokens.token_to_id(content) for content in specials.contents()}
        ids = [id for id in ids if id not in skipped]
    text = tokens.engine.decode(ids, skip_special_tokens)
    return text.strip() if tokens.profile.strips_decoded else text


def _segments(tokens: TokenTable, specials: SpecialTokens, ids: Sequence[int], skip_special_tokens: bool) -> list[str]:
    """Added tokens by themselves, and the text between them: the slow reference joins these with spaces."""
    special = set(specials.contents())
    skipped = {tokens.token_to_id(content) for content in special} if skip_special_tokens else set()
    apart = {id for content, id in tokens.added_ids.items() if content not in special}
    extra = {tokens.token_to_id(token.content) for token in specials.extra}
    apart |= {id for id in extra if id in tokens.added.by_id and id >= tokens.vocabulary.vocabulary_size}
    segments: list[str] = []
    run: list[int] = []

    def close() -> None:
        text = tokens.engine.decode(run).strip() if run else ""
        if text:
            segments.append(text)
        run.clear()

    for id in ids:
        if id in skipped:
            continue
        if id in apart:
            close()
            segments.append(tokens.added.by_id[id].content)
        else:
            run.append(id)
    close()
    return segments


def clean_up_tokenization(text: str) -> str:
    """No space before punctuation and shortened words."""
    for mark in (".", "?", "!", ","):
        text = text.replace(f" {mark}", mark)
    text = text.replace(" ' ", "'")
    for shortened in ("n't", "'m", "'s", "'ve", "'re"):
        text = text.replace(f" {shortened}", shortened)
    return text
