//! Hostile vocabularies: whatever stands in a file, an error or a tokenizer, never a panic.
#![no_main]

use cliptok::{AddedToken, Engine, Profile, Vocabulary};
use libfuzzer_sys::fuzz_target;

fuzz_target!(|input: (Vec<(String, u32)>, Vec<(String, String)>, Vec<(String, bool, bool, bool)>, String)| {
    let (tokens, merges, added, text) = input;
    // Every byte needs a token, or nothing gets beyond the first check.
    let complete = Vocabulary::clip();
    let bytes = complete.tokens().take(512).map(|(token, id)| (token.to_owned(), id));
    let more = tokens.into_iter().map(|(token, id)| (token, 512 + id % 70_000));
    let Ok(vocabulary) = Vocabulary::new(bytes.chain(more), merges, Some("!")) else { return };
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
