"""From ids back to text, as each profile's reference does it."""

from collections.abc import Iterable
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from cliptok.tokenizer.tokens.token_table import TokenTable

_END_OF_WORD = "</w>"


def as_ids(token_ids: Any) -> Any:
    """An int, a list of ints or a list of lists, from those, an array, a tensor or an encoding."""
    if isinstance(token_ids, dict):
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


def decode(tok: "TokenTable", ids: list[int], skip_special_tokens: bool, clean_up: bool) -> str:
    """The text of one sequence of ids."""
    if tok._profile.name == "transformers-slow":
        text = " ".join(_segments(tok, ids, skip_special_tokens))
        return _clean_up(text) if clean_up else text
    text = tok._engine.decode(ids, skip_special_tokens).replace(_END_OF_WORD, " ")
    return text.strip() if tok._profile.strips_decoded else text


def _segments(tok: "TokenTable", ids: list[int], skip_special_tokens: bool) -> list[str]:
    """The slow reference sets added tokens apart and joins what lies between, so it is decoded in pieces."""
    special = set(tok.all_special_tokens)
    skipped = set(tok.all_special_ids) if skip_special_tokens else set()
    apart = {content for content in tok._added_ids if content not in special}
    apart |= {content for content in tok.extra_special_tokens if tok.convert_tokens_to_ids(content) >= tok.vocab_size}
    apart_ids = {tok._added_ids[content] for content in apart if content in tok._added_ids}
    segments: list[str] = []
    run: list[int] = []

    def close() -> None:
        text = tok._engine.decode(run).replace(_END_OF_WORD, " ").strip() if run else ""
        if text:
            segments.append(text)
        run.clear()

    for id in ids:
        if id in skipped:
            continue
        if id in apart_ids:
            close()
            segments.append(tok._added.by_id[id].content)
        else:
            run.append(id)
    close()
    return segments


def _clean_up(text: str) -> str:
    """What transformers calls `clean_up_tokenization`: no space before punctuation and shortened words."""
    for mark in (".", "?", "!", ","):
        text = text.replace(f" {mark}", mark)
    text = text.replace(" ' ", "'")
    for shortened in ("n't", "'m", "'s", "'ve", "'re"):
        text = text.replace(f" {shortened}", shortened)
    return text
