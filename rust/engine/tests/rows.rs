//! Rows of every profile, of clean and of dirty texts: as the ids of each text by itself.

use cliptok::{AddedToken, Engine, Profile, RowOptions, Rows, Vocabulary};

const TEXTS: [&str; 12] = [
    "",
    " ",
    "a cat",
    "A photo of a woman's red dress, don't you think?",
    "caf&eacute; &amp;amp; more",
    "\u{201c}quoted\u{201d} \u{2026}",
    "na\u{c3}\u{af}ve caf\u{c3}\u{a9}",
    "e\u{301} \u{1100}\u{1161} \u{fb01}",
    "\u{ff21}\u{ff22} \u{130}",
    "\u{4f60}\u{597d} \u{1f600}",
    "x &lt;b&gt; \u{a0} y",
    "very long words: internationalization pneumonoultramicroscopicsilicovolcanoconiosis 12345",
];

fn row(ids: &[u32], [start, end]: [u32; 2], options: &RowOptions) -> (Vec<i32>, usize) {
    let specials = 2 * usize::from(options.add_special_tokens);
    let mut row: Vec<u32> = ids.iter().copied().take(options.width - specials).collect();
    if options.add_special_tokens {
        row.insert(0, start);
        row.push(end);
    }
    let length = row.len();
    let padding = vec![options.pad; options.width - length];
    let row = if options.pad_left { [padding, row].concat() } else { [row, padding].concat() };
    (row.into_iter().map(|id| id as i32).collect(), length)
}

fn check(engine: &Engine, texts: &[&str], options: RowOptions, threads: usize) {
    let width = options.width;
    let (mut ids, mut mask) = (vec![-1; width * texts.len()], vec![-1; width * texts.len()]);
    let mut lengths = vec![-1; texts.len()];
    let rows = Rows { ids: &mut ids, lengths: Some(&mut lengths), mask: Some(&mut mask) };
    let report = engine.fill_rows(texts, rows, options, threads).unwrap();
    let mut first_truncated = None;
    for (i, text) in texts.iter().enumerate() {
        let all = engine.encode(text);
        let (wanted, length) = row(&all, engine.start_and_end(), &options);
        let name = format!("{:?} {text:?} {options:?}", engine.profile());
        assert_eq!(ids[i * width..][..width], wanted, "{name}");
        assert_eq!(lengths[i] as usize, length, "{name}");
        let (from, to) = if options.pad_left { (width - length, width) } else { (0, length) };
        assert!((0..width).all(|at| mask[i * width + at] == i64::from((from..to).contains(&at))), "{name}");
        if all.len() + 2 * usize::from(options.add_special_tokens) > width {
            first_truncated.get_or_insert(i);
        }
    }
    assert_eq!(report.first_truncated, first_truncated);
}

#[test]
fn every_profile() {
    for (_, profile) in Profile::NAMES {
        for engine in (0..).map_while(|number| Engine::clip(profile).with_instructions(number)) {
            for width in [2, 3, 5, 16, 17, 77, 128, 129] {
                for (add_special_tokens, pad_left) in [(true, false), (true, true), (false, false), (false, true)] {
                    let options = RowOptions { width, pad: 7, add_special_tokens, pad_left };
                    check(&engine, &TEXTS, options, 1);
                }
            }
        }
    }
}

#[test]
fn padding_that_needs_more_than_sixteen_bits() {
    for profile in [Profile::Transformers, Profile::OpenClip] {
        let options = RowOptions { width: 20, pad: 70_000, add_special_tokens: true, pad_left: false };
        check(&Engine::clip(profile), &TEXTS, options, 1);
    }
}

#[test]
fn batches_on_several_threads() {
    let texts: Vec<&str> = TEXTS.iter().copied().cycle().take(3000).collect();
    for (_, profile) in Profile::NAMES {
        let engine = Engine::clip(profile);
        check(&engine, &texts, RowOptions { width: 16, pad: 0, add_special_tokens: true, pad_left: false }, 3);
        let mut counts = vec![0; texts.len()];
        engine.count(&texts, &mut counts, 3);
        let mut packed: Vec<i32> = Vec::new();
        let offsets = engine.pack(&texts, Some(9), true, 3, &mut packed).unwrap();
        for (i, text) in texts.iter().enumerate() {
            let ids = engine.encode(text);
            assert_eq!(counts[i] as usize, ids.len() + 2);
            assert_eq!(offsets[i + 1] - offsets[i], (ids.len() + 2).min(9));
        }
    }
}

fn token(lstrip: bool, rstrip: bool, single_word: bool) -> AddedToken {
    AddedToken { id: 50_000, content: "<x>".to_owned(), special: false, normalized: false, lstrip, rstrip, single_word }
}

fn with(token: AddedToken) -> Engine {
    Engine::new(Profile::Transformers, Vocabulary::clip(), vec![token], 49_406, 49_407).unwrap()
}

