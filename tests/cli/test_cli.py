"""The command `cliptok`, as its own process."""

import json
import os
import pty
import subprocess
import sys
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from safetensors.torch import load_file

from cliptok import Tokenizer, __version__
from support.scripts import names_in

COMMAND = [sys.executable, "-W", "error", "-m", "cliptok"]
LINES = [
    "a photo of a cat",
    "",
    "It's “quoted” &amp; 日本語",
    "very " * 100 + "long",
    " spaces\tand\rreturns \x0b\x85\u2028 ",
    "<|endoftext|>",
]
FILE = "".join(f"{line}\n" for line in LINES).encode()


def run(*arguments: object, given: bytes = b"", **environment: str) -> "subprocess.CompletedProcess[str]":
    done = subprocess.run(
        [*COMMAND, *map(str, arguments)],
        input=given,
        capture_output=True,
        timeout=60,
        env={**os.environ, "PYTHONIOENCODING": "utf-8", **environment},
    )
    return subprocess.CompletedProcess(done.args, done.returncode, done.stdout.decode(), done.stderr.decode())


@pytest.fixture
def captions(tmp_path: Path) -> Path:
    path = tmp_path / "captions.txt"
    path.write_bytes(FILE)
    return path


@pytest.mark.parametrize("profile", ["transformers", "openai"])
def test_tokenize_to_a_file(captions: Path, tmp_path: Path, profile: str) -> None:
    done = run("tokenize", captions, "-o", tmp_path / "ids.npy", "--profile", profile)
    assert (done.returncode, done.stdout) == (0, "")
    found = np.load(tmp_path / "ids.npy")
    assert found.dtype == np.int32
    assert np.array_equal(found, Tokenizer(profile).encode_batch(LINES, truncate=True))


def test_tokenize_dtypes_and_lengths(captions: Path, tmp_path: Path) -> None:
    out = tmp_path / "ids.npy"
    assert run("tokenize", captions, "-o", out, "--dtype", "uint16", "--max-length", 9).returncode == 0
    found = np.load(out)
    assert (found.dtype, found.shape) == (np.dtype("uint16"), (6, 9))
    assert np.array_equal(found, Tokenizer().encode_batch(LINES, 9))


def test_tokenize_prints(captions: Path) -> None:
    expected = "".join(" ".join(map(str, ids)) + "\n" for ids in Tokenizer()(LINES, truncation=True)["input_ids"])
    for done in (run("tokenize", captions), run("tokenize", "-", given=FILE), run("tokenize", given=FILE)):
        assert (done.returncode, done.stdout, done.stderr) == (0, expected, "")


def test_a_last_line_without_its_end() -> None:
    for given, lines in (
        (b"", 0),
        (b"\n", 1),
        (b"a", 1),
        (b"a\nb", 2),
        (b"a\n\nb\n", 3),
        (b"a\r\nb\r\n", 2),
        (b"\xef\xbb\xbfa\n", 1),
    ):
        done = run("tokenize", given=given)
        assert (done.returncode, len(done.stdout.splitlines())) == (0, lines), given


def test_no_lines_make_an_empty_array(tmp_path: Path) -> None:
    assert run("tokenize", "-o", tmp_path / "ids.npy").returncode == 0
    assert np.load(tmp_path / "ids.npy").shape == (0, 77)


def test_files_longer_than_a_chunk(tmp_path: Path) -> None:
    lines = [f"caption {number} of a cat" for number in range(50_000)]
    done = run("tokenize", "-o", tmp_path / "ids.npy", "--dtype", "uint16", given="\n".join(lines).encode())
    assert done.returncode == 0
    assert np.array_equal(np.load(tmp_path / "ids.npy"), Tokenizer().encode_batch(lines, dtype="uint16"))
    done = run("count", given="\n".join(lines).encode())
    assert done.stdout.split()[:4] == ["texts", "50000", "tokens", str(Tokenizer().count(lines).sum())]


def test_count(captions: Path) -> None:
    counts = Tokenizer().count(LINES).tolist()
    done = run("count", captions)
    assert done.returncode == 0
    found = dict(line.rsplit(maxsplit=1) for line in done.stdout.splitlines())
    assert found == {
        "texts": "6",
        "tokens": str(sum(counts)),
        "mean": f"{sum(counts) / 6:.1f}",
        "longest": str(max(counts)),
        "over 77": "1",
    }
    assert run("count", captions, "--each").stdout == "".join(f"{count}\n" for count in counts)
    assert "texts        0" in run("count").stdout


