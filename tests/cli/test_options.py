"""Options as people type them: typos, help, completion, terminals, and devices and names that are not there."""

import os
import pty
import select
import shutil
import subprocess
import sys
import tempfile
from pathlib import Path

import pytest

from cliptok.cli import _parser, main
from cliptok.cli.completion import SHELLS, script
from support.scripts import run_python


def run(*arguments: object, given: bytes = b"", **environment: str) -> "subprocess.CompletedProcess[str]":
    command = [sys.executable, "-W", "error", "-m", "cliptok", *map(str, arguments)]
    done = subprocess.run(command, input=given, capture_output=True, timeout=120, env={**os.environ, **environment})
    return subprocess.CompletedProcess(
        command, done.returncode, *(part.decode(errors="replace") for part in (done.stdout, done.stderr))
    )


@pytest.mark.parametrize(
    ("arguments", "messages"),
    [
        (["tokenize", "--colum", "x"], ["usage: cliptok tokenize", "did you mean --column?"]),
        (["count", "--max", "9"], ["usage: cliptok count", "unknown: --max"]),  # No abbreviation.
        (["tokenise"], ["did you mean tokenize?"]),
        (["tokenize", "--profile", "openclip"], ["did you mean open_clip?"]),
        (["help", "nothing"], ["no command 'nothing'"]),
        (["tokenize", "a.txt", "--dtype", "uint16"], ["--dtype is for files"]),
        (["tokenize", "a.txt", "-o", "x.npy", "--check"], ["--check is for --resume"]),
        (["tokenize", "a.txt", "--keep", ""], ["--keep is for files"]),
        (["tokenize", "a.txt", "--part-rows", "0"], ["--part-rows is for files"]),
        (["tokenize", "a.txt", "-o", "x.parquet", "--keep", "a,,b"], ["--keep 'a,,b' has a name without characters"]),
        (["tokenize", "a.txt", "-o", "x.npy", "--processes", "1025"], ["processes is 1025; expected at most 1,024"]),
        (["tokenize", "a.txt", "-o", "x.npy", "--max-length=--"], ["argument --max-length: ", "'--'"]),
        (["tokenize", "a.txt", "--profile=--"], ["'--' is none of"]),
        (["tokenize", "no.csv", "--column=--", "-o", "x.npy"], ["no.csv: no such file"]),
        (["show", "a cat", "--column", "x"], ["need --file"]),
        (["show", "a cat", "--file", "x"], ["one of the two"]),
        (["embed", "a.txt", "-o", "e.npy", "--model", "m", "--batch-size", "x"], ["--batch-size"]),
    ],
)
def test_mistakes(arguments: list[str], messages: list[str], capsys: pytest.CaptureFixture[str]) -> None:
    try:
        status = main(arguments)
    except SystemExit as error:
        status = int(error.code or 0)
    assert status == 2
    found = capsys.readouterr().err
    assert all(message in found for message in messages), found


def test_help_of_a_command(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["help", "tokenize"]) == 0
    assert "--no-quotes" in capsys.readouterr().out
    assert main(["help"]) == 0
    assert "completion" in capsys.readouterr().out


@pytest.mark.parametrize("shell", SHELLS)
def test_completion(shell: str) -> None:
    written = script(_parser(), shell)
    for word in ("tokenize", "embed", "input-format", "safetensors", "open_clip"):
        assert word in written
    if shutil.which(shell) is None:
        pytest.skip(f"{shell} is not installed")
    checked = subprocess.run([shell, "-n"], input=written, text=True, capture_output=True, timeout=20)
    assert (checked.returncode, checked.stderr) == (0, "")
    for line, word in ASKED:
        assert word in completed(shell, written, line).split(), (line, word)


ASKED = [
    ("cliptok tok", "tokenize"),
    ("cliptok tokenize --over", "--overwrite"),
    ("cliptok embed a.txt --output hid", "hidden"),
    ("cliptok tokenize a.txt --captions ra", "random"),
    ("cliptok completion fi", "fish"),
    ("cliptok help emb", "embed"),
]


