"""Where a run took place: the machine, the versions, the commit."""

import os
import platform
import re
import subprocess
from datetime import datetime, timezone
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path

import peers
from inputs import ROOT

from cliptok.tokenizer.texts import available_cpus


def cpu_name() -> str:
    """What the processor calls itself."""
    try:
        text = Path("/proc/cpuinfo").read_text()
    except OSError:
        return platform.processor() or platform.machine()
    fields = dict(re.findall(r"^(model name|vendor_id|cpu family|model)\s*: (.*)$", text, re.MULTILINE))
    name = fields.get("model name") or platform.machine()
    # A virtual machine often hides the model's number; the family and model still tell the generation.
    hidden = not re.search(r"\d", name) and "cpu family" in fields
    return f"{name} (family {fields['cpu family']}, model {fields['model']})" if hidden else name


def memory_gib() -> float:
    """The machine's memory."""
    try:
        text = Path("/proc/meminfo").read_text()
    except OSError:
        return 0.0
    found = re.search(r"^MemTotal:\s+(\d+)", text, re.MULTILINE)
    return round(int(found[1]) / 2**20, 1) if found else 0.0


def huge_pages() -> str:
    """Whether the kernel gives transparent huge pages: it decides what a fresh array costs."""
    try:
        text = Path("/sys/kernel/mm/transparent_hugepage/enabled").read_text()
    except OSError:
        return "unknown"
    found = re.search(r"\[(\w+)\]", text)
    return found[1] if found else "unknown"


def versions() -> dict[str, str]:
    """Every package that matters here, and its version."""
    names = ["cliptok", "numpy", "torch", "ftfy", "pyarrow", *(peer.distribution for peer in peers.ALL.values())]
    return {name: found for name in names if (found := _version(name))}


def _version(name: str) -> str:
    try:
        return version(name)
    except PackageNotFoundError:
        return ""


def commit() -> str:
    """The commit, with `+` behind it when the working tree has changes.

    `CLIPTOK_COMMIT` says it where there is no repository; a copy that lies within another one has none of its own.
    """
    if given := os.environ.get("CLIPTOK_COMMIT"):
        return given
    try:
        if Path(_git("rev-parse", "--show-toplevel")).resolve() != ROOT.resolve():
            return "unknown"
        number = _git("rev-parse", "--short=12", "HEAD")
        return number + ("+" if _git("status", "--porcelain", "--untracked-files=no") else "")
    except (OSError, subprocess.CalledProcessError):
        return "unknown"


def _git(*arguments: str) -> str:
    done = subprocess.run(["git", "-C", str(ROOT), *arguments], capture_output=True, text=True, check=True)
    return done.stdout.strip()


def describe() -> dict[str, object]:
    """All of it, for a file of results."""
    return {
        "date": datetime.now(timezone.utc).isoformat(timespec="seconds"),
        "commit": commit(),
        "machine": {
            "cpu": cpu_name(),
            "cpus": available_cpus(),
            "memory_gib": memory_gib(),
            "system": f"{platform.system()} {platform.release()}",
            "transparent_hugepage": huge_pages(),
            "python": platform.python_version(),
        },
        "versions": versions(),
    }


def file_name(described: dict[str, object], device: str = "") -> str:
    """`<date>-<device>.json`, where the device is the CPU if none is named."""
    slug = re.sub(r"[^a-z0-9]+", "-", (device or cpu_name()).lower()).strip("-")
    return f"{str(described['date'])[:10]}-{slug}.json"
