"""What open_clip's main branch says of the text towers of presets that release 3.3 lacks, one or more of each kind.

Only options: a preset that shares all of them with one that is listed, but for sizes, is of its kind.
"""

from __future__ import annotations

from typing import Any

_B = {"context_length": 77, "vocab_size": 49408, "width": 512, "heads": 8, "layers": 12}
_IMAGES: dict[str, Any] = {"vision_cfg": {"image_size": 224, "layers": 12, "width": 768, "patch_size": 32}}
_SOUND: dict[str, Any] = {"audio_cfg": {"model_type": "HTSAT", "model_name": "tiny"}}
_TIKTOKEN = {
    "pad_id": 50258,
    "bos_id": 50259,
    "eos_id": 50257,
    "tokenizer_type": "tiktoken",
    "tiktoken_name": "r50k_base",
}
_MODERN = {"text_arch": "modern", "variable_text": True, "pos_embed": "rope", "norm_type": "rmsnorm", "qk_norm": False}
_TIPS = {
    **_B,
    "context_length": 64,
    "vocab_size": 32000,
    "hf_tokenizer_name": "tips",
    "tokenizer_mode": "tips",
    "no_causal_mask": True,
    "use_pad_mask": True,
    "pool_type": "mean",
    "pos_embed_type": "sinusoidal",
    "scale_sqrt_depth": True,
    "proj_type": "none",
    "act_layer": "relu",
}
_SIGLIP2 = {
    **_B,
    "context_length": 64,
    "vocab_size": 256000,
    "hf_tokenizer_name": "timm/ViT-B-16-SigLIP2-256",
    "no_causal_mask": True,
    "proj_bias": True,
    "pool_type": "last",
    "norm_kwargs": {"eps": 1e-6},
}
_ROBERTA = {"hf_model_name": "roberta-base", "hf_tokenizer_name": "roberta-base", "hf_pooler_type": "cls_pooler"}

PRESETS: dict[str, dict[str, Any]] = {
    "naflex_ViT-B-16": {**_IMAGES, "custom_text": True, "text_cfg": _B},
    "naflex_ViT-B-32": {**_IMAGES, "custom_text": True, "text_cfg": _B},
    "CLAP-HTSAT-tiny-Roberta-base": {**_SOUND, "text_cfg": {**_ROBERTA, "hf_proj_type": "clap_mlp"}},
    "CLAP-Whisper-base-Roberta-base": {"audio_cfg": {"model_type": "whisper"}, "text_cfg": _ROBERTA},
    "SuperCLIP-ViT-B-16": {**_IMAGES, "text_cfg": _B, "clstext_cfg": {**_B, "layers": 0}},
    "TIPSv2-B-14": {**_IMAGES, "custom_text": True, "text_cfg": _TIPS},
    "ViT-B-16-SigLIP2-naflex": {**_IMAGES, "custom_text": True, "text_cfg": _SIGLIP2},
    "mammut2_ViT-B-32": {**_IMAGES, "multimodal_cfg": {**_B, "cross_attn_ratio": 2}},
    "mammut2-moderntext_ViT-B-32": {**_IMAGES, "multimodal_cfg": {**_B, **_MODERN, **_TIKTOKEN}},
    "naflexclap_little": {"audio_cfg": {"model_type": "naflexvit"}, "text_cfg": _B},
    "naflexclap_base_pf8_pt16_moderntext": {
        "audio_cfg": {"model_type": "naflexvit"},
        "text_cfg": {**_B, **_MODERN, **_TIKTOKEN, "attention_mode": "causal", "pool_type": "eos"},
    },
    "naflexgenlip_test": {**_IMAGES, "genlip_cfg": {"width": 64}, "text_cfg": {"context_length": 64, **_TIKTOKEN}},
    "naflexgenlap_test_1d": {"genlap_cfg": {"width": 64}, "audio_naflex_cfg": {"n_mels": 64}, "text_cfg": _TIKTOKEN},
}
