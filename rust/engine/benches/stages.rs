//! The engine's stages, one thread, without Python: `cargo bench`.
//!
//! Texts come from the corpora beside the repository, or from `CLIPTOK_SHARED`, or are the shipped prompts.

use cliptok::{Engine, Id, Profile, RowOptions, Rows};
use criterion::{BatchSize, Criterion, Throughput};
use std::hint::black_box;
use std::path::{Path, PathBuf};

const WIDTH: usize = 77;
const OPTIONS: RowOptions = RowOptions { width: WIDTH, pad: 49407, add_special_tokens: true, pad_left: false };

fn main() {
    let mut criterion = Criterion::default().configure_from_args();
    let engine = Engine::clip(Profile::Transformers);
    let captions = lines(&["2_captions/coco8k_en.txt"]);
    rows::<i64>(&mut criterion, &engine, "captions to int64 rows", &captions);
    rows::<u16>(&mut criterion, &engine, "captions to uint16 rows", &captions);
    let mixed = ["multi30k_cs", "multi30k_de", "tatoeba_cjk", "tatoeba_cyrillic", "tatoeba_hindi_bengali"]
        .map(|name| format!("4_multilingual/{name}.txt"));
    rows::<i64>(&mut criterion, &engine, "multilingual to int64 rows", &lines(&mixed));
    rows::<i64>(&mut criterion, &engine, "dirty to int64 rows", &lines(&["5_dirty/tweets_emoji.txt"]));
    cold(&mut criterion, &captions);
    long_words(&mut criterion, &engine, &captions);
    decode(&mut criterion, &engine, &captions);
    criterion.final_summary();
}

/// Scan, look up and write, with every word in the cache.
fn rows<T: Id + Default + Clone>(criterion: &mut Criterion, engine: &Engine, name: &str, texts: &[String]) {
    let mut ids = vec![T::default(); WIDTH * texts.len()];
    let mut group = criterion.benchmark_group("rows");
    group.throughput(bytes(texts));
    group.bench_function(name, |bencher| {
        bencher.iter(|| fill(engine, texts, &mut ids));
    });
}

/// The same with a cache that knows none of the words: how long a first batch takes.
fn cold(criterion: &mut Criterion, texts: &[String]) {
    let texts = &texts[..texts.len().min(1000)];
    let mut ids = vec![0i64; WIDTH * texts.len()];
    let mut group = criterion.benchmark_group("rows");
    group.throughput(bytes(texts)).sample_size(20);
    group.bench_function("1000 captions, cold", |bencher| {
        let fresh = || Engine::clip(Profile::Transformers);
        bencher.iter_batched_ref(fresh, |engine| fill(engine, texts, &mut ids), BatchSize::PerIteration);
    });
}

/// Merging: words that are too long to be remembered.
fn long_words(criterion: &mut Criterion, engine: &Engine, texts: &[String]) {
    let letters: String = texts.iter().flat_map(|text| text.chars()).filter(char::is_ascii_lowercase).collect();
    let mut group = criterion.benchmark_group("merge");
    for length in [100, 1000, 10_000, 100_000] {
        let word = &letters[..length.min(letters.len())];
        group.throughput(Throughput::Bytes(word.len() as u64));
        group.bench_function(format!("a word of {length} letters"), |bencher| {
            bencher.iter(|| engine.encode(black_box(word)));
        });
    }
}

fn decode(criterion: &mut Criterion, engine: &Engine, texts: &[String]) {
    let ids: Vec<Vec<u32>> = texts.iter().map(|text| engine.encode(text)).collect();
    let mut group = criterion.benchmark_group("decode");
    group.throughput(bytes(texts));
    group.bench_function("captions", |bencher| {
        bencher.iter(|| {
            ids.iter()
                .map(|ids| engine.decode(black_box(ids), false).expect("they are its own ids").len())
                .sum::<usize>()
        });
    });
}

fn fill<T: Id>(engine: &Engine, texts: &[String], ids: &mut [T]) {
    let rows = Rows { ids, lengths: None, mask: None };
    engine.fill_rows(black_box(texts), rows, OPTIONS, 1).expect("the buffer has the right size");
}

fn bytes(texts: &[String]) -> Throughput {
    Throughput::Bytes(texts.iter().map(|text| text.len() as u64).sum())
}

/// The lines of some corpora, or of the shipped prompts where there are none.
fn lines(names: &[impl AsRef<Path>]) -> Vec<String> {
    let root = Path::new(env!("CARGO_MANIFEST_DIR")).join("../..");
    let shared = std::env::var_os("CLIPTOK_SHARED").map_or_else(|| root.join("../shared"), PathBuf::from);
    let corpora = shared.join("corpora");
    let files: Vec<PathBuf> = if corpora.is_dir() {
        names.iter().map(|name| corpora.join(name)).collect()
    } else {
        vec![root.join("examples/prompts.txt")]
    };
    let read =
        |file: &PathBuf| std::fs::read_to_string(file).unwrap_or_else(|error| panic!("{}: {error}", file.display()));
    files.iter().flat_map(|file| read(file).lines().map(str::to_owned).collect::<Vec<_>>()).collect()
}
