"""`Conditioner`: prompts as people type them to what a diffusers pipeline takes."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

import torch
from torch import Tensor

from cliptok.prompts.conditioning import Conditioning
from cliptok.prompts.dialects import Dialect
from cliptok.prompts.encoding import Encoding, Role, encode_role, projected
from cliptok.prompts.families import family_named
from cliptok.prompts.filling import filled
from cliptok.prompts.plan import Plan, Side
from cliptok.prompts.planner import Planner, Texts
from cliptok.prompts.sources import from_folder, from_pipeline, read_vectors
from cliptok.prompts.states import StateCache, Stats

if TYPE_CHECKING:
    from cliptok.prompts.explain import Explanation
    from cliptok.prompts.schedules import Schedule

CACHE_BYTES = 256 << 20


class Conditioner(Planner):
    """Turns prompts into conditioning, in the exact semantics of a dialect's tool, a whole batch at once.

    `encoders` are the CLIP text encoders of a model in its order (one, or two for "sdxl" and "sd3"), ours or
    transformers'; `tokenizers` the model's own, one for each, for dialects that use them (CLIP's own by default).
    `family` is one of `FAMILIES`. `dialect`, `quirks`, `max_depth`, `max_chunks`, `on_error`, `strict` and the parts
    are as for `Planner`. `cache_bytes` bounds the cache of encoded chunks, 0 for none. `dtype` of the results defaults
    to the encoders'; weights are applied in float32. `sd2_full_depth` says whether an SD 2 encoder has all its 24
    blocks; by default one of 24 has.

    Safe to share between threads after embeddings are added. Raises ValueError for encoders that do not fit the family.
    """

    def __init__(
        self,
        encoders: Any,
        tokenizers: Any = None,
        *,
        family: str = "sd1",
        dialect: str | Dialect = "a1111",
        quirks: str | Iterable[str] = "exact",
        max_depth: int | None = 1000,
        max_chunks: int | None = 64,
        on_error: str = "raise",
        strict: bool = False,
        cache_bytes: int = CACHE_BYTES,
        dtype: torch.dtype | None = None,
        sd2_full_depth: bool | None = None,
        **parts: str | None,
    ) -> None:
        from cliptok.prompts.sources import as_encoder

        roles = family_named(family).roles
        given = list(encoders) if isinstance(encoders, Sequence) else [encoders]
        own = list(tokenizers) if isinstance(tokenizers, Sequence) else [tokenizers] * (tokenizers is not None)
        if len(given) != len(roles):
            raise ValueError(f"family {family!r} has {len(roles)} encoders, not {len(given)}")
        if own and len(own) != len(roles):
            raise ValueError(f"there are {len(given)} encoders and {len(own)} tokenizers; give one tokenizer each")
        super().__init__(
            dialect,
            family,
            tokenizers=dict(zip(roles, own, strict=False)),
            quirks=quirks,
            max_depth=max_depth,
            max_chunks=max_chunks,
            on_error=on_error,
            strict=strict,
            **parts,
        )
        self.roles: list[Role] = []
        """The encoders with their tokenizers, in the family's order."""
        for number, (name, one) in enumerate(zip(roles, given, strict=True)):
            encoder = as_encoder(one)
            if own and self.dialect.tokenizers[name] == "own":
                encoder.warn_of(own[number], "The image model reads padding too; take encoder.tokenizer", padded=True)
            full = encoder.depth == 24 if sd2_full_depth is None else sd2_full_depth
            zero = name in self.dialect.zero_pad
            self.roles.append(Role(name, encoder, self.tokenizers[name], zero, full))
        self.dtype = dtype or self.roles[-1].encoder.dtype
        self.cache = StateCache(cache_bytes)
        """States of rows that were encoded before."""
        self.zero_without_negative = self.family.name in ("sdxl", "sdxl-refiner")
        """diffusers' `force_zeros_for_empty_prompt`: no negative prompt at all is zeros, in the dialect "diffusers"."""

    @classmethod
    def from_pretrained(
        cls,
        source: str | Path,
        *,
        dialect: str | Dialect = "a1111",
        family: str | None = None,
        device: torch.device | str = "cpu",
        dtype: torch.dtype | None = None,
        loading: Mapping[str, Any] | None = None,
        **options: Any,
    ) -> Conditioner:
        """Load the CLIP text encoders of a pipeline's folder, a single-file checkpoint, or a hub name.

        `family` is found from what there is unless it is given. `loading` are arguments of
        `TextEncoder.from_pretrained` such as `variant="fp16"`; other options are the constructor's. Raises as
        `TextEncoder.from_pretrained`, and ValueError that names what is missing.
        """
        found = from_folder(source, family, device, dtype, dict(loading or {}))
        return cls(found.encoders, found.tokenizers, family=found.family, dialect=dialect, **options)

    @classmethod
    def from_pipeline(cls, pipe: Any, *, dialect: str | Dialect = "a1111", **options: Any) -> Conditioner:
        """Use the encoders and tokenizers of a loaded diffusers pipeline. Their weights are shared, not copied.

        Raises ValueError for a pipeline without CLIP text encoders, TypeError for encoders with wrapped layers, such
        as an adapter that is not merged.
        """
        found = from_pipeline(pipe)
        made = cls(found.encoders, found.tokenizers, family=found.family, dialect=dialect, **options)
        made.zero_without_negative = found.zeros
        return made

    @property
    def stats(self) -> Stats:
        """Rows asked for, rows that the encoders ran, rows and bytes in the cache."""
        return self.cache.stats

    @property
    def device(self) -> torch.device:
        """Where the first encoder is."""
        return self.roles[0].encoder.device

    def __call__(
        self,
        prompts: Texts,
        prompt_2: Texts | None = None,
        negative: Texts | bool | None = None,
        negative_2: Texts | None = None,
        *,
        groups: Sequence[int] | None = None,
        **settings: Any,
    ) -> Conditioning:
        """`encode(plan(...))`: the conditioning of a batch of prompts, for `pipe(**conditioning)`."""
        return self.encode(self.plan(prompts, prompt_2, negative, negative_2, groups=groups, **settings))

    def encode(self, plan: Plan, *, pooled: bool | None = None) -> Conditioning:
        """Compute a plan. Distinct rows of ids are encoded once, in one pass, and only those that the cache lacks.

        `pooled` asks for pooled outputs also where the family's image model takes none. Raises ValueError for a plan
        of another family or dialect, and for a clip skip that there is no layer for.
        """
        if plan.family != self.family.name or plan.dialect != self.dialect.name:
            raise ValueError(
                f"the plan is for {plan.dialect} and {plan.family}, the conditioner for {self.dialect.name} and "
                f"{self.family.name}"
            )
        sides = [plan.prompts] if plan.negatives is None else [plan.prompts, plan.negatives]
        with_pooled = self.family.pooled if pooled is None else pooled
        with torch.no_grad():
            columns = [
                encode_role(role, self.family, plan, sides, number, self._pools(role, with_pooled), self.cache)
                for number, role in enumerate(self.roles)
            ]
            return self._finished(plan, sides, columns, with_pooled)

    def _pools(self, role: Role, pooled: bool) -> bool:
        return pooled and (role is self.roles[-1] or self.family.name == "sd3")

    def _finished(
        self, plan: Plan, sides: list[Side], columns: list[list[Encoding]], with_pooled: bool
    ) -> Conditioning:
        blank = self._blank(plan, sides)
        for column, of_sides in zip(columns, blank, strict=True):
            for encoding, rows in zip(column, of_sides, strict=True):
                for row in rows:
                    encoding.texts[row] = torch.zeros_like(encoding.texts[row])
        empty = torch.cat([column[0].filler for column in columns], dim=-1)
        texts = [
            [
                _side_by_side([column[which].texts[row] for column in columns], columns, which, plan.settings["fill"])
                for row in range(len(side))
            ]
            for which, side in enumerate(sides)
        ]
        states = filled([text for side in texts for text in side], plan.settings["fill"], empty)
        embeds = list(torch.split(states, [len(side) for side in sides]))
        pooled = (
            [self._pooled(plan, side, columns, which) for which, side in enumerate(sides)]
            if with_pooled
            else [None] * len(sides)
        )
        for which, side in enumerate(sides):
            zeroed = self._zeroed(plan, side, bool(which))
            embeds[which][zeroed] = 0
            if (of_side := pooled[which]) is not None:
                of_side[[*zeroed, *blank[-1][which]]] = 0
        if self.family.width is not None:
            embeds = [torch.nn.functional.pad(x, (0, self.family.width - x.shape[-1])) for x in embeds]
        count = len(plan.prompts)
        result: dict[str, Tensor | None] = {}
        for which, prefix in enumerate(("", "negative_")[: len(sides)]):
            if self.family.name != "flux":
                result[f"{prefix}prompt_embeds"] = self._expanded(embeds[which], count)
            result[f"{prefix}pooled_prompt_embeds"] = self._expanded(pooled[which], count)
        return Conditioning(**result)

    def _expanded(self, x: Tensor | None, count: int) -> Tensor | None:
        """One negative prompt for all prompts, in the dtype of the results."""
        if x is None:
            return None
        x = x.to(self.dtype)
        return x.expand(count, *x.shape[1:]) if len(x) == 1 and count > 1 else x

    def _pooled(self, plan: Plan, side: Side, columns: list[list[Encoding]], which: int) -> Tensor:
        last = columns[-1][which].pooled
        assert last is not None
        if plan.settings.get("te_pooled"):
            return projected(self.roles[-1].encoder, self._pooled_of_states(columns[-1][which], side))
        encoder = self.roles[-1].encoder
        if self.family.name in ("sd1", "flux"):
            return last.clone()
        last = projected(encoder, last)
        if self.family.name != "sd3":
            return last
        first = columns[0][which].pooled
        assert first is not None
        # ComfyUI and the web UI leave out encoder L's projection, diffusers does not.
        if self.dialect.layers == "diffusers":
            first = projected(self.roles[0].encoder, first)
        return torch.cat([first, last], dim=-1)

    def _blank(self, plan: Plan, sides: list[Side]) -> list[list[list[int]]]:
        """For each encoder and side the rows whose text is exactly empty, where the dialect makes those zeros."""
        rows = [
            [[row for row, texts in enumerate(side.texts) if not texts[number]] for side in sides]
            for number in range(len(self.roles))
        ]
        zeros = plan.settings.get("zero_empty") and self.family.name in ("sdxl", "sdxl-refiner")
        return rows if zeros else [[[] for _ in sides] for _ in self.roles]

    def _zeroed(self, plan: Plan, side: Side, negative: bool) -> list[int]:
        """The rows whose conditioning is zeros since no text at all was given, as a negative prompt."""
        settings = plan.settings
        if self.family.name not in ("sdxl", "sdxl-refiner") or not negative or "zero_empty_negative" not in settings:
            return []
        asked = settings["zero_empty_negative"]
        if asked is None:
            asked = self.zero_without_negative and not settings.get("negative_given")
        blank = [row for row, texts in enumerate(side.texts) if not any(texts)]
        return blank if asked and len(blank) == len(side) else []

    def _pooled_of_states(self, encoding: Encoding, side: Side) -> Tensor:
        """SD.Next's option: the weighted state at the place that the first end has in the last section."""
        end = self.roles[-1].tokenizer.end
        found = []
        for states, chunks in zip(encoding.texts, side.chunks, strict=True):
            last = chunks[-1].ids[chunks[-1].sections[-1].start :]
            found.append(states[int((last.ravel() == end).argmax())])
        return torch.stack(found)

    # -- textual inversions

    def add_embedding(self, name: str, vectors: Any) -> None:
        """Add a textual inversion: `vectors` is a file, a tensor (n, width), or a mapping of roles ("l", "g", "h") to
        tensors. The web UI's dialects find it by the ids of its name, ComfyUI's as `embedding:name`.

        Dialects that use the pipeline's own tokenizer know the tokens that were added to it: load the embedding with
        `TextEncoder.load_textual_inversion` or diffusers' loader instead. Raises ValueError for vectors of another
        width.
        """
        if self.dialect.tokenizers[self.roles[0].name] == "own":
            raise ValueError(
                f"the dialect {self.dialect.name!r} takes embeddings from the pipeline's tokenizer and encoder; load "
                "them there, with load_textual_inversion"
            )
        # All that can fail is done before anything is changed.
        tables = []
        for role in self.roles:
            found = read_vectors(vectors, role.name, role.encoder.config.width, name)
            found = found.to(role.encoder.device, torch.float32)
            old = found[:0] if role.vectors is None else role.vectors
            tables.append((role, len(old), torch.cat([old, found])))
        for role, start, table in tables:
            role.vectors = table
            role.inversions[name] = start
            self.inversions[role.name][name] = len(table) - start

    # -- other views

    def schedule(self, prompt: str, steps: int, hires_steps: int | None = None, **options: Any) -> Schedule:
        """The distinct conditionings of a prompt with AND, schedules or alternations, and which step uses which."""
        from cliptok.prompts.schedules import make_schedule

        return make_schedule(self, self.encode, prompt, steps, hires_steps, **options)

    def explain(self, prompt: str, **settings: Any) -> Explanation:
        """What happens to a prompt, as text and, in a notebook, as HTML."""
        from cliptok.prompts.explain import explain

        return explain(self, prompt, **settings)


def _side_by_side(states: list[Tensor], columns: list[list[Encoding]], which: int, fill: str) -> Tensor:
    """Both encoders' states of one text; the shorter gets its encoder's empty prompt, or zeros where `fill` says so."""
    length = max(len(one) for one in states)
    full = []
    for one, column in zip(states, columns, strict=True):
        missing = (length - len(one)) // 77
        filling = column[which].empty.repeat(missing, 1)
        full.append(torch.cat([one, torch.zeros_like(filling) if fill == "zeros" else filling]))
    return full[0] if len(full) == 1 else torch.cat(full, dim=-1)
