#!/usr/bin/env bash
# The extension under a sanitizer, with the tests of arrays, threads, Arrow and interrupts.
#
#     scripts/sanitize.sh address|thread [pytest's arguments]
#
# Needs a nightly toolchain with rust-src, and gcc for its runtime, since Python itself is not instrumented. The memory
# that a sanitizer maps is beyond every limit, so the test of a limit on memory is left out.
set -euo pipefail
cd "$(dirname "$0")/.."

sanitizer=${1:?address or thread}
shift
case $sanitizer in
    address) runtime=libasan.so ;;
    thread) runtime=libtsan.so ;;
    *) echo "no sanitizer $sanitizer; address or thread" >&2; exit 2 ;;
esac
host=$(rustc +nightly -vV | sed -n 's/^host: //p')
out=target/$sanitizer

# The standard library is built with the sanitizer too: the thread sanitizer must see its locks.
RUSTFLAGS="-Zsanitizer=$sanitizer -Zexternal-clangrt -Cunsafe-allow-abi-mismatch=sanitizer -Cforce-frame-pointers=yes" \
    cargo +nightly build --quiet -Zbuild-std --target "$host" --target-dir "$out/build" --package cliptok-python \
    --features pyo3/abi3-py310 --config 'profile.dev.opt-level=1' --config 'profile.dev.debug="line-tables-only"'
rm -rf "$out/package"
mkdir -p "$out/package"
cp -r python/cliptok "$out/package/"
rm -f "$out"/package/cliptok/_engine*.so
cp "$out/build/$host/debug/lib_engine.so" "$out/package/cliptok/_engine.abi3.so"

runtimes=$(gcc -print-file-name=$runtime)
if [ "$sanitizer" = thread ]; then
    # LLVM calls the intercepted functions by other names than gcc does.
    gcc -shared -fPIC -O1 -fno-builtin -x c -o "$out/names.so" - << 'END'
#include <string.h>
void *__tsan_memcpy(void *to, const void *from, size_t n) { return memcpy(to, from, n); }
void *__tsan_memmove(void *to, const void *from, size_t n) { return memmove(to, from, n); }
void *__tsan_memset(void *to, int byte, size_t n) { return memset(to, byte, n); }
END
    runtimes="$runtimes:$PWD/$out/names.so"
fi

tests=("$@")
if [ ${#tests[@]} -eq 0 ]; then
    tests=(tests/tokenizer/test_{batch,concurrency,boundary,bindings,memory}.py
        --deselect tests/tokenizer/test_boundary.py::test_no_memory_is_a_memory_error)
    if [ "$sanitizer" = thread ]; then
        # Its runtime holds a signal back until the thread calls something that it intercepts: no wait is as it is without.
        for test in 'is_seen_at_once[decode]' ends_a_call 'while_numpy_is_imported[datetime]' 'while_numpy_is_imported[numpy.lib]'; do
            tests+=(--deselect "tests/tokenizer/test_boundary.py::test_ctrl_c_$test")
        done
    else
        tests+=(tests/tokenizer/test_arrow.py) # It imports polars, which does not load under the thread sanitizer.
    fi
fi
# pytest would take a report and be ended before it shows it.
reports=$PWD/$out/report
rm -f "$reports".*
trap 'cat "$reports".* 2> /dev/null || true' EXIT
ASAN_OPTIONS=detect_leaks=0:allocator_may_return_null=1:log_path=$reports \
    TSAN_OPTIONS=halt_on_error=1:ignore_noninstrumented_modules=1:log_path=$reports \
    LD_PRELOAD=$runtimes PYTHONPATH=$out/package PYTHONMALLOC=malloc \
    .venv/bin/python -m pytest -q -p no:cacheprovider "${tests[@]}"