def completed(shell: str, written: str, line: str) -> str:
    """What a shell makes of a line after the key Tab, or proposes."""
    if shell == "zsh":
        return typed_in_zsh(written, line)
    asked = {
        "bash": f"COMP_WORDS=({line}); COMP_CWORD=$((${{#COMP_WORDS[@]}} - 1)); _cliptok; echo ${{COMPREPLY[@]}}",
        "fish": f"complete -C '{line}'",
    }
    done = subprocess.run(
        [shell], input=f"{written}\n{asked[shell]}\n", text=True, capture_output=True, timeout=20, check=True
    )
    return done.stdout


def read_until(terminal: int, mark: bytes) -> bytes:
    shown = b""
    while mark not in shown:
        assert select.select([terminal], [], [], 20)[0], shown
        shown += os.read(terminal, 65536)
    return shown


def typed_in_zsh(written: str, line: str) -> str:
    """zsh completes in its line editor alone, so on a terminal."""
    main, terminal = pty.openpty()
    with subprocess.Popen(
        ["zsh", "-f", "-i"], stdin=terminal, stdout=terminal, stderr=terminal, start_new_session=True
    ) as process:
        os.close(terminal)
        # The completed line is put into a command that prints it, so what is read is not the echo of what was typed.
        setup = f"autoload -U compinit; compinit -D -u\n{written}\n"
        accept = "cliptok() { print -r -- '<<<' \"$@\" '>>>' }\n"
        with tempfile.NamedTemporaryFile("w", suffix=".zsh") as file:
            file.write(setup + accept)
            file.flush()
            os.write(main, f"source {file.name}; print -r re''ady\n".encode())
            read_until(main, b"ready")
            os.write(main, f"{line}\t\n".encode())
            shown = read_until(main, b">>>")
        os.write(main, b"exit\n")
        process.wait(timeout=20)
    os.close(main)
    return shown.decode(errors="replace").rpartition("<<<")[2].partition(">>>")[0]


def test_terminals_that_lack_characters(tmp_path: Path) -> None:
    for encoding in ("ascii", "cp1252"):
        done = run("show", "日本 “a”", PYTHONIOENCODING=encoding)
        assert done.returncode == 0 and "\\u65e5" in done.stdout
    done = run("count", tmp_path / "日.txt", PYTHONIOENCODING="ascii")
    assert done.returncode == 2 and "\\u65e5.txt: no such file" in done.stderr


def test_texts_of_a_file_are_shown(tmp_path: Path) -> None:
    (tmp_path / "a.csv").write_text("n,caption\n1,a cat\n2,a dog\n3,a bird\n")
    done = run("show", "--file", tmp_path / "a.csv", "--column", "caption", "--first", 2)
    assert done.returncode == 0 and "dog</w>" in done.stdout and "bird" not in done.stdout


def test_streams_are_what_they_are_said_to_be() -> None:
    line = b'{"caption": "a cat"}\n'
    assert run("tokenize", given=line).returncode == 2
    assert run("tokenize", "-", "--column", "caption", given=line).stdout == "49406 320 2368 49407\n"
    done = run("tokenize", "-", "--column", "caption", given=b"n,caption\n1,a cat\n")
    assert done.returncode == 2 and "--input-format" in done.stderr
    done = run("tokenize", "-", "--column", "caption", "--input-format", "csv", given=b"n,caption\n1,a cat\n")
    assert done.stdout == "49406 320 2368 49407\n"
    assert "Parquet is read from its end" in run("count", "-", "--input-format", "parquet").stderr


