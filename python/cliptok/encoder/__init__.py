"""The CLIP text encoder, in torch."""

from .config import PRESETS, TextConfig
from .model import TextEncoder
from .output import TextEncoderOutput

__all__ = ["PRESETS", "TextConfig", "TextEncoder", "TextEncoderOutput"]
