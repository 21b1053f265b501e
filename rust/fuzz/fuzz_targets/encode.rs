//! Any text under any profile: all instructions, offsets, counts and rows must agree, and ids must
//! decode.
#![no_main]

use cliptok::{Engine, Profile, RowOptions, Rows};
use libfuzzer_sys::fuzz_target;
use std::sync::OnceLock;

/// Of each profile, an engine for each set of instructions.
static ENGINES: OnceLock<Vec<Vec<Engine>>> = OnceLock::new();

fuzz_target!(|text: &str| {
    let engines = ENGINES.get_or_init(|| {
        let all = |(_, profile)| (0..).map_while(|number| Engine::clip(profile).with_instructions(number)).collect();
        Profile::NAMES.into_iter().map(all).collect()
    });
    for (vectors, plain) in engines.iter().flat_map(|all| all.iter().map(|one| (one, &all[all.len() - 1]))) {
        assert_eq!(vectors.needs_cleaning(text), plain.needs_cleaning(text));
        let ids = vectors.encode(text);
        assert_eq!(ids, plain.encode(text));
        vectors.decode(&ids, false).expect("encoding gives known ids");
        if vectors.profile() == Profile::Transformers {
            let (with_offsets, offsets): (Vec<u32>, Vec<_>) = vectors.encode_offsets(text).into_iter().unzip();
            assert_eq!(with_offsets, ids);
            offsets.iter().for_each(|range| assert!(text.get(range.clone()).is_some()));
            let characters = |byte: usize| text[..byte].chars().count() as i64;
            let spans: Vec<_> = offsets.iter().map(|range| [characters(range.start), characters(range.end)]).collect();
            assert_eq!(vectors.offsets(&[text], false).spans, spans);
        }
        let mut count = [0];
        vectors.count(&[text][..], &mut count, 1);
        assert_eq!(count[0] as usize, ids.len() + 2);
        let options = RowOptions { width: 16, pad: 0, add_special_tokens: true, pad_left: false };
        let mut row = [0i32; 16];
        let rows = Rows { ids: &mut row, lengths: None, mask: None };
        let report = vectors.fill_rows(&[text][..], rows, options, 1).expect("the row is wide enough");
        assert_eq!(report.first_truncated.is_some(), ids.len() > 14);
        assert!(row[1..].iter().zip(&ids).take(14).all(|(&got, &id)| got as u32 == id));
    }
});
