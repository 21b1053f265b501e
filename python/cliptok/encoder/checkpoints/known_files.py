"""Checkpoints that open_clip released under a name that ends in eight digits of their SHA-256, and their activation.

From `open_clip.pretrained` (3.3). Nothing in these files says which activation they were trained with.
"""

ACTIVATION_BY_SHA256 = {
    "3e04b30e": "quick_gelu",  # rn101-quickgelu-yfcc15m
    "f000538c": "quick_gelu",  # rn50-quickgelu-cc12m
    "455df137": "quick_gelu",  # rn50-quickgelu-yfcc15m
    "00efa78f": "gelu",  # vit_b_16-laion400m_e31
    "55e67d44": "gelu",  # vit_b_16-laion400m_e32
    "8fb26589": "gelu",  # vit_b_16_plus_240-laion400m_e31
    "699c4b84": "gelu",  # vit_b_16_plus_240-laion400m_e32
    "af8dbd0c": "gelu",  # vit_b_32-laion2b_e16
    "d867053b": "quick_gelu",  # vit_b_32-quickgelu-laion400m_e31
    "46683a32": "quick_gelu",  # vit_b_32-quickgelu-laion400m_e32
    "69988bb6": "gelu",  # vit_l_14-laion400m_e31
    "3d133497": "gelu",  # vit_l_14-laion400m_e32
}
