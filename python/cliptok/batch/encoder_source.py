"""Where a job's encoder comes from: a loaded encoder, or a checkpoint that each process loads for itself."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, NamedTuple

from cliptok.tokenizer.calls.options import one_of

if TYPE_CHECKING:
    from cliptok.encoder import TextEncoder


class EncoderSource(NamedTuple):
    """An encoder, or the arguments that load it. Picklable, for Ray."""

    source: Any
    subfolder: str | None = None
    device: Any = None
    dtype: Any = None

    def wants_gpu(self) -> bool:
        """Whether it runs on a GPU where there is one."""
        device = self.source.device if hasattr(self.source, "device") else self.device
        return device is None or "cuda" in str(device)

    def load(self, device: str | None = None) -> TextEncoder:
        """The encoder, loaded if need be, onto `device` if given rather than its own."""
        import torch

        from cliptok.encoder import TextEncoder

        if isinstance(self.source, TextEncoder):
            if (self.subfolder, self.device, self.dtype) != (None, None, None):
                raise ValueError("model is an encoder already; subfolder, device and dtype are for loading one")
            return self.source
        dtype = self.dtype
        if dtype is not None:
            name = one_of("dtype", str(dtype).removeprefix("torch."), ("float32", "float16", "bfloat16"))
            dtype = getattr(torch, name)
        device = device or self.device or ("cuda" if torch.cuda.is_available() else "cpu")
        encoder: TextEncoder = TextEncoder.from_pretrained(
            self.source, subfolder=self.subfolder, dtype=dtype, device=device
        )
        return encoder
