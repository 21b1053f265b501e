#!/bin/sh
# Broken versions of Python files that their tests must notice, with mutmut: scripts/mutants_python.sh "FILES" "TESTS"
# mutmut finds a package in `src` beside `tests` alone, so both are copied to target/mutants-python. The engine comes along
# compiled, and processes that tests start find the mutants too.
set -eu
cd "$(dirname "$0")/.."
root=$PWD
out=target/mutants-python
rm -rf $out
mkdir -p $out/mutants/src # Python forgets a path that it did not find
cp -r python $out/src
cp -r tests docs examples pyproject.toml README.md $out
{
    echo "[mutmut]"
    echo "source_paths = src"
    echo "only_mutate ="
    for file in $1; do echo "    src/${file#python/}"; done
    echo "also_copy ="
    printf '    %s\n' docs examples README.md
    echo "pytest_add_cli_args ="
    printf '    %s\n' --quiet -p no:cacheprovider
    echo "pytest_add_cli_args_test_selection ="
    printf '    %s\n' $2
    echo "process_isolation = fork"
    echo "timeout_constant = 20"
    echo "use_git_change_detection = false"
} > $out/setup.cfg
cd $out
export PYTHONPATH="$PWD/mutants/src" CLIPTOK_SHARED="${CLIPTOK_SHARED:-$root/../shared}" OMP_NUM_THREADS=1
"$root/.venv/bin/mutmut" run --max-children "${JOBS:-2}"
"$root/.venv/bin/mutmut" results
