"""Jobs on `hf://datasets/` and `gs://`, against servers on the loopback that answer as the hub and as Google's do."""

import hashlib
import io
import json
import os
import socket
import subprocess
import sys
import threading
import time
from collections.abc import Iterator
from contextlib import suppress
from http.server import ThreadingHTTPServer
from pathlib import Path
from typing import Any
from urllib.parse import parse_qs, unquote

import pytest
from pyarrow import fs

from cliptok.batch import BadInputError, check_outputs, tokenize_files
from cliptok.batch.stores import filesystems
from support.hub_server import HubHandler
from support.made import TEXTS, expected, ids_in, parquet, text_file, tree

TOKEN = "hf_secret-of-the-tests"
COMMIT = "1" * 40


class _Datasets(HubHandler):
    """The hub's answers about the datasets in a folder, for who has the token."""

    folder: Path

    def answer(self) -> None:
        path = unquote(self.path.partition("?")[0]).strip("/")
        if self.headers.get("Authorization") != f"Bearer {TOKEN}":
            self.send_answer(401, b"", {"X-Error-Code": "GatedRepo", "X-Error-Message": f"not for {TOKEN}"})
        elif path.startswith("api/datasets/"):
            name, _, rest = path.removeprefix("api/datasets/").partition("/revision/")
            name, is_tree, rest = name.partition("/tree/") if not rest else (name, "", rest)
            folder = self.folder / name / rest.partition("/")[2]
            if not (self.folder / name).is_dir():
                self.send_answer(404, b"", {"X-Error-Code": "RepoNotFound"})
            elif not folder.is_dir():
                self.send_answer(404, b"", {"X-Error-Code": "EntryNotFound"})
            elif is_tree:
                found = folder.rglob("*") if "recursive=True" in self.path else folder.iterdir()
                self.send_json([self._entry(path, self.folder / name) for path in sorted(found)])
            else:
                self.send_json({"id": name, "sha": COMMIT, "siblings": [], "tags": [], "private": True})
        else:
            name, _, rest = path.removeprefix("datasets/").partition("/resolve/")
            self._file(self.folder / name / rest.partition("/")[2])

    def do_POST(self) -> None:  # noqa: N802 (http.server's name)
        """The entries of some paths, which huggingface_hub 0.26 asks for."""
        root = self.folder / self.path.removeprefix("/api/datasets/").partition("/paths-info/")[0]
        asked = parse_qs(self.rfile.read(int(self.headers["Content-Length"])).decode())["paths"]
        if self.headers.get("Authorization") != f"Bearer {TOKEN}" or not root.is_dir():
            self.answer()
        else:
            self.send_json([self._entry(root / path, root) for path in asked if (root / path).exists()])

    def _entry(self, path: Path, root: Path) -> dict[str, Any]:
        name = path.relative_to(root).as_posix()
        if path.is_dir():
            return {"type": "directory", "oid": "0" * 40, "size": 0, "path": name}
        content = path.read_bytes()
        return {"type": "file", "oid": hashlib.sha1(content).hexdigest(), "size": len(content), "path": name}

    def _file(self, path: Path) -> None:
        if not path.is_file():
            self.send_answer(404, b"", {"X-Error-Code": "EntryNotFound"})
            return
        content, headers, status = path.read_bytes(), {"X-Repo-Commit": COMMIT, "ETag": '"a"'}, 200
        if asked := self.headers.get("Range"):
            first, last = asked.removeprefix("bytes=").split("-")
            end = min(int(last or len(content)), len(content) - 1)
            headers["Content-Range"] = f"bytes {first}-{end}/{len(content)}"
            content, status = content[int(first) : end + 1], 206
        self.send_answer(status, content, headers)


@pytest.fixture
def hub(tmp_path: Path) -> Iterator[str]:
    """The address of a hub with the dataset user/captions."""
    folder = tmp_path / "datasets" / "user" / "captions"
    (folder / "deep").mkdir(parents=True)
    parquet(folder / "a.parquet", TEXTS)
    (folder / "deep" / "b.txt").write_bytes(text_file(TEXTS[:3]))
    (folder / "deep" / "c d.txt").write_bytes(text_file(TEXTS))
    handler = type("Handler", (_Datasets,), {"folder": tmp_path / "datasets"})
    server = ThreadingHTTPServer(("127.0.0.1", 0), handler)
    threading.Thread(target=server.serve_forever, daemon=True).start()
    yield f"http://127.0.0.1:{server.server_port}"
    server.shutdown()
    server.server_close()


