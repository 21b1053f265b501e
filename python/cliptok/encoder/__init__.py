"""The CLIP text encoder, in torch."""

from cliptok.encoder.checkpoints.verifying import Verification, verify
from cliptok.encoder.config import PRESETS, TextConfig
from cliptok.encoder.output import TextEncoderOutput
from cliptok.encoder.text_encoder import TextEncoder

__all__ = ["PRESETS", "TextConfig", "TextEncoder", "TextEncoderOutput", "Verification", "verify"]
