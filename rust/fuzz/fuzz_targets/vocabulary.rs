//! Hostile vocabularies: whatever stands in a file, an error or a tokenizer, never a panic.
#![no_main]

use cliptok::{AddedToken, Engine, Profile, Vocabulary};
use libfuzzer_sys::fuzz_target;
use std::sync::OnceLock;

type Added = Vec<(String, bool, bool, bool)>;

/// Every byte needs a token, or nothing gets beyond the first check.
static BYTES: OnceLock<Vec<(String, u32)>> = OnceLock::new();

fuzz_target!(|input: (Vec<(String, u32)>, Vec<(String, String)>, Added, String)| {
    let bytes = BYTES.get_or_init(|| {
        Vocabulary::clip().tokens().take(512).map(|(token, id)| (token.to_owned(), id)).collect()
    });
    let (tokens, merges, added, text) = input;
    let more = tokens.into_iter().map(|(token, id)| (token, 512 + id % 1_000));
    let Ok(vocabulary) = Vocabulary::new(bytes.iter().cloned().chain(more), merges, Some("!")) else { return };
    let added = added.into_iter().enumerate().map(|(i, (content, normalized, strip, single_word))| AddedToken {
        id: 80_000 + i as u32,
        content,
        special: strip,
        normalized,
        lstrip: strip,
        rstrip: !strip,
        single_word,
    });
    let Ok(engine) = Engine::new(Profile::Transformers, vocabulary, added.collect(), 0, 1) else { return };
    let ids = engine.encode(&text);
    let (with_offsets, _): (Vec<u32>, Vec<_>) = engine.encode_offsets(&text).into_iter().unzip();
    assert_eq!(ids, with_offsets);
    let _ = engine.decode(&ids, true);
});
