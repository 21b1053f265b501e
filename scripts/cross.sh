#!/usr/bin/env bash
# Checks or tests the Rust code for other machines, on this one.
#
#   scripts/cross.sh check TARGET...     cargo check of the whole workspace
#   scripts/cross.sh test TARGET         the engine's tests, under an emulator
#
# A target needs its standard library: installed beside the compiler that cargo uses (`rustup target add TARGET`, or
# RUSTC=/usr/bin/rustc with a distribution's package for another architecture), or built from source by a nightly that has
# rust-src. Tests need a linker and an emulator: gcc-aarch64-linux-gnu and qemu-user for aarch64-unknown-linux-gnu,
# mingw-w64 and wine for x86_64-pc-windows-gnu. What is missing is said, and skipped, unless CROSS_REQUIRED is set.
set -euo pipefail
cd "$(dirname "$0")/.."

skip() {
    echo "cross: $target: skipped, $1"
    if [ -n "${CROSS_REQUIRED:-}" ]; then exit 1; fi
}

# Sets `cargo` to the command that compiles for the target.
choose_cargo() {
    local libraries
    libraries=$("${RUSTC:-rustc}" --print target-libdir --target "$target" 2> /dev/null || true)
    if compgen -G "$libraries/libstd-*" > /dev/null; then
        cargo=(cargo)
        standard_library=()
    elif [ -e "$(rustc +nightly --print sysroot 2> /dev/null)/lib/rustlib/src/rust/library/Cargo.lock" ]; then
        cargo=(cargo +nightly)
        standard_library=(-Zbuild-std)
    else
        skip "it has no standard library (rustup target add $target; or rustup component add rust-src --toolchain nightly)"
        return 1
    fi
}

# Sets `$1` to the first of the commands that is installed.
choose() {
    local name=$1 command
    for command in "${@:2}"; do
        if command -v "$command" > /dev/null; then
            printf -v "$name" '%s' "$command"
            return
        fi
    done
    skip "none of these is installed: ${*:2}"
    return 1
}

check() {
    for target in "$@"; do
        if choose_cargo; then
            PYO3_NO_PYTHON=1 PYO3_BUILD_EXTENSION_MODULE=1 "${cargo[@]}" check --quiet "${standard_library[@]}" --workspace --target "$target"
            echo "cross: $target: compiles"
        fi
    done
}

run_tests() {
    target=$1
    local linker emulator
    local -a runner
    case $target in
        aarch64-unknown-linux-gnu)
            choose linker aarch64-linux-gnu-gcc && choose emulator qemu-aarch64-static qemu-aarch64 || return 0
            runner=("$emulator" -L "${CROSS_SYSROOT:-/usr/aarch64-linux-gnu}")
            ;;
        x86_64-pc-windows-gnu)
            choose linker x86_64-w64-mingw32-gcc && choose emulator wine64 wine /usr/lib/wine/wine64 || return 0
            # A Windows of its own, in the build folder. Some packages of wine lack the library that Rust's standard
            # library takes random numbers from.
            export WINEPREFIX=${CARGO_TARGET_DIR:-$PWD/target}/wine WINEARCH=win64 WINEDEBUG=-all
            mkdir -p "$WINEPREFIX"
            "$emulator" wineboot -i > /dev/null 2>&1 || true
            local system=$WINEPREFIX/drive_c/windows/system32
            if [ ! -e "$system/bcryptprimitives.dll" ]; then
                "$linker" -shared -x c -o "$system/bcryptprimitives.dll" - -ladvapi32 << 'C'
#include <windows.h>
#include <ntsecapi.h>
__declspec(dllexport) BOOL ProcessPrng(PBYTE data, SIZE_T size) { return RtlGenRandom(data, (ULONG)size); }
C
            fi
            runner=("$emulator")
            ;;
        *)
            echo "cross: no emulator is known for $target" >&2
            exit 2
            ;;
    esac
    choose_cargo || return 0
    local variable=CARGO_TARGET_$(tr a-z- A-Z_ <<< "$target")
    env "${variable}_LINKER=$linker" "${variable}_RUNNER=${runner[*]}" \
        "${cargo[@]}" test --quiet "${standard_library[@]}" --package cliptok --lib --tests --target "$target"
}

case ${1:-} in
    check) check "${@:2}" ;;
    test) run_tests "${2:?test needs a target}" ;;
    *) sed -n '2,5p' "$0" >&2 && exit 2 ;;
esac