#[test]
fn rows_counts_and_packs_of_added_tokens() {
    let engine = with(AddedToken { id: 70_000, ..token(false, false, false) });
    let texts = ["<x>", "a <x> b", "<x><x> <x> a photo of <x>", "\u{e9}<x>", "a<x>", "<x> a photo"];
    for width in 2..12 {
        for (add_special_tokens, pad_left) in [(true, false), (true, true), (false, false), (false, true)] {
            check(&engine, &texts, RowOptions { width, pad: 7, add_special_tokens, pad_left }, 1);
        }
    }
    let mut counts = vec![0; texts.len()];
    engine.count(&texts, &mut counts, 1);
    let mut packed: Vec<i32> = Vec::new();
    let offsets = engine.pack(&texts, None, false, 1, &mut packed).unwrap();
    for (i, text) in texts.iter().enumerate() {
        let ids = engine.encode(text);
        assert_eq!(counts[i] as usize, ids.len() + 2, "{text:?}");
        assert!(packed[offsets[i]..offsets[i + 1]].iter().map(|&id| id as u32).eq(ids), "{text:?}");
    }
}

/// The slow reference strips the token next to one that strips, if it begins or ends with white space there.
#[test]
fn tokens_strip_their_neighbours() {
    let named = |id, content: &str, lstrip, rstrip| AddedToken {
        id,
        content: content.to_owned(),
        ..token(lstrip, rstrip, false)
    };
    let added = vec![
        named(50_000, "<r>", false, true),
        named(50_001, "<l>", true, false),
        named(50_002, " b", false, false),
        named(50_003, "b ", false, false),
        named(50_004, "<n>", false, false),
    ];
    let engine = Engine::new(Profile::TransformersSlow, Vocabulary::clip(), added, 49_406, 49_407).unwrap();
    let found = |text: &str| -> Vec<u32> { engine.encode(text).into_iter().filter(|&id| id >= 50_000).collect() };
    assert_eq!(found("<r> b c"), [50_000]);
    assert_eq!(found("<n> b c"), [50_004, 50_002]);
    assert_eq!(found("<l> b c"), [50_001, 50_002]);
    assert_eq!(found("x b <l>"), [50_002, 50_001]);
    assert_eq!(found("xb <l>"), [50_001]);
    assert_eq!(found("xb <n>"), [50_003, 50_004]);
    assert_eq!(found("xb <r>"), [50_003, 50_000]);
    assert_eq!(found("<r>  b c"), [50_000, 50_002]);
    assert_eq!(found("xb <l> b <r> b"), [50_001, 50_002, 50_000]);
}

/// White space belongs to a token on the side that it strips, up to the token before.
#[test]
fn stripping_is_on_its_own_side() {
    let found = |lstrip, rstrip, text: &str| -> Vec<(usize, usize)> {
        let offsets = with(token(lstrip, rstrip, false)).encode_offsets(text).into_iter();
        offsets.filter(|(id, _)| *id == 50_000).map(|(_, range)| (range.start, range.end)).collect()
    };
    assert_eq!(found(false, false, "a  <x>  b"), [(3, 6)]);
    assert_eq!(found(true, false, "a  <x>  b"), [(1, 6)]);
    assert_eq!(found(false, true, "a  <x>  b"), [(3, 8)]);
    assert_eq!(found(true, true, "a  <x>  b"), [(1, 8)]);
    assert_eq!(found(true, false, "  <x> <x>"), [(0, 5), (5, 9)]);
    assert_eq!(found(false, true, "<x> <x>  "), [(0, 4), (4, 9)]);
    assert_eq!(found(true, true, "<x> <x>"), [(0, 4), (4, 7)]);
}

#[test]
fn white_space_that_is_stripped_is_no_token() {
    let ids = |lstrip, rstrip, text: &str| {
        with(AddedToken { content: " ".to_owned(), ..token(lstrip, rstrip, false) }).encode(text)
    };
    for (text, both, other) in [("  z", 1, 2), ("   ", 1, 3), (" ", 1, 1), ("a   z ", 2, 4)] {
        let count = |lstrip, rstrip| ids(lstrip, rstrip, text).into_iter().filter(|&id| id == 50_000).count();
        assert_eq!(count(true, true), both, "{text:?}");
        assert_eq!([count(false, false), count(true, false), count(false, true)], [other; 3], "{text:?}");
    }
    // Where the reference panics: of white space that the token before has stripped nothing is left.
    let space = AddedToken { id: 50_001, content: " ".to_owned(), ..token(true, false, false) };
    let engine = |profile| {
        let added = vec![token(false, true, false), space.clone()];
        Engine::new(profile, Vocabulary::clip(), added, 49_406, 49_407).unwrap()
    };
    for text in ["<x> b", "<x>  b", "<x>   b"] {
        assert_eq!(engine(Profile::Transformers).encode(text), [50_000, 321], "{text:?}");
        // The slow reference strips the next token alone.
        assert_eq!(engine(Profile::TransformersSlow).encode(text).last(), Some(&321), "{text:?}");
    }
}

#[test]
fn single_words_stand_alone() {
    let count = |single_word, text: &str| {
        with(token(false, false, single_word)).encode(text).into_iter().filter(|&id| id == 50_000).count()
    };
    for (text, alone, anywhere) in [
        ("<x>", 1, 1),
        ("a<x>", 0, 1),
        ("<x>b", 0, 1),
        ("a <x> b", 1, 1),
        ("\u{e9}<x>", 0, 1),
        ("-<x>-", 1, 1),
        ("<x><x>", 2, 2),
    ] {
        assert_eq!((count(true, text), count(false, text)), (alone, anywhere), "{text:?}");
    }
}