def test_show() -> None:
    done = run("show", "a very long red dress", "--max-length", 4)
    assert done.returncode == 0
    table = [line.split() for line in done.stdout.splitlines()]
    for row in (
        ["0", "49406", "<|startoftext|>"],
        ["2", "1070", "very</w>"],
        ["3", "49407", "<|endoftext|>"],
        ["over", "736", "red</w>"],
    ):
        assert row in table
    assert "7 tokens, 4 fit, 3 would be truncated" in done.stdout
    assert "\x1b" not in done.stdout
    assert "7 of 77 tokens" in run("show", "a very long red dress").stdout
    assert "2 of 77 tokens" in run("show", "").stdout


def test_colours_on_a_terminal_only() -> None:
    assert "\x1b[" in run("show", "a cat", "--color", "always").stdout
    assert "\x1b" not in run("show", "a cat", "--color", "never").stdout
    main, terminal = pty.openpty()
    try:
        env = {**os.environ, "TERM": "xterm", "PYTHONIOENCODING": "utf-8"}
        env.pop("NO_COLOR", None)
        subprocess.run([*COMMAND, "show", "a cat"], stdout=terminal, stdin=terminal, timeout=60, check=True, env=env)
        assert b"\x1b[" in os.read(main, 65536)
        subprocess.run(
            [*COMMAND, "show", "a cat"],
            stdout=terminal,
            stdin=terminal,
            timeout=60,
            check=True,
            env={**env, "NO_COLOR": "1"},
        )
        assert b"\x1b[4" not in os.read(main, 65536)
    finally:
        os.close(main)
        os.close(terminal)


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["tokenize", "no/such/file.txt"], "no/such/file.txt"),
        (["tokenize", "/dev"], "/dev"),
        (["tokenize", "--profile", "clip"], "profile"),
        (["tokenize", "--max-length", "1"], "max-length"),
        (["tokenize", "--max-length", "x"], "max-length"),
        (["tokenize", "--dtype", "int8"], "dtype"),
        (["tokenize", "--tokenizer", "./no-such-folder"], "no-such-folder"),
        (["tokenize", "no/such/*.parquet", "-o", "ids"], "no file matches"),
        (["tokenize", "-o", "ids"], "standard input needs a file"),
        (["tokenize", "-o", "/proc/no/such/folder/ids.npy"], "no/such/folder"),
        (["tokenize", "a.txt", "b.txt"], "a.txt: no such file"),
        (["tokenize", "--on-null", "ignore"], "on-null"),
        (["embed", "a.txt", "-o", "e.npy"], "--model"),
        (["embed", "a.txt", "--model", "m"], "--out"),
        (["count", "no/such/file.txt"], "no/such/file.txt"),
        (["show"], "TEXT"),
        (["nonsense"], "nonsense"),
        ([], "COMMAND"),
    ],
)
def test_bad_arguments_end_with_status_2(arguments: list[str], message: str) -> None:
    done = run(*arguments)
    assert (done.returncode, done.stdout) == (2, "")
    assert message in done.stderr
    assert "Traceback" not in done.stderr


@pytest.mark.parametrize("command", ["tokenize", "count"])
def test_bytes_that_are_no_utf8_are_named(command: str, tmp_path: Path) -> None:
    path = tmp_path / "bad.txt"
    path.write_bytes(b"fine\n" * 30_000 + b"caf\xe9\n")
    done = run(command, path)
    assert done.returncode == 2
    assert "line 30001" in done.stderr
    assert "bad.txt" in done.stderr
    assert "0xe9" in done.stderr


def test_nothing_half_written(tmp_path: Path) -> None:
    path, out = tmp_path / "bad.txt", tmp_path / "ids.npy"
    path.write_bytes(b"fine\n" * 30_000 + b"\xff\n")
    assert run("tokenize", path, "-o", out).returncode == 2
    assert names_in(tmp_path) == ["bad.txt"]
    out.write_bytes(b"precious")
    assert run("tokenize", path, "-o", out).returncode == 2
    assert out.read_bytes() == b"precious"
    assert names_in(tmp_path) == ["bad.txt", "ids.npy"]
    (tmp_path / "folder").mkdir()
    assert run("tokenize", "-o", tmp_path / "folder", given=b"a\n").returncode == 2


def test_a_reader_that_leaves_early(tmp_path: Path) -> None:
    path = tmp_path / "captions.txt"
    path.write_bytes(b"a photo of a cat\n" * 200_000)
    with subprocess.Popen([*COMMAND, "tokenize", path], stdout=subprocess.PIPE, stderr=subprocess.PIPE) as process:
        assert process.stdout is not None and process.stderr is not None
        assert process.stdout.readline() == b"49406 320 1125 539 320 2368 49407\n"
        process.stdout.close()
        assert process.wait(timeout=60) == 141
        assert process.stderr.read() == b""


