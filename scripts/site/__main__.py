"""Builds the documentation into `target/site`: `make docs`.

README is the first page, `docs/` has the guides, and the rest is generated: the reference from the docstrings, the
command line's pages from its parser, the benchmarks from their results, and `llms.txt` with the Markdown of each page.
Nothing broken passes: a link, an anchor, a name, an image, or a docstring that is missing.
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
from for_machines import write_for_machines

from cliptok.cli import _parser

SITE = "https://cliptok.github.io/cliptok/"
REPOSITORY = "https://github.com/cliptok/cliptok/blob/main/"
SOURCE, BUILT = Path("target/site-source"), Path("target/site")

# In the order of the menu; what else lies in docs/ comes after these.
GUIDES = ("guide", "encoder", "prompts", "dataloaders", "batch", "limits")
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
    write_for_machines(menu, SOURCE, BUILT, SITE)


def assemble(problems: list[str]) -> list[dict[str, object]]:
    """Write every page's Markdown below SOURCE, and return the menu."""
    write("index.md", Path("README.md").read_text(encoding="utf-8"))
    names = {path.relative_to("docs").with_suffix("").as_posix() for path in Path("docs").rglob("*.md")}
    places = {name: GUIDES.index(top) if (top := name.partition("/")[0]) in GUIDES else len(GUIDES) for name in names}
    guides = sorted(names - {*PROJECT}, key=lambda name: (places[name], name))
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
    for path in (path for paths in public.values() for path in paths):
        lacking = reference.without_docstring(package[path.removeprefix("cliptok.")])
        problems += [f"{name} has no docstring" for name in lacking]
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

    def within(link: re.Match[str]) -> str:
        path = (link[1] or "index").rstrip("/")
        return f"({up}{path}{'' if (SOURCE / f'{path}.md').is_file() else '/index'}.md{link[2]})"

    text = re.sub(rf"\({re.escape(SITE)}([\w./-]*)((?:#[\w-]+)?)\)", within, text)
    text = re.sub(r"https://raw\.githubusercontent\.com/\S+/(\w+\.svg)\)", rf"{up}\1)", text)
    targets = re.findall(rf"{re.escape(REPOSITORY)}([^)#\s]+)", text)
    name = page.relative_to(SOURCE)
    problems += [f"{name}: {target} is not in the repository" for target in targets if not Path(target).exists()]
    return text


def missing_images(page: Path, text: str) -> list[str]:
    names = re.findall(r"!\[[^\]]*\]\(([^)]+)\)", text)
    return [f"{page.relative_to(SOURCE)}: no image {name}" for name in names if not (page.parent / name).is_file()]


def inline(menu: object) -> str:
    """As TOML on one line."""
    if isinstance(menu, dict):
        return "{" + ", ".join(f"{json.dumps(key)} = {inline(value)}" for key, value in menu.items()) + "}"
    return "[" + ", ".join(map(inline, menu)) + "]" if isinstance(menu, list) else json.dumps(menu)


if __name__ == "__main__":
    main()
