"""From prompts to a plan: grammar, tokens and chunks of a whole batch. Needs no torch."""

from __future__ import annotations

from collections.abc import Collection, Iterable, Mapping, Sequence
from typing import Any

from cliptok._common.collector import collector_paused
from cliptok.prompts.chunking.chunker import Chunker
from cliptok.prompts.dialects import Dialect, dialect_named
from cliptok.prompts.errors import PromptError, PromptWarning, places
from cliptok.prompts.families import PRESETS, family_named
from cliptok.prompts.limits import Limits
from cliptok.prompts.plan import Plan, Side
from cliptok.prompts.preparing import prepared
from cliptok.prompts.settings import quirks_for, settings_for
from cliptok.prompts.tokens import PieceTokenizer, profiled
from cliptok.prompts.tree import Parsed

Texts = str | Sequence[str]


class Planner:
    """The half of a `Conditioner` that needs no encoder: `plan` gives pieces, ids, weights and warnings.

    `dialect` is a name or a `Dialect`, `family` one of `families.FAMILIES`. `tokenizers` gives for each role of the
    family the pipeline's own tokenizer, for dialects that use it; the default is the one of the published pipelines.
    `quirks` is "exact", "fixed", or the names of the oddities to mend. `parts` (grammar, chunking, weighting, layers,
    pooled, fill) take the place of the dialect's. `on_error="literal"` takes a prompt that cannot be read as plain
    text; "raise" raises PromptError. `strict` raises the first warning as PromptError.

    Raises ValueError for unknown names.
    """

    def __init__(
        self,
        dialect: str | Dialect = "a1111",
        family: str = "sd1",
        *,
        tokenizers: Mapping[str, Any] | None = None,
        quirks: str | Iterable[str] = "exact",
        max_depth: int | None = 1000,
        max_chunks: int | None = 64,
        on_error: str = "raise",
        strict: bool = False,
        **parts: str | None,
    ) -> None:
        self.family = family_named(family)
        self.dialect = dialect_named(dialect).for_family(family).with_parts(**parts)
        self.fixed = quirks_for(self.dialect, quirks)
        """The names of the oddities that are mended."""
        self.limits = Limits(max_depth, max_chunks)
        """How deep a prompt may nest, and how many chunks it may have."""
        if on_error not in ("raise", "literal"):
            raise ValueError(f'on_error must be "raise" or "literal", not {on_error!r}')
        self.literal, self.strict = on_error == "literal", strict
        self.tokenizers = {role: self._tokenizer(role, tokenizers or {}) for role in self.family.roles}
        self.inversions: dict[str, dict[str, int]] = {role: {} for role in self.family.roles}
        """For each role the names of textual inversions and how many vectors they have."""

    def _tokenizer(self, role: str, given: Mapping[str, Any]) -> PieceTokenizer:
        name = self.dialect.tokenizers[role]
        pad = 0 if role != "l" and role not in self.dialect.zero_pad else None
        if name != "own":
            # Where zeros come in just before the encoding, chunks are padded with the end as for the other encoder.
            found = profiled(name)
            found.pad = found.end if pad is None else pad
            return found
        from cliptok import Tokenizer

        found = PieceTokenizer(given[role] if role in given else Tokenizer.from_preset(PRESETS[role]))
        if self.dialect.chunking in ("blocks", "padded-blocks"):
            found.pad = found.end
        return found

    def plan(
        self,
        prompts: Texts,
        prompt_2: Texts | None = None,
        negative: Texts | bool | None = None,
        negative_2: Texts | None = None,
        *,
        groups: Sequence[int] | None = None,
        paired: bool = True,
        **settings: Any,
    ) -> Plan:
        """Plan a batch. `prompt_2` and `negative_2` are what the second encoder reads, where that is something else.

        A single negative prompt is for all prompts; None is the dialect's own default, False leaves negatives out.
        `groups` numbers the batches that a dialect takes means over; the default is one for all prompts.
        `paired=False` allows any number of negative prompts, for schedules.

        Raises PromptError that names the row for a prompt that cannot be read, ValueError for an empty batch and for
        counts that do not fit, TypeError for settings that the dialect does not know.
        """
        known = settings_for(self.dialect, settings)
        blank = bool(known.get("blank_is_prompt"))
        positives = _pairs(prompts, prompt_2, "prompts", self._roles(known), blank)
        if groups is not None and len(groups) != len(positives):
            raise ValueError(f"groups has {len(groups)} numbers for {len(positives)} prompts")
        sides = [Side(positives, groups=list(groups or [0] * len(positives)))]
        if negative is not False:
            texts = "" if negative is None or negative is True else negative
            negatives = _pairs(texts, negative_2, "negative", self._roles(known), blank)
            if paired and len(negatives) not in (1, len(positives)):
                raise ValueError(
                    f"negative has {len(negatives)} prompts for {len(positives)} prompts; give one, or one for each"
                )
            sides.append(Side(negatives, groups=[0] * len(negatives)))
        with collector_paused():
            warnings = self._fill(sides, known)
        if self.strict:
            self._raise(warnings, sides)
        # What a caller asked of the negative prompt matters to diffusers' pipelines: None is zeros, "" is not.
        known["negative_given"] = not (negative is None or negative is False)
        return Plan(
            dialect=self.dialect.name,
            family=self.family.name,
            parts={
                name: getattr(self.dialect, name) for name in ("grammar", "chunking", "weighting", "layers", "pooled")
            },
            settings=known,
            fixed=self.fixed,
            prompts=sides[0],
            negatives=sides[1] if len(sides) > 1 else None,
            warnings=warnings[0],
            negative_warnings=warnings[1] if len(warnings) > 1 else [],
        )

    def plan_each(self, prompts: Sequence[str], **settings: Any) -> Plan:
        """Plan prompts without negatives, as if each were a call of its own: no length and no mean depends on another.

        Raises as `plan`.
        """
        if self.dialect.chunking not in ("lpw", "blocks", "padded-blocks"):
            return self.plan(prompts, negative=False, groups=range(len(prompts)), **settings)
        return Plan.joined([self._plan_one(prompt, row, settings) for row, prompt in enumerate(prompts)])

    def _plan_one(self, prompt: str, row: int, settings: Mapping[str, Any]) -> Plan:
        try:
            return self.plan([prompt], negative=False, **settings)
        except PromptError as error:
            raise error.located(self.dialect.name, row) from None

    def parse(self, prompt: str, negative: bool = False, **settings: Any) -> Parsed:
        """The tree of one prompt; `str()` prints it. Raises PromptError."""
        known = settings_for(self.dialect, settings)
        return self._parse(prompt, known, negative, None)

    def _roles(self, settings: Mapping[str, Any]) -> int:
        return len(self.family.roles)

    def _parse(self, text: str, settings: Mapping[str, Any], negative: bool, row: int | None) -> Parsed:
        if "empty_word" in settings and settings["empty_word"] and "empty-word" not in self.fixed and not text:
            text = "empty"
        try:
            return prepared(text, self.dialect.grammar, settings, self.limits, self.fixed, negative, self.literal)
        except PromptError as error:
            raise error.located(self.dialect.name, row, text) from None

    def _fill(self, sides: list[Side], settings: Mapping[str, Any]) -> list[list[PromptWarning]]:
        """Read and chunk the texts of all sides; the warnings of each."""
        read = [self._read(side, settings, bool(number)) for number, side in enumerate(sides)]
        trees, warnings = [found for found, _ in read], [found for _, found in read]
        chunker = Chunker(self.dialect, self.tokenizers, settings, self.fixed, self.limits, self.inversions)
        chunker.chunk(sides, trees, warnings)
        return warnings

    def _read(
        self, side: Side, settings: Mapping[str, Any], negative: bool
    ) -> tuple[list[tuple[Parsed, ...]], list[PromptWarning]]:
        """The trees of a side, one for each encoder, and their warnings. Equal texts are read once."""
        trees: list[tuple[Parsed, ...]] = []
        warnings: list[PromptWarning] = []
        known: dict[str, Parsed] = {}
        for row, texts in enumerate(self._joined(side.texts, settings)):
            each = []
            for text in texts:
                parsed = known.get(text)
                if parsed is None:
                    parsed = known[text] = self._parse(text, settings, negative, row)
                each.append(parsed)
            first = each[0]
            trees.append(tuple(each))
            shown = first.pieces
            side.pieces.append(list(zip(shown.texts, shown.weights, strict=True)))
            side.spans.append(shown.spans)
            side.networks.append(first.networks)
            at = places(first.text, (notice.start for notice in first.notices))
            warnings += [
                PromptWarning(row, *where, notice.kind, notice.message)
                for where, notice in zip(at, first.notices, strict=True)
            ]
        return trees, warnings

    def _joined(self, texts: list[tuple[str, ...]], settings: Mapping[str, Any]) -> Iterable[tuple[str, ...]]:
        """What each encoder reads; lpw-xl joins the two texts and gives both encoders the same."""
        if not settings.get("join_prompts") or "joined-prompts" in self.fixed:
            return texts
        return (texts_of if len(set(texts_of)) == 1 else (" ".join(texts_of),) * len(texts_of) for texts_of in texts)

    def _raise(self, warnings: Collection[list[PromptWarning]], sides: list[Side]) -> None:
        for found, side in zip(warnings, sides, strict=True):
            for warning in found:
                text = side.texts[warning.row][0]
                lines = text.split("\n")
                start = sum(len(line) + 1 for line in lines[: warning.line - 1]) + warning.column - 1
                raise PromptError(warning.message, text=text, start=start, dialect=self.dialect.name, row=warning.row)


