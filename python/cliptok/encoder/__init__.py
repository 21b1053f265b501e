"""The CLIP text encoder, in torch."""

from cliptok.encoder.config import PRESETS, TextConfig
from cliptok.encoder.model import TextEncoder
from cliptok.encoder.output import TextEncoderOutput

__all__ = ["PRESETS", "TextConfig", "TextEncoder", "TextEncoderOutput"]
