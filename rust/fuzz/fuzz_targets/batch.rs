//! Any batch on several threads, in rows, packed and counted: as each text by itself.
#![no_main]

use arbitrary::Arbitrary;
use cliptok::{Engine, Profile, RowOptions, Rows};
use libfuzzer_sys::fuzz_target;
use std::sync::OnceLock;

#[derive(Arbitrary, Debug)]
struct Input<'a> {
    profile: u8,
    width: u8,
    threads: u8,
    add_special_tokens: bool,
    pad_left: bool,
    /// How often the batch is repeated, so that threads have something to share.
    repeats: u8,
    texts: Vec<&'a str>,
}

static ENGINES: OnceLock<Vec<Engine>> = OnceLock::new();

fuzz_target!(|input: Input| {
    let engines = ENGINES.get_or_init(|| Profile::NAMES.into_iter().map(|(_, profile)| Engine::clip(profile)).collect());
    let engine = &engines[usize::from(input.profile) % engines.len()];
    let threads = 1 + usize::from(input.threads % 4);
    let texts: Vec<&str> = (0..=input.repeats).flat_map(|_| &input.texts).copied().take(4096).collect();
    let wanted: Vec<Vec<i32>> =
        input.texts.iter().map(|text| engine.encode(text).into_iter().map(|id| id as i32).collect()).collect();
    let specials = 2 * usize::from(input.add_special_tokens);

    let mut counts = vec![0; texts.len()];
    engine.count(&texts, &mut counts, threads);
    let mut packed: Vec<i32> = Vec::new();
    let offsets = engine.pack(&texts, None, input.add_special_tokens, threads, &mut packed).expect("packing");

    let width = usize::from(input.width).max(specials + 1);
    let (mut ids, mut mask, mut lengths) =
        (vec![-1; width * texts.len()], vec![9; width * texts.len()], vec![-1; texts.len()]);
    let rows = Rows { ids: &mut ids, lengths: Some(&mut lengths), mask: Some(&mut mask) };
    let options = RowOptions { width, pad: 7, add_special_tokens: input.add_special_tokens, pad_left: input.pad_left };
    let report = engine.fill_rows(&texts, rows, options, threads).expect("rows are wide enough");

    let [start, end] = engine.start_and_end().map(|id| id as i32);
    for i in 0..texts.len() {
        let alone = &wanted[i % input.texts.len()];
        assert_eq!(counts[i] as usize, alone.len() + 2);
        let found = &packed[offsets[i]..offsets[i + 1]];
        assert_eq!(&found[specials / 2..found.len() - specials / 2], alone);
        let kept = &alone[..alone.len().min(width - specials)];
        let padding = width - kept.len() - specials;
        let at = i * width + if input.pad_left { padding } else { 0 };
        let row = &ids[at..at + kept.len() + specials];
        assert_eq!(&row[specials / 2..specials / 2 + kept.len()], kept);
        if input.add_special_tokens {
            assert_eq!((row[0], row[row.len() - 1]), (start, end));
        }
        assert_eq!(mask[i * width..(i + 1) * width].iter().filter(|&&one| one == 1).count(), row.len());
        assert_eq!(ids[i * width..(i + 1) * width].len() - row.len(), padding);
        assert_eq!(lengths[i] as usize, row.len());
    }
    let truncated = (0..texts.len()).find(|i| wanted[i % input.texts.len()].len() > width - specials);
    assert_eq!(report.first_truncated, truncated);
});
