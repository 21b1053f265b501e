"""What a forward pass returns: a mapping with attributes, fields and their order as in transformers' output classes."""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Iterable
from typing import Any, ClassVar

import torch
import torch.utils._pytree as pytree
from torch import Tensor
from torch._subclasses.fake_tensor import FakeTensor

POOLED = ("pooler_output", "text_embeds")


class EndOfSequence:
    """Which rows have an end-of-sequence id. Checked when a pooled output is read, since only that needs one."""

    def __init__(self, found: Tensor, end_id: int) -> None:
        self.found, self.end_id = found, end_id

    def check(self) -> None:
        """Raises ValueError with the first row (of `found`, bool (n,)) that has none."""
        if isinstance(self.found, FakeTensor) or bool(self.found.all()):
            return
        row = int((~self.found).nonzero()[0])
        raise ValueError(
            f"input_ids row {row} has no end-of-text id ({self.end_id}), where its pooled output would be taken; "
            "tokenize with special tokens, and truncate long texts with truncation=True"
        )


class TextEncoderOutput(OrderedDict[str, Any]):
    """The output of transformers' `CLIPTextModel`: `last_hidden_state`, `pooler_output`, `hidden_states`, `attentions`.

    Shapes, for ids (n, length): `last_hidden_state` (n, length, width) after the final LayerNorm, `pooler_output` (n,
    width), `hidden_states` layers + 1 tensors (n, length, width), the last before the final LayerNorm, where they were
    asked for (None in the place of one that was not). Fields are attributes and items; integers and slices index the
    fields that are not None, since diffusers reads `[0]` and `[-1]`. `attentions` is always None. Reading a pooled
    field raises ValueError where a row of ids has no end-of-sequence id; in the plain values of the mapping such rows
    are NaN.
    """

    fields: ClassVar[tuple[str, ...]] = ("last_hidden_state", "pooler_output", "hidden_states", "attentions")
    """The names of the fields, in order."""
    indexed: ClassVar[tuple[str, ...]] = fields
    """Those that integers index."""

    def __init__(self, values: Any = (), /, end: EndOfSequence | None = None, **named: Any) -> None:
        super().__init__()
        object.__setattr__(self, "end", end)
        given = dict(values, **named)
        for name in self.fields:
            if given.get(name) is not None:
                self[name] = given[name]

    def unchecked(self, name: str) -> Any:
        """The value of a field, pooled ones without the check."""
        return super().__getitem__(name)

    def clone(self) -> TextEncoderOutput:
        """The same values in memory of their own."""
        end = None if self.end is None else EndOfSequence(self.end.found.clone(), self.end.end_id)
        return type(self)(pytree.tree_map_only(Tensor, torch.clone, {name: self.unchecked(name) for name in self}), end)

    def to_tuple(self) -> tuple[Any, ...]:
        """The values in order, without those that are None."""
        return tuple(self.unchecked(name) for name in self.indexed if name in self)

    def __getitem__(self, key: Any) -> Any:
        if not isinstance(key, str):
            names = [name for name in self.indexed if name in self][key]
            return self[names] if isinstance(names, str) else tuple(self[name] for name in names)
        if key not in self:
            raise KeyError(f"the output has no {key!r}; it has {', '.join(self)}")
        if key in POOLED and self.end is not None:
            self.end.check()
        return super().__getitem__(key)

    def __getattr__(self, name: str) -> Any:
        if name not in self.fields:
            raise AttributeError(f"{type(self).__name__} has no {name!r}; its fields are {', '.join(self.fields)}")
        return self.get(name)

    def get(self, name: str, default: Any = None) -> Any:
        """The field `name`, or `default` where the output has none."""
        return self[name] if name in self else default  # noqa: SIM401 (dict.get would pass over the check)

    def __setattr__(self, name: str, value: Any) -> None:
        if name in self.fields:
            self[name] = value
        else:
            super().__setattr__(name, value)

    def __reduce__(self) -> Any:
        return type(self), ({name: self.unchecked(name) for name in self},)


class ProjectedOutput(TextEncoderOutput):
    """The output of transformers' `CLIPTextModelWithProjection`: `text_embeds` (n, projection), no `pooler_output`."""

    fields = ("text_embeds", "last_hidden_state", "hidden_states", "attentions")
    indexed = fields


class WholeClipOutput(TextEncoderOutput):
    """The output of the text tower of a whole CLIP, for which transformers has no class of its own.

    The fields of `CLIPTextModel`, which is what pipelines put in its place, and by name `text_embeds` (n, projection).
    """

    fields = ("last_hidden_state", "pooler_output", "text_embeds", "hidden_states", "attentions")


OUTPUTS: dict[str, type[TextEncoderOutput]] = {
    "CLIPTextModel": TextEncoderOutput,
    "CLIPTextModelWithProjection": ProjectedOutput,
    "CLIPModel": WholeClipOutput,
}


def _register(kind: type[TextEncoderOutput]) -> None:
    def flatten(output: TextEncoderOutput) -> tuple[list[Any], list[str]]:
        return [output.unchecked(name) for name in output], list(output)

    def unflatten(values: Iterable[Any], names: Any) -> TextEncoderOutput:
        return kind(zip(names, values, strict=True))

    name = f"cliptok.{kind.__name__}"
    pytree.register_pytree_node(kind, flatten, unflatten, serialized_type_name=name)


for _kind in OUTPUTS.values():
    _register(_kind)