_LINES = """
import sys
from cliptok.cli import main
for line in sys.stdin.read().splitlines():
    print(main(line.split("|")))
"""


def test_datasets_of_the_hub(hub: str, tmp_path: Path) -> None:
    """The hub's address is read when its library is imported, so in a process of its own."""
    pytest.importorskip("fsspec")
    root = "hf://datasets/user/captions"
    lines = [
        f"tokenize|{root}/a.parquet|--column|caption|-o|one.parquet",
        f"tokenize|{root}/deep/*.txt|-o|glob/",
        f"tokenize|{root}/deep|-o|folder/",
        f"tokenize|{root}/deep|-o|folder/|--resume|--json",
        f"tokenize|{root}/nothing.txt|-o|x.parquet",
        "tokenize|hf://datasets/user/nowhere/a.txt|-o|x.parquet",
    ]
    environment = {**os.environ, "HF_ENDPOINT": hub, "HF_HOME": str(tmp_path / "home"), "HF_HUB_OFFLINE": "0"}

    def run(lines: list[str], **more: str) -> "subprocess.CompletedProcess[str]":
        command = [sys.executable, "-c", _LINES]
        given = "\n".join(lines)
        return subprocess.run(
            command, input=given, env={**environment, **more}, cwd=tmp_path, capture_output=True, text=True, timeout=100
        )

    done = run(lines, HF_TOKEN=TOKEN)
    said = done.stdout.splitlines()
    assert [line for line in said if len(line) == 1] == ["0", "0", "0", "0", "2", "2"], done.stderr
    assert next(json.loads(line) for line in said if line.startswith("{"))["finished_before"] == 2
    assert ids_in(tmp_path / "one.parquet") == expected(TEXTS)
    for out in ("glob", "folder"):
        assert ids_in(tmp_path / out / "b.parquet") == expected(TEXTS[:3])
        assert ids_in(tmp_path / out / "c d.parquet") == expected(TEXTS)
    assert f"{root}/nothing.txt: no such file or folder" in done.stderr
    assert "hf://datasets/user/nowhere/a.txt: no such file or folder" in done.stderr
    refused = run(lines[:1], HF_TOKEN="hf_another-secret-of-the-tests")
    assert refused.stdout == "2\n" and f"{root}/a.parquet" in refused.stderr
    assert "secret" not in done.stderr + refused.stderr and "Traceback" not in done.stderr + refused.stderr


@pytest.fixture(scope="module")
def google() -> Iterator[fs.GcsFileSystem]:
    """A server with an empty bucket of the name `bucket`, named by the environment."""
    pytest.importorskip("gcp_storage_emulator")
    if not hasattr(fs, "GcsFileSystem"):
        pytest.skip("this pyarrow has been built without Google's store")
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    # A process of its own: pyarrow holds Python's lock in some of its requests.
    command = [sys.executable, "-m", "gcp_storage_emulator", "start", "--host=127.0.0.1", f"--port={port}"]
    command += ["--in-memory", "--default-bucket=bucket"]
    with (
        subprocess.Popen(command, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL) as server,
        pytest.MonkeyPatch.context() as patch,
    ):
        try:
            for _ in range(600):
                with suppress(OSError), socket.create_connection(("127.0.0.1", port), 1):
                    break
                time.sleep(0.05)
            patch.setenv("STORAGE_EMULATOR_HOST", f"http://127.0.0.1:{port}")
            patch.setattr(filesystems, "RETRY_SECONDS", 20)
            filesystems._filesystem.cache_clear()
            yield filesystems._google()
        finally:
            server.kill()


def objects(google: fs.GcsFileSystem, below: str) -> dict[str, bytes]:
    found = google.get_file_info(fs.FileSelector(f"bucket/{below}", recursive=True, allow_not_found=True))
    files = [one.path for one in found if one.type == fs.FileType.File]
    return {path.removeprefix(f"bucket/{below}/"): google.open_input_file(path).read() for path in files}


