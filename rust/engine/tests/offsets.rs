//! Offsets: of the fast way, of the general one, and as they are written down here.

use cliptok::{AddedToken, Engine, Profile, Vocabulary};

fn texts() -> Vec<String> {
    let plain = "a photo of the cat's 12 internationalization-pneumonoultramicroscopicsilicovolcanoconiosis, don't";
    let mut texts: Vec<String> =
        ["", " ", "a", "  a  cat ", "\u{dc}ber", "caf\u{e9} 'S", "\u{4f60}\u{597d} a", "e\u{301}x", "\u{1f600}!"]
            .map(str::to_owned)
            .to_vec();
    texts.extend(["xqzjkv wvu ".repeat(40), plain.repeat(9), format!("{plain} {} \u{e9}", plain.repeat(30))]);
    texts.extend((120..132).map(|length| "x".repeat(length)));
    texts
}

#[test]
fn many_texts_are_as_each() {
    let texts = texts();
    let texts: Vec<&str> = texts.iter().map(String::as_str).collect();
    let clip = || Engine::clip(Profile::Transformers);
    for engine in (0..).map_while(|number| clip().with_instructions(number)) {
        for specials in [false, true] {
            let found = engine.offsets(&texts, specials);
            assert_eq!((found.bounds.len(), found.bounds[0]), (texts.len() + 1, 0));
            for (text, bounds) in texts.iter().zip(found.bounds.windows(2)) {
                let these = bounds[0] as usize..bounds[1] as usize;
                let characters = |byte: usize| text[..byte].chars().count() as i64;
                let offsets = engine.encode_offsets(text).into_iter();
                let (mut ids, mut spans): (Vec<i64>, Vec<[i64; 2]>) = offsets
                    .map(|(id, range)| (i64::from(id), [characters(range.start), characters(range.end)]))
                    .unzip();
                assert_eq!(ids, engine.encode(text).into_iter().map(i64::from).collect::<Vec<_>>(), "{text:?}");
                if specials {
                    ids = [vec![49_406], ids, vec![49_407]].concat();
                    spans = [vec![[0, 0]], spans, vec![[0, 0]]].concat();
                }
                assert_eq!((&found.ids[these.clone()], &found.spans[these]), (&ids[..], &spans[..]), "{text:?}");
            }
        }
    }
}

#[test]
fn ranges_of_bytes() {
    let engine = Engine::clip(Profile::Transformers);
    let ranges = |text: &str| -> Vec<(usize, usize)> {
        engine.encode_offsets(text).into_iter().map(|(_, range)| (range.start, range.end)).collect()
    };
    assert_eq!(ranges("  A cat's\n"), [(2, 3), (4, 7), (7, 9)]);
    assert_eq!(ranges("caf\u{e9}"), [(0, 5)]);
    assert_eq!(ranges("cafe\u{301} b"), [(0, 4), (7, 8)]); // what was composed is skipped
    assert_eq!(ranges("a <|endoftext|>b"), [(0, 1), (2, 15), (15, 16)]);
}

/// Of a run of white space that normalising makes one space, the last character is what it covers.
#[test]
fn added_tokens_in_normalised_text() {
    let token = |id, content: &str| AddedToken {
        id,
        content: content.to_owned(),
        special: false,
        normalized: true,
        lstrip: false,
        rstrip: false,
        single_word: false,
    };
    let added = vec![token(50_000, "new york"), token(50_001, " lead")];
    let engine = Engine::new(Profile::Transformers, Vocabulary::clip(), added, 49_406, 49_407).unwrap();
    let found = |text: &str| -> Vec<(u32, usize, usize)> {
        engine.encode_offsets(text).into_iter().map(|(id, range)| (id, range.start, range.end)).collect()
    };
    assert_eq!(found("in NEW \t York!"), [(530, 0, 2), (50_000, 3, 13), (256, 13, 14)]);
    assert_eq!(found("the \t Lead"), [(518, 0, 3), (50_001, 5, 10)]);
    assert_eq!(found("\u{e9}  lead")[1..], [(50_001, 3, 8)]);
}
