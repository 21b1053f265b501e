//! Any text under a profile: all instructions, offsets, counts and rows must agree, and ids must decode.
#![no_main]

use cliptok::{Engine, Profile, RowOptions, Rows};
use libfuzzer_sys::fuzz_target;
use std::sync::OnceLock;

/// Of each profile, an engine for each set of instructions.
static ENGINES: OnceLock<Vec<Vec<Engine>>> = OnceLock::new();

fuzz_target!(|input: (u8, &str)| {
    let (which, text) = input;
    let engines = ENGINES.get_or_init(|| {
        let all = |(_, profile)| (0..).map_while(|number| Engine::clip(profile).with_instructions(number)).collect();
        Profile::NAMES.into_iter().map(all).collect()
    });
    let engines = &engines[usize::from(which) % engines.len()];
    let plain = &engines[engines.len() - 1];
    let (ids, needs_cleaning) = (plain.encode(text), plain.needs_cleaning(text));
    plain.decode(&ids, false).expect("encoding gives known ids");
    let offsets = (plain.profile() == Profile::Transformers).then(|| {
        let (with_offsets, offsets): (Vec<u32>, Vec<_>) = plain.encode_offsets(text).into_iter().unzip();
        assert_eq!(with_offsets, ids);
        offsets.iter().for_each(|range| assert!(text.get(range.clone()).is_some()));
        let characters = |byte: usize| text[..byte].chars().count() as i64;
        offsets.iter().map(|range| [characters(range.start), characters(range.end)]).collect::<Vec<_>>()
    });
    for engine in engines {
        assert_eq!(engine.needs_cleaning(text), needs_cleaning);
        assert_eq!(engine.encode(text), ids);
        if let Some(offsets) = &offsets {
            assert_eq!(engine.offsets(&[text], false).spans, *offsets);
        }
        let mut count = [0];
        engine.count(&[text][..], &mut count, 1);
        assert_eq!(count[0] as usize, ids.len() + 2);
        let options = RowOptions { width: 16, pad: 0, add_special_tokens: true, pad_left: false };
        let mut row = [0i32; 16];
        let rows = Rows { ids: &mut row, lengths: None, mask: None };
        let report = engine.fill_rows(&[text][..], rows, options, 1).expect("the row is wide enough");
        assert_eq!(report.first_truncated.is_some(), ids.len() > 14);
        assert!(row[1..].iter().zip(&ids).take(14).all(|(&got, &id)| got as u32 == id));
    }
});
