"""Pickles and archives that would reserve more than they hold, or are no checkpoints."""

from __future__ import annotations

import io
import pickle
import struct
import zipfile
from pathlib import Path

import pytest
import torch

from cliptok.encoder.checkpoints.sources import open_source
from support.refused import refused


def archive(path: Path, pickled: bytes, compression: int = zipfile.ZIP_STORED, script: bool = True) -> Path:
    with zipfile.ZipFile(path, "w", compression) as file:
        file.writestr("a/data.pkl", pickled)
        file.writestr("a/version", b"3\n")
        file.writestr("a/data/0", bytes(64))
        if script:
            file.writestr("a/constants.pkl", b"")
    return path


def nested(depth: int) -> object:
    value: object = {}
    for _ in range(depth):
        value = {"model": value}
    return value


def shared(depth: int) -> object:
    """2 ** depth parts in a few bytes."""
    value: object = {}
    for _ in range(depth):
        value = {"a": value, "b": value}
    return value


def endless() -> object:
    value: dict[str, object] = {}
    value["model"] = value
    return value


PICKLES = {
    "empty": b"",
    "cut": pickle.dumps({"a": 1})[:-3],
    "not a pickle": b"garbage" * 9,
    "a number": pickle.dumps(5),
    "2^60 bytes": b"\x80\x04\x8e" + struct.pack("<Q", 1 << 60) + b".",
    "2^60 characters": b"\x80\x04\x8d" + struct.pack("<Q", 1 << 60) + b".",
    "2^32 places": b"\x80\x02]r\xff\xff\xff\xff.",
    "a place below 0": b"]p-5\n.",
    "a frame of 2^60": b"\x80\x04\x95" + struct.pack("<Q", 1 << 60) + b"N.",
    "nested": pickle.dumps(nested(400)),
    "endless": pickle.dumps(endless()),
    "shared": pickle.dumps(shared(40)),
    "keys": pickle.dumps({5: 1, None: 2, ("a",): 3}),
    "surrogates": pickle.dumps({"\ud800": "\udfff"}),
}


@pytest.mark.parametrize("what", sorted(PICKLES))
@pytest.mark.parametrize("kind", ["legacy", "zip", "script"])
def test_pickles(tmp_path, what, kind):
    path = tmp_path / "x.pt"
    if kind == "legacy":
        path.write_bytes(PICKLES[what])
    else:
        archive(path, PICKLES[what], script=kind == "script")
    refused(path)


def test_members_that_grow(tmp_path):
    bomb = pickle.dumps(bytes(50 << 20))
    for script in (False, True):
        refused(archive(tmp_path / "x.pt", bomb, zipfile.ZIP_DEFLATED, script), "compressed")


@pytest.mark.parametrize("script", [False, True])
def test_members_that_say_they_are_larger_than_the_file(tmp_path, script):
    path = archive(tmp_path / "x.pt", pickle.dumps({}), script=script)
    content = bytearray(path.read_bytes())
    for signature, at in ((b"PK\x01\x02", 20), (b"PK\x03\x04", 18)):
        where = content.index(signature) + at
        content[where : where + 8] = struct.pack("<II", 0xF0000000, 0xF0000000)
    path.write_bytes(content)
    refused(path)


def script_tensor(offset: object = 0, shape: object = (2, 2), strides: object = (2, 1)) -> bytes:
    """The pickle of a tensor in storage "0" of 64 bytes, as TorchScript writes it."""

    class Storage:
        pass

    class Pickler(pickle._Pickler):  # type: ignore[name-defined]
        def persistent_id(self, value: object) -> object:
            return ("storage", torch.FloatStorage, "0", "cpu", 16) if isinstance(value, Storage) else None

    class Rebuilt:
        def __reduce__(self) -> tuple[object, ...]:
            return torch._utils._rebuild_tensor_v2, (Storage(), offset, shape, strides, False, {})

    file = io.BytesIO()
    Pickler(file, 2).dump({"token_embedding.weight": Rebuilt()})
    return file.getvalue()


@pytest.mark.parametrize(
    "value", [-1, 1 << 62, 10**30, None, "x", 1.5, (), (1,), (-1, 2), (1 << 40, 1 << 40), ("a", 1)]
)
@pytest.mark.parametrize("field", ["offset", "shape", "strides"])
def test_tensors_of_a_script(tmp_path, field, value):
    refused(archive(tmp_path / "x.pt", script_tensor(**{field: value})))


def rewritten(path: Path, changed: dict[str, bytes], again: dict[str, bytes] | None = None) -> None:
    """The archive with other members of these names, and more members."""
    with zipfile.ZipFile(path) as file:
        members = {name: file.read(name) for name in file.namelist()}
    root = next(name for name in members if name.endswith("data.pkl")).removesuffix("data.pkl")
    with zipfile.ZipFile(path, "w") as file:
        for name, content in members.items():
            file.writestr(name, changed.get(name.removeprefix(root), content))
        for name, content in (again or {}).items():
            file.writestr(root + name, content)


@pytest.fixture(params=["zip", "script"])
def checkpoint(request, tmp_path):
    """A sound archive, whose storage data/1 has 64 numbers."""
    tensors = {"token_embedding.weight": torch.ones(4, 8), "positional_embedding": torch.ones(8, 8)}
    path = tmp_path / "x.pt"
    if request.param == "zip":
        torch.save(tensors, path)
    else:
        module = torch.nn.Module()
        for name, value in tensors.items():
            module.register_parameter(name.replace(".weight", ""), torch.nn.Parameter(value))
        torch.jit.save(torch.jit.script(module), path)
    return path


@pytest.mark.parametrize("length", [0, 100, 255, 257, 400])
def test_storages_of_another_size(checkpoint, length):
    """torch maps the file, and for a storage that is too short gives the bytes that come behind."""
    assert open_source(checkpoint).read("positional_embedding").eq(1).all()
    rewritten(checkpoint, {"data/1": bytes(length)})
    with pytest.raises(ValueError, match=r"x\.pt.*(data/1 in it has \d+ bytes, and should have 256|cut short)"):
        open_source(checkpoint).read("positional_embedding")


@pytest.mark.filterwarnings("ignore:Duplicate name")
def test_two_members_of_one_name(checkpoint):
    """Readers take the first or the last of them."""
    rewritten(checkpoint, {}, {"data/1": bytes(256)})
    with pytest.raises(ValueError, match=r"x\.pt is damaged: 'x/data/1' is in it twice"):
        open_source(checkpoint)


def test_a_storage_that_is_a_folder(checkpoint):
    content = bytearray(checkpoint.read_bytes())
    content[content.index(b"PK\x01\x02") + 38] |= 0x10
    checkpoint.write_bytes(content)
    with pytest.raises(ValueError, match=r"x\.pt is damaged: .* a folder"):
        open_source(checkpoint)


@pytest.mark.parametrize("kind", ["legacy", "zip", "script"])
def test_a_class_with_a_long_name(tmp_path, kind):
    """torch takes minutes to say that it was refused."""
    pickled = b"c" + b"a" * 1_000_000 + b"\n" + b"b" * 1_000_000 + b"\n."
    path = tmp_path / "x.pt"
    if kind == "legacy":
        path.write_bytes(pickled)
    else:
        archive(path, pickled, script=kind == "script")
    refused(path, "it names a class of 2,000,001 characters")


def test_an_object_that_is_no_storage(tmp_path):
    path = tmp_path / "x.pt"
    archive(path, script_tensor().replace(b"storage", b"zebraic"))
    refused(path, "another kind")