@pytest.mark.parametrize("format", ["parquet", "npy"])
def test_googles_store(format: Any, google: fs.GcsFileSystem, tmp_path: Path) -> None:
    (tmp_path / "in").mkdir()
    for name in ("a", "b"):
        (tmp_path / "in" / f"{name}.txt").write_bytes(text_file([f"{number} {name}" for number in range(70)]))
        with google.open_output_stream(f"bucket/{format}/in/{name}.txt", compression=None) as stream:
            stream.write((tmp_path / "in" / f"{name}.txt").read_bytes())
    there, options = f"gs://bucket/{format}", {"format": format, "part_rows": 20}
    report = tokenize_files(f"{there}/in", f"{there}/out", **options)
    assert (report.files, report.counts.texts) == (2, 140)
    tokenize_files(tmp_path / "in", tmp_path / "out", **options)
    found = objects(google, f"{format}/out")
    assert found.keys() == tree(tmp_path / "out").keys()  # No parts are left.
    if format == "parquet":
        assert ids_in(io.BytesIO(found["a.parquet"])) == ids_in(tmp_path / "out" / "a.parquet")
    else:
        assert found["a.npy"] == (tmp_path / "out" / "a.npy").read_bytes()
    again = tokenize_files(f"{there}/in/*.txt", f"{there}/out", resume=True, **options)
    assert (again.finished_before, again.texts_now) == (2, 0)
    assert check_outputs(f"{there}/out") == []
    with google.open_output_stream(f"bucket/{format}/in/b.txt", compression=None) as stream:
        stream.write(text_file(TEXTS))
    again = tokenize_files(f"{there}/in", f"{there}/out", resume=True, **options)
    assert (again.finished_before, again.made_anew) == (1, 1)
    for source, out, wrong in (
        ("gs://nowhere/a.txt", tmp_path / "x.npy", "gs://nowhere/a.txt"),
        (f"{there}/in/nothing.txt", tmp_path / "x.npy", f"{there}/in/nothing.txt"),
        (f"{there}/in/a.txt", "gs://nowhere/x.npy", "gs://nowhere/x.npy"),
    ):
        with pytest.raises(BadInputError, match=f"{wrong}: no such file or folder"):
            tokenize_files(source, out)


class _Tokens(HubHandler):
    """Google's OAuth server, which knows nobody."""

    asked: list[str]

    def do_POST(self) -> None:  # noqa: N802 (http.server's name)
        self.asked.append(self.rfile.read(int(self.headers["Content-Length"])).decode())
        content = b'{"error": "invalid_grant"}'
        self.send_response(400)
        self.send_header("Content-Length", str(len(content)))
        self.end_headers()
        self.wfile.write(content)


def test_credentials_of_google(tmp_path: Path) -> None:
    """They are those of the environment, as Google's libraries take them, and no message has them."""
    if not hasattr(fs, "GcsFileSystem"):
        pytest.skip("this pyarrow has been built without Google's store")
    asked: list[str] = []
    server = ThreadingHTTPServer(("127.0.0.1", 0), type("Handler", (_Tokens,), {"asked": asked}))
    threading.Thread(target=server.serve_forever, daemon=True).start()
    user = {"type": "authorized_user", "client_id": "me", "client_secret": "a-secret", "refresh_token": "my-secret"}
    user["token_uri"] = f"http://127.0.0.1:{server.server_port}/token"
    (tmp_path / "user.json").write_text(json.dumps(user))
    environment = {**os.environ, "GOOGLE_APPLICATION_CREDENTIALS": str(tmp_path / "user.json")}
    environment.pop("STORAGE_EMULATOR_HOST", None)
    code = f"from cliptok.batch.stores import filesystems\nfilesystems.RETRY_SECONDS = 1\n{_LINES}"
    given = "tokenize|gs://bucket/a.txt|-o|x.npy"
    done = subprocess.run(
        [sys.executable, "-c", code],
        input=given, env=environment, cwd=tmp_path, capture_output=True, text=True, timeout=100,
    )  # fmt: skip
    server.shutdown()
    server.server_close()
    assert asked and all("refresh_token=my-secret" in body for body in asked), done.stderr
    assert done.stdout == "2\n" and "gs://bucket/a.txt" in done.stderr
    assert "secret" not in done.stderr and "Traceback" not in done.stderr
