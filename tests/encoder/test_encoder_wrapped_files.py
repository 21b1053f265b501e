"""Checkpoints as trainers leave them: tensors under other names, and objects beside them that are never made."""

from __future__ import annotations

import sys
import types

import pytest
import torch

from cliptok.encoder import TextEncoder
from support.towers import config_of, hf_model, load_named, same

CONFIG = config_of("ViT-B")


def load(path, **more):
    return TextEncoder.from_pretrained(path, heads=CONFIG.heads, activation=CONFIG.activation, **more)


@pytest.mark.parametrize("wrapper", ["state_dict", "model", "model_state_dict", "net", "module", "ema"])
@pytest.mark.parametrize("prefix", ["", "module.", "_orig_mod.", "module._orig_mod."])
def test_wrappers(tmp_path, wrapper, prefix):
    model = hf_model(CONFIG)
    tensors = {prefix + name: value for name, value in load_named(model).items()}
    torch.save({"epoch": 1, wrapper: tensors, "loss": 0.1}, tmp_path / "x.pt")
    same(load(tmp_path / "x.pt"), model, CONFIG)


def test_two_sets_of_weights_are_not_chosen_between(tmp_path):
    tensors = load_named(hf_model(CONFIG))
    torch.save({"model": tensors, "ema": tensors}, tmp_path / "x.pt")
    with pytest.raises(ValueError, match=r"x\.pt holds tensors under model, ema"):
        load(tmp_path / "x.pt")


@pytest.fixture
def trainers(monkeypatch):
    """Classes of packages that need not be installed to read what they saved."""
    made = {}
    for name, kind in (("lightning.pytorch.callbacks", "ModelCheckpoint"), ("omegaconf.dictconfig", "DictConfig")):
        parts = name.split(".")
        for depth in range(len(parts)):
            parent = ".".join(parts[: depth + 1])
            monkeypatch.setitem(sys.modules, parent, types.ModuleType(parent))
        made[kind] = type(kind, (), {"__module__": name})
        setattr(sys.modules[name], kind, made[kind])
    return made


def test_lightning_checkpoints_are_read_as_data(tmp_path, trainers, monkeypatch):
    import argparse
    import pathlib

    model = hf_model(CONFIG)
    settings = trainers["DictConfig"]()
    settings.content = {"lr": 1e-3}
    torch.save(
        {
            "pytorch-lightning_version": "2.5",
            "state_dict": {f"model.{name}": value for name, value in load_named(model).items()},
            "callbacks": {trainers["ModelCheckpoint"]: {"best": pathlib.PurePosixPath("/x")}},
            "hyper_parameters": {"config": settings, "arguments": argparse.Namespace(lr=1)},
            "optimizer_states": [{"state": {0: {"step": torch.tensor(1.0)}}}],
        },
        tmp_path / "last.ckpt",
    )
    for name in [name for name in sys.modules if name.split(".")[0] in ("lightning", "omegaconf")]:
        monkeypatch.delitem(sys.modules, name)
    same(load(tmp_path / "last.ckpt"), model, CONFIG)
    assert "omegaconf" not in sys.modules and "lightning" not in sys.modules


def test_the_only_weight_file_of_a_folder_is_found(tmp_path):
    from safetensors.torch import save_file

    model = hf_model(CONFIG)
    model.save_pretrained(tmp_path)
    (tmp_path / "model.safetensors").unlink()
    for name in ("diffusion_pytorch_model.safetensors", "clip_l.safetensors", "text_encoder.safetensors", "epoch_7.pt"):
        path = tmp_path / name
        if name.endswith(".pt"):
            torch.save(load_named(model), path)
        else:
            save_file(load_named(model), path)
        same(TextEncoder.from_pretrained(tmp_path), model, CONFIG)
        if not name.startswith("epoch"):
            path.unlink()
    save_file(load_named(model), tmp_path / "other.safetensors")
    with pytest.raises(FileNotFoundError, match=r"there are epoch_7\.pt, other\.safetensors: give the path"):
        TextEncoder.from_pretrained(tmp_path)
