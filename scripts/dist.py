"""Builds the distributions into `dist/` and tries them as a user gets them: `make dist`.

1. The abi3 wheel, the source distribution, and a wheel from that alone, unpacked elsewhere and built in an environment
   of its own.
2. Checks: metadata (twine), the stable ABI (abi3audit), both wheels hold the same files, a bill of materials too.
3. Each wheel goes into a fresh environment of each supported Python of the machine and runs there.
"""

import os
import shutil
import subprocess
import sys
import tarfile
import tempfile
import zipfile
from pathlib import Path

from pythons import pythons

ROOT = Path(__file__).parent.parent
DIST = ROOT / "dist"
BIN = Path(sys.executable).parent

# What must be in the source distribution: building, testing and judging it takes nothing else.
IN_SDIST = (
    *("Cargo.lock", "Cargo.toml", "LICENSE", "README.md", "CHANGELOG.md", "pyproject.toml", "PKG-INFO"),
    *("rust/engine/Cargo.toml", "rust/engine/data/merges.bin", "rust/engine/data/LICENSE-CLIP"),
    *("rust/bindings/Cargo.toml", "rust/bindings/src/lib.rs"),
    *("python/cliptok/py.typed", "python/cliptok/_engine.pyi", "tests/golden.json", "examples/walkthrough.py"),
)


def main() -> None:
    shutil.rmtree(DIST, ignore_errors=True)
    run(BIN / "maturin", "build", "--release", "--locked", "--out", DIST, cwd=ROOT)
    run(BIN / "maturin", "sdist", "--out", DIST, cwd=ROOT)
    wheel, sdist = only(DIST, "*.whl"), only(DIST, "*.tar.gz")
    with tempfile.TemporaryDirectory() as folder:
        rebuilt = build_from(sdist, Path(folder))
        for path in (wheel, sdist, rebuilt):
            print(f"{path.name}: {path.stat().st_size / 1e6:.2f} MB")
        run(BIN / "twine", "check", "--strict", wheel, sdist, rebuilt)
        run(BIN / "abi3audit", "--strict", "--summary", wheel, rebuilt)
        same_files(wheel, rebuilt)
        for python in pythons():
            for built in (wheel, rebuilt):
                try_it(python, built, Path(folder))


def run(*command: str | Path, cwd: Path | None = None, **environment: str) -> str:
    """What a command prints. Fails, with all that it said, unless its status is 0."""
    done = subprocess.run(command, cwd=cwd, env={**os.environ, **environment}, capture_output=True, text=True)
    if done.returncode:
        sys.exit(f"{' '.join(map(str, command))}: status {done.returncode}\n{done.stdout}{done.stderr}")
    return done.stdout


def only(folder: Path, pattern: str) -> Path:
    (found,) = folder.glob(pattern)
    return found


def build_from(sdist: Path, folder: Path) -> Path:
    """The wheel that a source distribution gives, away from the repository and with build tools of its own."""
    with tarfile.open(sdist) as archive:
        archive.extractall(folder, filter="data")
    (source,) = (path for path in folder.iterdir() if path.is_dir())
    missing = [name for name in IN_SDIST if not (source / name).is_file()]
    if missing:
        sys.exit(f"{sdist.name} lacks {', '.join(missing)}")
    # Cargo's folder is kept between runs: with other paths in it than the repository's, it shares nothing with that.
    target = str(ROOT / "target" / "sdist")
    run(BIN / "uv", "build", "--quiet", "--wheel", "--out-dir", folder / "rebuilt", source, CARGO_TARGET_DIR=target)
    return only(folder / "rebuilt", "*.whl")


def same_files(wheel: Path, rebuilt: Path) -> None:
    """Fails unless both wheels hold the same files, and what users need among them."""
    names, others = (set(zipfile.ZipFile(path).namelist()) for path in (wheel, rebuilt))
    if names != others:
        sys.exit(f"the wheel and the one from the source distribution differ in {sorted(names ^ others)}")
    for end in ("py.typed", "_engine.pyi", "licenses/LICENSE", "sboms/cliptok-python.cyclonedx.json"):
        if not any(name.endswith(end) for name in names):
            sys.exit(f"{wheel.name} lacks {end}")


def try_it(python: Path, wheel: Path, folder: Path) -> None:
    """Install a wheel in a fresh environment and run it, from a folder where the repository cannot be seen."""
    run(BIN / "uv", "venv", "--quiet", "--clear", "--python", python, folder / "venv")
    inside = folder / "venv" / ("Scripts" if os.name == "nt" else "bin")
    run(BIN / "uv", "pip", "install", "--quiet", "--python", inside / "python", wheel)
    run(inside / "python", "-W", "error", ROOT / "examples" / "walkthrough.py", cwd=folder)
    run(inside / "cliptok", "show", "a photo of a cat", cwd=folder)
    run(BIN / "uv", "pip", "install", "--quiet", "--python", inside / "python", f"{wheel}[batch]")
    (folder / "captions.txt").write_text("a photo of a cat\n“a” dog\n", encoding="utf-8")
    printed = run(inside / "cliptok", "tokenize", "captions.txt", "--profile", "open_clip", cwd=folder)
    if printed != "49406 320 1125 539 320 2368 49407\n49406 257 320 257 1929 49407\n":
        sys.exit(f"cliptok tokenize printed {printed!r}")
    version = run(inside / "python", "-c", "import sys; print(*sys.version_info[:3], sep='.')").strip()
    print(f"Python {version}: {'wheel' if wheel.parent == DIST else 'wheel from sdist'} runs")


if __name__ == "__main__":
    main()