def test_help_and_version() -> None:
    done = run("--help")
    assert done.returncode == 0
    for command in ("tokenize", "embed", "show", "count"):
        assert command in done.stdout
        assert run(command, "--help").returncode == 0
    assert run("--version").stdout == f"cliptok {__version__}\n"


def test_the_installed_command() -> None:
    done = subprocess.run(
        [Path(sys.executable).with_name("cliptok"), "show", "a cat"],
        capture_output=True,
        text=True,
        timeout=60,
        check=True,
    )
    assert "2368" in done.stdout


def test_a_tokenizer_of_ones_own(tmp_path: Path) -> None:
    tok = Tokenizer("open_clip", pad_token="!")
    tok.save_pretrained(tmp_path / "saved")
    assert "<start_of_text>" in run("show", "“a”", "--tokenizer", tmp_path / "saved").stdout


def test_a_job_over_a_glob(tmp_path: Path) -> None:
    """As the guide shows it, and again with `--resume`."""
    for name, texts in (("a", LINES), ("b", LINES[:2])):
        pq.write_table(pa.table({"caption": texts, "id": range(len(texts))}), tmp_path / f"{name}.parquet")
    command = ("tokenize", f"{tmp_path}/*.parquet", "--column", "caption", "-o", tmp_path / "ids", "--max-length", 9)
    done = run(*command, "--keep", "id", "--json", "--resume")
    assert (done.returncode, done.stderr) == (0, "")
    summary = json.loads(done.stdout)
    assert {name: summary[name] for name in ("texts", "files", "truncated", "empty", "null", "finished_before")} == {
        "texts": 8,
        "files": 2,
        "truncated": int((Tokenizer().count([*LINES, *LINES[:2]]) > 9).sum()),
        "empty": 2,
        "null": 0,
        "finished_before": 0,
    }
    assert sum(summary["shares"].values()) == pytest.approx(1)
    found = pq.read_table(tmp_path / "ids" / "a.parquet")
    assert found.to_pydict() == {
        "input_ids": Tokenizer()(LINES, truncation=True, max_length=9)["input_ids"],
        "id": list(range(6)),
    }
    done = run(*command, "--keep", "id", "--resume")
    assert (done.returncode, done.stdout) == (0, "")
    assert "8 texts" in done.stderr and "2 finished before, 0 made anew" in done.stderr


def test_policies(tmp_path: Path) -> None:
    path = tmp_path / "a.jsonl"
    path.write_bytes(b'{"caption": "a cat"}\n{"caption": null}\n')
    command = ("tokenize", path, "--column", "caption", "-o", tmp_path / "ids.npy")
    done = run(*command)
    assert (done.returncode, done.stdout) == (2, "")
    assert f"{path}: row 2 has no text in 'caption'" in done.stderr
    assert "1 null" in run(*command, "--on-null", "empty").stderr
    assert np.load(tmp_path / "ids.npy").shape == (2, 77)
    assert "1 skipped" in run(*command, "--on-null", "skip", "--overwrite").stderr
    assert np.load(tmp_path / "ids.npy").shape == (1, 77)


def test_embed(captions: Path, tmp_path: Path) -> None:
    torch = pytest.importorskip("torch")
    from cliptok.encoder import TextConfig, TextEncoder

    encoder = TextEncoder(TextConfig(width=64, layers=1, heads=4, mlp=128, projection=32))
    encoder.save_pretrained(tmp_path / "model")
    out = tmp_path / "e.safetensors"
    done = run("embed", captions, "-o", out, "--model", tmp_path / "model", "--device", "cpu", "--normalize", "--json")
    assert done.returncode == 0, done.stderr
    assert json.loads(done.stdout)["texts"] == 6
    torch.testing.assert_close(load_file(out)["text_embeds"], encoder.eval().encode(LINES, normalize=True))


def test_a_progress_bar_on_a_terminal(tmp_path: Path) -> None:
    """Only there, and gone when the work is done."""
    path = tmp_path / "captions.txt"
    path.write_bytes(b"a photo of a cat\n" * 1000)
    done = run("tokenize", path, "-o", tmp_path / "ids.npy")
    assert "B/s" not in done.stderr
    assert done.stderr.startswith("1,000 texts")
    main, terminal = pty.openpty()
    try:
        command = [*COMMAND, "tokenize", path, "-o", tmp_path / "ids.npy", "--overwrite"]
        subprocess.run(command, stderr=terminal, stdin=terminal, timeout=60, check=True)
        shown = os.read(main, 65536).decode()
    finally:
        os.close(main)
        os.close(terminal)
    assert "B/s" in shown or "texts/s" in shown
    assert "1,000 texts" in shown
