"""`load_state_dict` that loads everything or nothing."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import torch
from torch import Tensor, nn

from cliptok.encoder.weights import fault


@torch.no_grad()
def load_whole(model: nn.Module, load: Callable[[bool], Any], assign: bool) -> Any:
    """Call `load(assign)`, torch's `load_state_dict` of `model`, and undo it where it raises.

    Torch copies tensor by tensor and raises at the end. Here it assigns first, which copies nothing; then values are
    copied into the parameters that there were, unless `assign` keeps the given ones. Raises ValueError for integers,
    complex numbers and tensors without values, which torch would cast.
    """
    tables: list[tuple[dict[str, Any], dict[str, Any]]] = []
    for module in model.modules():
        tables += [(table, dict(table)) for table in (module._parameters, module._buffers)]
    try:
        result = load(True)
        fresh = [
            (table, name, old, table.get(name))
            for table, before in tables
            for name, old in before.items()
            if table.get(name) is not old
        ]
        for _, name, old, new in fresh:
            if isinstance(old, Tensor) and old.is_floating_point() and (found := fault(new)) is not None:
                raise ValueError(f"state_dict has {name} that is {found}; expected dense floating-point numbers")
    except BaseException:
        for table, before in tables:
            table.clear()
            table.update(before)
        raise
    if not assign:
        for table, name, old, new in fresh:
            table[name] = old
            old.copy_(new)
    return result
