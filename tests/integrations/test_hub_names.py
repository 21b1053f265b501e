"""Names of hub models, against a server that answers as the hub does, and against none.

They import no transformers: `make test-oldest` runs them with a huggingface_hub that is older than it takes.
"""

import os
import socket
import subprocess
import sys
import threading
from collections.abc import Iterator
from http.server import ThreadingHTTPServer
from pathlib import Path
from typing import Any

import pytest

from cliptok import TextEncoder, Tokenizer
from cliptok.encoder import TextConfig
from cliptok.tokenizer.files import known_names
from support.hub_server import HubHandler
from support.layouts import write_layout

pytest.importorskip("torch")

COMMIT = "1" * 40


class Hub(ThreadingHTTPServer):
    """The models in the folders below one, `hidden` for nobody and `gated` for few."""

    def __init__(self, folder: Path) -> None:
        super().__init__(("127.0.0.1", 0), _Answers)
        self.folder = folder
        self.asked: list[str] = []


class _Answers(HubHandler):
    server: Hub

    def answer(self) -> None:
        path = self.path.partition("?")[0].strip("/")
        self.server.asked.append(path)
        if path.startswith("api/models/"):
            name, _, revision = path.removeprefix("api/models/").partition("/revision/")
            folder = self.server.folder / name
            if name == "org/gated":
                self.send_answer(403, b"", {"X-Error-Code": "GatedRepo"})
            elif not folder.is_dir():
                self.send_answer(404, b"", {"X-Error-Code": "RepoNotFound"})
            elif revision not in ("", "main"):
                self.send_answer(404, b"", {"X-Error-Code": "RevisionNotFound"})
            else:
                files = [{"rfilename": str(path.relative_to(folder))} for path in folder.rglob("*") if path.is_file()]
                found = {"id": name, "modelId": name, "sha": COMMIT, "siblings": files, "tags": [], "private": False}
                self.send_json(found)
            return
        name, _, file = path.partition("/resolve/")
        target = self.server.folder / name / file.partition("/")[2]
        if target.is_file():
            self.send_answer(200, target.read_bytes(), {"ETag": f'"{target.name}"', "X-Repo-Commit": COMMIT})
        else:
            self.send_answer(404, b"", {"X-Error-Code": "EntryNotFound"})


@pytest.fixture
def hub(tmp_path: Path) -> Iterator[Hub]:
    model = tmp_path / "models" / "org" / "pipeline"
    config = TextConfig(width=64, layers=1, heads=1, mlp=64, projection=32)
    TextEncoder(config).save_pretrained(model / "text_encoder")
    Tokenizer.from_preset("sd2").save_pretrained(model / "tokenizer")
    server = Hub(tmp_path / "models")
    thread = threading.Thread(target=server.serve_forever)
    thread.start()
    yield server
    server.shutdown()
    thread.join()
    server.server_close()


def asked_of(endpoint: str, folder: Path, source: str, **environment: str) -> str:
    """What a process prints whose hub is at `endpoint`, with an empty cache."""
    env = {**os.environ, "HF_ENDPOINT": endpoint, "HF_HUB_OFFLINE": "0", "HF_HOME": str(folder / "cache")}
    head = "import cliptok\nfrom cliptok import Tokenizer\n"
    tail = "\n    except (OSError, ValueError) as error: print(error)\n"
    lines = "".join(f"for _ in '.':\n    try: {line}{tail}" for line in source.splitlines())
    done = subprocess.run(
        [sys.executable, "-W", "error", "-c", head + lines],
        capture_output=True,
        text=True,
        timeout=100,
        cwd=folder,
        env={**env, **environment},
    )
    assert done.returncode == 0, done.stderr
    return done.stdout


def test_models_of_a_hub(hub: Hub, tmp_path: Path) -> None:
    endpoint = f"http://127.0.0.1:{hub.server_port}"
    source = """print(cliptok.TextEncoder.from_pretrained("org/pipeline", subfolder="text_encoder").tokenizer.pad_token)
print(Tokenizer.from_pretrained("org/pipeline", subfolder="tokenizer").pad_token)
cliptok.TextEncoder.from_pretrained("org/pipeline")
cliptok.TextEncoder.from_pretrained("org/pipeline", subfolder="text_encoder", variant="ema")
cliptok.TextEncoder.from_pretrained("org/nowhere")
Tokenizer.from_pretrained("org/nowhere")
__import__('cliptok.prompts').prompts.Conditioner.from_pretrained("org/nowhere")
Tokenizer.from_pretrained("org/gated")
cliptok.TextEncoder.from_pretrained("org/pipeline", revision="v9")
print(Tokenizer.from_pretrained("org/pipeline", subfolder="tokenizer", local_files_only=True).pad_token)
Tokenizer.from_pretrained("org/pipeline", subfolder="tokenizer_2", local_files_only=True)
"""
    printed = asked_of(endpoint, tmp_path, source).splitlines()
    assert printed[:2] == ["!", "!"]
    assert "has no weights" in printed[2] and "there are model.safetensors" in printed[3]
    for line in printed[4:7]:
        assert str(tmp_path / "org" / "nowhere") in line and f"the hub ({endpoint}) has no model of that name" in line
    assert "asked for access" in printed[7] and "no revision 'v9'" in printed[8]
    assert printed[9] == "!" and "local_files_only" in printed[10]
    assert len(printed) == 11
    # Files that the listing lacks are not asked for.
    assert not [path for path in hub.asked if "open_clip" in path]


