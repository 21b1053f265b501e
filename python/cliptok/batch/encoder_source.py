"""Where a job's encoder comes from: a loaded encoder, or a checkpoint that each process loads for itself."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, NamedTuple

from cliptok._common.errors import is_out_of_memory
from cliptok._common.extras import need
from cliptok.tokenizer.calls.options import one_of

if TYPE_CHECKING:
    from cliptok.encoder import TextEncoder
    from cliptok.prompts import Conditioner


class EncoderSource(NamedTuple):
    """An encoder, or the arguments that load it. Picklable, for Ray."""

    source: Any
    subfolder: str | None = None
    device: Any = None
    dtype: Any = None
    options: tuple[tuple[str, str], ...] = ()
    """Further arguments of `TextEncoder.from_pretrained`."""

    def wants_gpu(self) -> bool:
        """Whether it runs on a GPU where there is one."""
        device = self.source.device if hasattr(self.source, "device") else self.device
        return device is None or "cuda" in str(device)

    def default_device(self) -> str:
        """Where it is loaded to unless another device is named."""
        import torch

        if hasattr(self.source, "device"):
            return str(self.source.device)
        return str(self.device or ("cuda" if torch.cuda.is_available() else "cpu"))

    def load(self, device: str | None = None) -> TextEncoder:
        """The encoder, loaded if need be, onto `device` if given rather than its own.

        Raises ValueError for a device that is none or is not there, and for arguments beside a loaded encoder.
        """
        need("embedding", "torch", "safetensors")
        import torch

        from cliptok.encoder import TextEncoder

        if isinstance(self.source, torch.nn.Module) and not isinstance(self.source, TextEncoder):
            kind = type(self.source).__name__
            raise TypeError(f"model is a {kind}; expected a cliptok.TextEncoder, or a folder, file or hub name")
        if isinstance(self.source, TextEncoder):
            if self[1:] != EncoderSource(None)[1:]:
                raise ValueError("model is an encoder already; subfolder, device, dtype and such are for loading one")
            return self.source
        encoder: TextEncoder = self._loaded(
            TextEncoder.from_pretrained, device, "a text encoder", subfolder=self.subfolder
        )
        return encoder

    def load_conditioner(self, dialect: str, device: str | None = None) -> Conditioner:
        """The conditioner that is given, or one of the CLIP parts of a pipeline in its dialect, without a cache.

        It is loaded onto `device` if given rather than its own.

        Raises ValueError as `load`, and for another dialect than that of a conditioner that is given.
        """
        need("embedding", "torch", "safetensors")
        from cliptok.prompts import Conditioner

        if isinstance(self.source, Conditioner):
            if self[1:] != EncoderSource(None)[1:]:
                raise ValueError("pipeline is a conditioner already; device, dtype and such are for loading one")
            if dialect not in ("diffusers", self.source.dialect.name):
                raise ValueError(f"dialect is {dialect!r}, but the conditioner has {self.source.dialect.name!r}")
            return self.source

        def load(source: Any, *, device: Any, dtype: Any, **loading: Any) -> Conditioner:
            return Conditioner.from_pretrained(
                source, dialect=dialect, device=device, dtype=dtype, loading=loading, cache_bytes=0
            )

        made: Conditioner = self._loaded(load, device, "the CLIP parts of a pipeline")
        return made

    def _loaded(self, load: Any, device: str | None, what: str, **options: Any) -> Any:
        """What `load` makes of the source, with errors that say what it is."""
        dtype = self.dtype
        if dtype is not None:
            dtype = one_of("dtype", str(dtype).removeprefix("torch."), ("float32", "float16", "bfloat16"))
        device = device or self.default_device()
        try:
            return load(self.source, dtype=dtype, device=device, **options, **dict(self.options))
        except (OSError, ValueError, TypeError, ImportError):
            raise
        except Exception as error:
            if is_out_of_memory(error):
                raise
            reason = next(iter(str(error).strip().splitlines()), type(error).__name__)
            raise ValueError(f"{self.source} does not load as {what}: {reason}") from error
