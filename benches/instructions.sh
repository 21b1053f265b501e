#!/bin/sh
# Instructions per caption, counted by valgrind: a number that does not depend on how busy the machine is. One line for each
# set of vector instructions that valgrind knows; AVX-512 it does not.
# usage: benches/instructions.sh [FILE]     FILE has one text per line; without it, captions from the corpora.
set -eu
cd "$(dirname "$0")/.."

if ! command -v valgrind > /dev/null; then
    echo "instructions: skipped, valgrind is not installed"
    exit 0
fi

folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
texts=$folder/texts
corpus=${CLIPTOK_SHARED:-../shared}/corpora/2_captions/flickr30k_en.txt.gz
count=2000
if [ $# -gt 0 ]; then
    head -n "$count" "$1" > "$texts"
elif [ -e "$corpus" ]; then
    # Every 40th line: the first ones are the longest.
    gzip -dc "$corpus" | awk 'NR % 40 == 0' | head -n "$count" > "$texts"
else
    echo "instructions: no corpora, so this is examples/prompts.txt, repeated"
    : > "$folder/all"
    while [ "$(wc -l < "$folder/all")" -lt "$count" ]; do cat examples/prompts.txt >> "$folder/all"; done
    head -n "$count" "$folder/all" > "$texts"
fi
lines=$(wc -l < "$texts")
bytes=$(wc -c < "$texts")

cargo build --quiet --release --package cliptok --example fill_rows
program=${CARGO_TARGET_DIR:-target}/release/examples/fill_rows

# Instructions of the program with so many repeats. What start-up and the first, cold repeat take is the same in both.
counted() {
    valgrind --tool=callgrind --callgrind-out-file="$folder/out.$1" "$program" "$texts" "$1" > "$folder/log" 2>&1 ||
        { cat "$folder/log" >&2; exit 1; }
    awk '/^(summary|totals):/ { print $2; exit }' "$folder/out.$1"
}
for set in plain sse neon avx2; do
    export CLIPTOK_INSTRUCTIONS=$set
    # Also under valgrind: it hides instructions that it does not know.
    valgrind --tool=none "$program" /dev/null 1 > /dev/null 2>&1 || continue
    once=$(counted 1)
    thrice=$(counted 3)
    awk -v set="$set" -v once="$once" -v thrice="$thrice" -v lines="$lines" -v bytes="$bytes" 'BEGIN {
        per = (thrice - once) / 2
        printf "instructions: %.0f per caption, %.1f per byte ", per / lines, per / (bytes - lines)
        printf "(%s, %d captions of %.0f bytes, int64 rows of 77, one thread, warm cache)\n", set, lines, bytes / lines - 1
    }'
done