def _pairs(
    first: Texts | bool, second: Texts | None, name: str, roles: int, blank_is_first: bool
) -> list[tuple[str, ...]]:
    """For each prompt the text of each encoder.

    A `second` of "" is none, as in diffusers' pipelines; with `blank_is_first` so is each blank text in it.
    """
    ones = _texts(first, name)
    if second is None or second == "" or roles == 1:
        return [(text,) * roles for text in ones]
    twos = _texts(second, f"{name}_2")
    if len(twos) == 1:
        twos = twos * len(ones)
    if len(twos) != len(ones):
        raise ValueError(f"{name}_2 has {len(twos)} texts for {len(ones)} prompts; give one, or one for each")
    if blank_is_first:
        twos = [two if two.strip() else one for one, two in zip(ones, twos, strict=True)]
    return [(one, *[two] * (roles - 1)) for one, two in zip(ones, twos, strict=True)]


def _texts(value: Texts | bool, name: str) -> list[str]:
    if isinstance(value, str):
        return [value]
    if isinstance(value, bool):
        raise TypeError(f"{name} must be a str or a sequence of str, not {value!r}")
    texts = list(value)
    for row, text in enumerate(texts):
        if not isinstance(text, str):
            raise TypeError(f"{name}[{row}] is {type(text).__name__}; expected str")
    if not texts:
        raise ValueError(f"{name} is empty; give at least one")
    return texts
