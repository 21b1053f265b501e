"""The CLIP text encoder, in torch. Needs the extra `torch`."""

from importlib.util import find_spec

from cliptok._common.extras import need

if find_spec("torch") is None:
    need("cliptok.encoder", "torch", "safetensors")

from cliptok.encoder.caching.store import EmbeddingCache
from cliptok.encoder.checkpoints.verifying import Verification, verify
from cliptok.encoder.config import PRESETS, TextConfig
from cliptok.encoder.output import TextEncoderOutput
from cliptok.encoder.text_encoder import TextEncoder

__all__ = ["PRESETS", "EmbeddingCache", "TextConfig", "TextEncoder", "TextEncoderOutput", "Verification", "verify"]
