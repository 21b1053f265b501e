"""Prompts with syntax on the command line."""

from cliptok.cli import main


def test_show_in_dialects(capsys):
    assert main(["show", "--compare", "a1111,comfyui,compel", "a (red fox:1.3) BREAK (night)++"]) == 0
    shown = capsys.readouterr().out
    assert "a1111: 77 tokens in 2 chunks of 77" in shown and "-- BREAK" in shown
    assert "[red fox:1.3]" in shown and "comfyui: 6 tokens in 1 chunk" in shown and "[night:1.21]" in shown
    assert main(["show", "--dialect", "a1111", "--color", "always", "(cat:1.5)"]) == 0
    assert "\x1b[38;5;202mcat" in capsys.readouterr().out
    assert main(["show", "--dialect", "a1111", "(a:1.2.3)"]) == 2
    assert "column 3: '1.2.3' is no number" in capsys.readouterr().out
    assert main(["show", "--dialect", "a1112", "a"]) == 2


def test_check_lists_what_differs(tmp_path, capsys):
    file = tmp_path / "prompts.txt"
    file.write_text("a cat\na [dog]\na (x:1.2)\n(a:1.2.3)\n")
    assert main(["prompts", "check", str(file), "--dialects", "a1111,comfyui"]) == 1
    captured = capsys.readouterr()
    assert captured.out.splitlines()[0] == "2: a [dog]" and "4: (a:1.2.3)" in captured.out
    assert "2 of 4 prompts are read differently" in captured.err
    file.write_text("a cat\n")
    assert main(["prompts", "check", str(file)]) == 0
    assert main(["prompts", "check", str(file), "--dialects", "a1111"]) == 2