def test_a_hub_that_does_not_answer_is_asked_once(tmp_path: Path) -> None:
    source = """cliptok.TextEncoder.from_pretrained("nowhere")
Tokenizer.from_pretrained("nowhere")
Tokenizer.from_pretrained("no where")
Tokenizer.from_pretrained("weights.safetensors")
"""
    with socket.socket() as taken:  # A port of which nobody listens.
        taken.bind(("127.0.0.1", 0))
        endpoint = f"http://127.0.0.1:{taken.getsockname()[1]}"
        online = asked_of(endpoint, tmp_path, source).splitlines()
    offline = asked_of(endpoint, tmp_path, source.partition("\n")[2], HF_HUB_OFFLINE="1").splitlines()
    for line in online[:2]:
        assert str(tmp_path / "nowhere") in line and f"the hub ({endpoint}) does not answer" in line
    assert "HF_HUB_OFFLINE" in offline[0] and str(tmp_path / "nowhere") in offline[0]
    for printed in (online[2:], offline[1:]):
        assert "no name of a hub model" in printed[0] and printed[1].startswith("weights.safetensors: no such file")


@pytest.mark.parametrize(
    ("name", "subfolder", "pad"),
    [
        ("openai/clip-vit-large-patch14", "", 49407),
        ("stabilityai/stable-diffusion-2-1", "tokenizer", 0),
        ("stabilityai/stable-diffusion-3.5-large", "tokenizer_2", 0),
        ("black-forest-labs/FLUX.1-dev", "tokenizer", 49407),
    ],
)
def test_published_names_need_no_hub(caplog, monkeypatch, name, subfolder, pad):
    """Whatever keeps the files away; said once, by the logger."""
    known_names.say_once.cache_clear()
    for _ in range(2):
        tok = Tokenizer.from_pretrained(name, subfolder=subfolder, local_files_only=True, model_max_length=20)
    assert (tok.pad_token_id, tok.model_max_length, tok.name_or_path) == (pad, 20, name)
    assert tok("a cat").input_ids == Tokenizer()("a cat").input_ids
    assert [(record.name, name in record.message) for record in caplog.records] == [("cliptok", True)]
    assert (
        Tokenizer.from_pretrained(name, subfolder=subfolder, profile="openai", local_files_only=True).pad_token_id == 0
    )
    monkeypatch.setitem(sys.modules, "huggingface_hub", None)
    assert Tokenizer.from_pretrained(name, subfolder=subfolder, use_fast=True).pad_token_id == pad
    with pytest.raises(TypeError, match="nonsense is no argument"):
        Tokenizer.from_pretrained(name, subfolder=subfolder, nonsense=1)
    for other in ({"revision": "main"}, {"subfolder": "elsewhere"}):
        with pytest.raises((FileNotFoundError, ImportError)):
            Tokenizer.from_pretrained(name, **{"subfolder": subfolder, **other})


def test_a_hub_name_goes_through_huggingface_hub(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    import huggingface_hub
    from huggingface_hub.errors import EntryNotFoundError

    write_layout(tmp_path / "snapshot" / "tokenizer_2", "sdxl-2")
    asked: list[tuple[Any, ...]] = []

    def fetch(name: str, file: str, subfolder: str | None = None, **options: Any) -> str:
        asked.append((name, file, subfolder, options["revision"], options["local_files_only"]))
        path = tmp_path / "snapshot" / str(subfolder) / file
        if not path.is_file():
            raise EntryNotFoundError(file)
        return str(path)

    monkeypatch.setattr(huggingface_hub, "hf_hub_download", fetch)
    tok = Tokenizer.from_pretrained("someone/some-model", subfolder="tokenizer_2", revision="v1", local_files_only=True)
    assert tok.pad_token == "!"
    assert ("someone/some-model", "vocab.json", "tokenizer_2", "v1", True) in asked
    assert not any("safetensors" in file for _, file, *_ in asked)