def test_devices_and_models_that_are_not_there(tmp_path: Path) -> None:
    torch = pytest.importorskip("torch")
    from cliptok.encoder import TextConfig, TextEncoder

    TextEncoder(TextConfig(width=64, layers=1, heads=4, mlp=128, projection=32)).save_pretrained(tmp_path / "m")
    (tmp_path / "a.txt").write_text("a cat\n")
    embed = ("embed", tmp_path / "a.txt", "-o", tmp_path / "e.npy", "--model")
    wanted = [((tmp_path / "m", "--device", "gpu"), "device is 'gpu'"), ((tmp_path / "a.txt",), "a.txt")]
    if not torch.cuda.is_available():
        wanted.append(((tmp_path / "m", "--device", "cuda"), "no CUDA device"))
    for more, message in wanted:
        done = run(*embed, *more, OMP_NUM_THREADS="1")
        assert done.returncode == 2 and message in done.stderr and "Traceback" not in done.stderr, done.stderr
    done = run(*embed, tmp_path / "m", "--device", "cpu", "--batch-size", 2, "--threads", 1, OMP_NUM_THREADS="1")
    assert done.returncode == 0 and "loading" in done.stderr


def test_missing_extras_are_named() -> None:
    source = """
        import sys
        sys.modules["torch"] = sys.modules["ray"] = None
        from cliptok.cli import main
        sys.stderr = sys.stdout
        assert main(["embed", "a.txt", "-o", "e.npy", "--model", "m", "--ray"]) == 2
    """
    assert run_python(source) == (
        "cliptok: cliptok embed needs torch and ray; pip install 'cliptok[ray,torch]', or cliptok[all] for everything\n"
    )


def test_pandas_is_not_imported(tmp_path: Path) -> None:
    (tmp_path / "a.txt").write_text("a cat\n")
    source = f"""
        import sys
        from cliptok.cli import main
        sys.stderr = sys.stdout
        for words in (["tokenize", "-o", "x.parquet"], ["count"], ["report", "-o", "x.html"]):
            sys.argv = ["cliptok", *words, "{tmp_path}/a.txt"]
            sys.argv[-2] = "{tmp_path}/" + sys.argv[-2] if "-o" in words else sys.argv[-2]
            assert main() == 0
        print("pandas" in sys.modules)
    """
    assert run_python(source).endswith("False\n")


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["tokenize", "a.txt", "-o", "x/", "--resume", "--overwrite"], "one of the two"),
        (["tokenize", "a photo of a cat"], "a text goes in by standard input"),
        (["tokenize", "a.json", "--column", "caption"], "jsonl where each line is an object"),
        (["tokenize", "a.jsonl", "--column", "text"], "no line has the field 'text'; there are caption, id"),
        (["show", "--file", "a.txt", "--first", "-1"], "--first is -1; expected 1 or more"),
        (["show", "a cat", "--family", "sdxl"], "--family is for --dialect and --compare"),
        (["prompts", "check", "nowhere.txt"], "nowhere.txt: No such file"),
        (["prompts", "check", "wide.txt"], "wide.txt: this is UTF-16"),
        (["report", "a.txt", "-o", "a.txt"], "the name of a page ends in .html"),
        (["report", "a.txt", "-o", "."], "the name of a page ends in .html"),
        (["report", "a.txt", "-o", "no/page.html"], "there is no folder no"),
        (["report", "in.html", "--input-format", "txt", "-o", "in.html"], "is an input too"),
        (["check", "a.txt"], "a.txt is no output; they end in .parquet, .npy, .safetensors"),
    ],
)
def test_what_surprised_newcomers(
    arguments: list[str],
    message: str,
    tmp_path: Path,
    capsys: pytest.CaptureFixture[str],
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    for name in ("a.txt", "a.json", "in.html"):
        (tmp_path / name).write_text("a cat\n")
    (tmp_path / "a.jsonl").write_text('{"caption": "a cat", "id": 1}\n')
    (tmp_path / "wide.txt").write_bytes("a cat\n".encode("utf-16"))
    monkeypatch.chdir(tmp_path)
    assert main(arguments) == 2
    captured = capsys.readouterr()
    assert captured.out == "" and captured.err.count("\n") == 1 and message in captured.err
    assert (tmp_path / "a.txt").read_text() == (tmp_path / "in.html").read_text() == "a cat\n"
