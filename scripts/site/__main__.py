"""Builds the documentation into `target/site`: `make docs`.

The guides of `docs/`, README as the first page, and what is generated here: the reference from the docstrings, the command
line's pages from its parser, the benchmarks from their results, and `llms.txt` with a Markdown twin of each page. Zensical
makes the pages and refuses, as this does, what is broken: a link, an anchor, a name, a docstring that is missing.
"""

from __future__ import annotations

import json
import re
import shutil
import subprocess
import sys
from pathlib import Path

import benchmarks
import command_line
import reference

from cliptok.cli import _parser

SITE = "https://cliptok.github.io/cliptok/"
REPOSITORY = "https://github.com/cliptok/cliptok/blob/main/"
SOURCE, BUILT = Path("target/site-source"), Path("target/site")

# In the order of the menu; what else lies in docs/ comes after these.
GUIDES = ("guide", "encoder", "prompts", "dataloaders", "batch")
PROJECT = {"design": "docs", "CONTRIBUTING": "", "SECURITY": "", "CHANGELOG": ""}


def main() -> None:
    shutil.rmtree(SOURCE, ignore_errors=True)
    SOURCE.mkdir(parents=True)
    problems: list[str] = []
    menu = assemble(problems)
    for path in SOURCE.rglob("*.md"):
        text = relative(path, path.read_text(encoding="utf-8"), problems)
        path.write_text(text, encoding="utf-8")
        problems += missing_images(path, text)
    if problems:
        sys.exit("\n".join(problems))
    config = SOURCE.with_suffix(".toml")
    template = Path("docs/site.toml").read_text(encoding="utf-8")
    config.write_text(template.replace("nav = []", f"nav = {inline(menu)}"), encoding="utf-8")
    done = subprocess.run([Path(sys.executable).with_name("zensical"), "build", "--clean", "--strict", "-f", config])
    if done.returncode:
        sys.exit(done.returncode)
    for_machines(menu)


def assemble(problems: list[str]) -> list[dict[str, object]]:
    """Write every page's Markdown below SOURCE, and return the menu."""
    write("index.md", Path("README.md").read_text(encoding="utf-8"))
    others = sorted(path.stem for path in Path("docs").glob("*.md") if path.stem not in (*GUIDES, *PROJECT))
    guides = [name for name in (*GUIDES, *others) if Path(f"docs/{name}.md").is_file()]
    for name in guides:
        write(f"{name}.md", Path(f"docs/{name}.md").read_text(encoding="utf-8"))
    for name, folder in PROJECT.items():
        write(f"{name.lower()}.md", Path(folder, f"{name}.md").read_text(encoding="utf-8"))
    commands = command_line.pages(_parser())
    for name, text in commands.items():
        write(f"cli/{name}.md", text)
    write("benchmarks.md", benchmarks.page())
    shutil.copy(benchmarks.RESULTS / "chart.svg", SOURCE)
    package = reference.load()
    public = reference.public(package)
    for path in sum(public.values(), []):
        problems += [f"{name} has no docstring" for name in reference.without_docstring(package[path[8:]])]
        write(f"reference/{path}.md", reference.page(path))
    return [
        {"Home": "index.md"},
        {"Guides": [{heading(f"{name}.md"): f"{name}.md"} for name in guides]},
        {"Command line": [{text.split("`")[1]: f"cli/{name}.md"} for name, text in commands.items()]},
        {
            "Reference": [
                {module: [{path.rpartition(".")[2]: f"reference/{path}.md"} for path in paths]}
                for module, paths in public.items()
            ]
        },
        {"Benchmarks": "benchmarks.md"},
        {"Project": [{heading(f"{name.lower()}.md"): f"{name.lower()}.md"} for name in PROJECT]},
    ]


def write(name: str, text: str) -> None:
    path = SOURCE / name
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(text, encoding="utf-8")


def heading(name: str) -> str:
    """The title of a page."""
    found = re.search(r"^# (.+)$", (SOURCE / name).read_text(encoding="utf-8"), re.MULTILINE)
    if found is None:
        sys.exit(f"{name} has no title")
    return found[1].replace("`", "")


def relative(page: Path, text: str, problems: list[str]) -> str:
    """Links to this site as links within it, which Zensical checks; those to the repository are checked here."""
    up = "../" * (len(page.relative_to(SOURCE).parts) - 1)
    text = re.sub(rf"{re.escape(SITE)}\)", f"{up}index.md)", text)
    text = re.sub(rf"{re.escape(SITE)}([\w./-]+?)/(#[\w-]+)?\)", rf"{up}\1.md\2)", text)
    text = re.sub(r"https://raw\.githubusercontent\.com/\S+/(\w+\.svg)\)", rf"{up}\1)", text)
    for target in re.findall(rf"{re.escape(REPOSITORY)}([^)#\s]+)", text):
        if not Path(target).exists():
            problems.append(f"{page.relative_to(SOURCE)}: {target} is not in the repository")
    return text


def missing_images(page: Path, text: str) -> list[str]:
    names = re.findall(r"!\[[^\]]*\]\(([^)]+)\)", text)
    return [f"{page.relative_to(SOURCE)}: no image {name}" for name in names if not (page.parent / name).is_file()]


def inline(menu: object) -> str:
    """As TOML on one line."""
    if isinstance(menu, dict):
        return "{" + ", ".join(f"{json.dumps(key)} = {inline(value)}" for key, value in menu.items()) + "}"
    return "[" + ", ".join(map(inline, menu)) + "]" if isinstance(menu, list) else json.dumps(menu)


def for_machines(menu: list[dict[str, object]]) -> None:
    """`llms.txt`, and every page as Markdown where its links point."""
    package = reference.load()
    lines = ["# cliptok\n", f"> {heading_of_project()}\n"]
    for entry in menu:
        ((title, pages),) = entry.items()
        lines.append(f"## {title}\n")
        lines += [f"- [{name}]({SITE}{path})" for name, path in leaves(title, pages)]
        lines.append("")
        for _, path in leaves(title, pages):
            text = (SOURCE / path).read_text(encoding="utf-8")
            if path.startswith("reference/"):
                name = path.removeprefix("reference/").removesuffix(".md")
                text = reference.plain(name, package[name[8:]])
            (BUILT / path).parent.mkdir(parents=True, exist_ok=True)
            (BUILT / path).write_text(text, encoding="utf-8")
    (BUILT / "llms.txt").write_text("\n".join(lines), encoding="utf-8")


def heading_of_project() -> str:
    found = re.search(r'^description = "(.+)"$', Path("pyproject.toml").read_text(encoding="utf-8"), re.MULTILINE)
    assert found is not None
    return found[1]


def leaves(title: str, pages: object) -> list[tuple[str, str]]:
    """The pages of a part of the menu."""
    if isinstance(pages, str):
        return [(title, pages)]
    assert isinstance(pages, list)
    return [leaf for entry in pages for name, below in entry.items() for leaf in leaves(name, below)]


if __name__ == "__main__":
    main()
