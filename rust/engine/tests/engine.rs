//! What an engine and its vocabulary say of themselves, decode, and refuse.

use cliptok::{AddedToken, Engine, Error, Profile, RowOptions, Rows, Vocabulary};

fn token(id: u32, content: &str) -> AddedToken {
    AddedToken {
        id,
        content: content.to_owned(),
        special: false,
        normalized: false,
        lstrip: false,
        rstrip: false,
        single_word: false,
    }
}

fn with(profile: Profile, added: Vec<AddedToken>) -> Result<Engine, Error> {
    Engine::new(profile, Vocabulary::clip(), added, 49_406, 49_407)
}

#[test]
fn tokens_and_ids() {
    let special = AddedToken { special: true, ..token(50_001, "<y>") };
    let engine = with(Profile::Transformers, vec![token(50_000, "<\u{e9}\u{65e5}>"), special]).unwrap();
    for (id, name) in
        [(320, "a</w>"), (0, "!"), (49_407, "<|endoftext|>"), (50_000, "<\u{e9}\u{65e5}>"), (50_001, "<y>")]
    {
        assert_eq!((engine.token(id), engine.id(name)), (Some(name), Some(id)));
    }
    assert_eq!((engine.token(49_408), engine.token(50_002), engine.id("no token")), (None, None, None));
    assert_eq!((engine.largest_id(), engine.start_and_end()), (50_001, [49_406, 49_407]));
    assert_eq!(with(Profile::Transformers, vec![token(7, "<z>")]).unwrap().token(7), Some("<z>"));
    assert_eq!(with(Profile::Transformers, vec![token(7, "<z>")]).unwrap().largest_id(), 49_407);
    let far = Engine::new(Profile::Transformers, Vocabulary::clip(), Vec::new(), 3, 90_000).unwrap();
    assert_eq!(far.largest_id(), 90_000);
    let far = Engine::new(Profile::Transformers, Vocabulary::clip(), Vec::new(), 90_001, 3).unwrap();
    assert_eq!((far.largest_id(), far.start_and_end()), (90_001, [90_001, 3]));
}

#[test]
fn decoding() {
    let special = AddedToken { special: true, ..token(50_001, "<y>") };
    let engine = with(Profile::Transformers, vec![token(50_000, "\u{e9}\u{65e5}"), special]).unwrap();
    let ids = [320, 50_000, 50_001, 49_406];
    assert_eq!(engine.decode(&ids, false).unwrap(), "a</w>\u{e9}\u{65e5}<y><|startoftext|>");
    // Without added tokens for them, start and end are tokens as others are.
    assert_eq!(engine.decode(&ids, true).unwrap(), "a</w>\u{e9}\u{65e5}<|startoftext|>");
    for (profile, shown) in [(Profile::Transformers, "a</w>"), (Profile::OpenAi, "a</w>"), (Profile::OpenClip, "a</w>")]
    {
        assert_eq!(Engine::clip(profile).decode(&[49_406, 320, 49_407], true).unwrap(), shown);
    }
    assert_eq!(Engine::clip(Profile::OpenClip).decode(&[49_406], false).unwrap(), "<start_of_text>");
    let [first, second] = [0xe9u8, 0xa9].map(|byte| engine.id(&char::from(byte).to_string()).unwrap());
    assert_eq!(engine.decode(&[first], false).unwrap(), "\u{fffd}");
    let start = engine.id("\u{c3}").unwrap();
    assert_eq!(engine.decode(&[start, second], false).unwrap(), "\u{e9}");
    assert_eq!(engine.decode(&[49_408], false), Err(Error::UnknownId(49_408)));
}

#[test]
fn the_bundled_vocabulary() {
    let clip = Vocabulary::clip();
    assert_eq!((clip.len(), clip.id_bound(), clip.is_clip(), clip.is_empty()), (49_408, 49_408, true, false));
    assert_eq!(
        (clip.token(320), clip.token(49_408), clip.id("a</w>"), clip.id("")),
        (Some("a</w>"), None, Some(320), None)
    );
    let tokens: Vec<(&str, u32)> = clip.tokens().collect();
    assert!(tokens.len() == 49_408 && tokens.iter().zip(0..).all(|(&(_, id), number)| id == number));
    let merges = clip.merges();
    assert_eq!(merges.len(), 48_894);
    for ((left, right), id) in merges.iter().zip(512..) {
        assert_eq!(clip.token(id), Some(&*format!("{left}{right}")));
    }
    let open_clip = Vocabulary::open_clip();
    assert_eq!((open_clip.token(49_406), open_clip.token(49_407)), (Some("<start_of_text>"), Some("<end_of_text>")));
    assert_eq!(clip.token(49_406), Some("<|startoftext|>"));
}

/// Names of all single bytes, as ids 0 to 511.
fn bytes() -> Vec<(String, u32)> {
    Vocabulary::clip().tokens().take(512).map(|(name, id)| (name.to_owned(), id)).collect()
}

#[test]
fn vocabularies_of_files() {
    let pair = |a: &str, b: &str| (a.to_owned(), b.to_owned());
    let mut tokens = bytes();
    tokens.push(("ab</w>".to_owned(), 600));
    let merges = vec![pair("a", "b</w>")];
    let vocabulary = Vocabulary::new(tokens.clone(), merges.clone(), None).unwrap();
    assert_eq!((vocabulary.len(), vocabulary.id_bound(), vocabulary.is_clip()), (513, 601, false));
    assert_eq!(
        (vocabulary.token(600), vocabulary.token(550), vocabulary.merges()),
        (Some("ab</w>"), None, merges.clone())
    );
    assert_eq!(vocabulary.tokens().last(), Some(("ab</w>", 600)));
    let engine = Engine::new(Profile::Transformers, vocabulary.clone(), Vec::new(), 0, 1).unwrap();
    assert_eq!((engine.encode("ab ab"), engine.largest_id()), (vec![600, 600], 600));
    // Its tokens may stand for any bytes, so offsets take the general way.
    assert_eq!(engine.offsets(&["x ab"], false).spans, [[0, 1], [2, 4]]);
    // The split finds specials by the names that the vocabulary has, and gives the end of text for what it has not.
    let slow = |vocabulary| Engine::new(Profile::TransformersSlow, vocabulary, Vec::new(), 0, 1).unwrap();
    assert_eq!(slow(vocabulary).encode("<|startoftext|>"), [1]);
    tokens.push(("<|startoftext|>".to_owned(), 601));
    let named = Vocabulary::new(tokens.clone(), Vec::new(), None).unwrap();
    assert_eq!(slow(named).encode("<|startoftext|>"), [601]);

    let refused = |tokens: &[(String, u32)], merges: Vec<(String, String)>, unknown: Option<&str>| {
        Vocabulary::new(tokens.to_vec(), merges, unknown).unwrap_err().to_string()
    };
    let and = |name: &str, id: u32| [bytes(), vec![(name.to_owned(), id)]].concat();
    assert_eq!(refused(&and("x", 65_535), vec![], None), "token \"x\" has id 65535; ids go up to 65534");
    assert!(Vocabulary::new(and("xx", 65_534), vec![], None).is_ok());
    assert_eq!(refused(&and("xx", 3), vec![], None), "tokens \"$\" and \"xx\" have the same id 3");
    assert_eq!(refused(&and("!", 600), vec![], None), "token \"!\" stands in the vocabulary twice");
    assert_eq!(refused(&bytes(), vec![], Some("zz")), "the unknown token \"zz\" is not in the vocabulary");
    let missing = "byte token \"!\" is missing, and there is no unknown token";
    assert_eq!(refused(&bytes()[1..], vec![], None), missing);
    assert!(Vocabulary::new(bytes()[1..].to_vec(), vec![], Some("a")).is_ok());
    let needs = "merge 0 (\"a\", \"b</w>\") needs \"ab</w>\", which is no token";
    assert_eq!(refused(&bytes(), merges, None), needs);
    let many = |count| vec![pair("a", "b"); count];
    assert_eq!(refused(&bytes(), many(65_536), None), "65536 merges; at most 65535 are supported");
    assert!(refused(&bytes(), many(65_535), None).starts_with("merge 0 "));
}

#[test]
fn added_tokens_that_are_refused() {
    let refused = |profile, added| with(profile, added).unwrap_err().to_string();
    let message = "the profiles `open_clip` and `openai` know no added tokens; use `transformers`";
    for profile in [Profile::OpenClip, Profile::OpenAi] {
        assert_eq!(refused(profile, vec![token(50_000, "x")]), message);
        assert!(with(profile, Vec::new()).is_ok());
    }
    let twice = vec![token(50_000, "x"), token(50_000, "y")];
    assert_eq!(refused(Profile::Transformers, twice), "added tokens \"x\" and \"y\" have the same id 50000");
    let single = AddedToken { single_word: true, ..token(50_000, "x") };
    assert!(refused(Profile::TransformersSlow, vec![single.clone()]).contains("`single_word` is not supported"));
    assert!(with(Profile::Transformers, vec![single]).is_ok());
}

#[test]
fn instructions_that_the_machine_has() {
    let names = Engine::available_instructions();
    assert_eq!(names.last(), Some(&"plain"));
    for (number, name) in names.iter().enumerate() {
        assert_eq!(Engine::clip(Profile::Transformers).with_instructions(number).unwrap().instructions(), *name);
    }
    assert!(Engine::clip(Profile::Transformers).with_instructions(names.len()).is_none());
    #[cfg(target_arch = "x86_64")]
    {
        let sse = is_x86_feature_detected!("sse4.2") && is_x86_feature_detected!("popcnt");
        let avx2 = is_x86_feature_detected!("avx2") && is_x86_feature_detected!("bmi2");
        let avx512 = is_x86_feature_detected!("avx512bw") && is_x86_feature_detected!("avx512vbmi2");
        for (name, has) in [("sse", sse), ("avx2", avx2), ("avx512", avx512)] {
            assert_eq!(names.contains(&name), has, "{name}");
        }
    }
}

/// `CLIPTOK_INSTRUCTIONS` picks a set by name; empty it is as if it were not set. In processes of their own.
#[test]
fn instructions_of_the_environment() {
    if std::env::var_os("SHOW_INSTRUCTIONS").is_some() {
        return println!("uses {}.", Engine::clip(Profile::Transformers).instructions());
    }
    // An emulator that cargo runs tests with does not run their child processes by itself.
    let emulator = std::env::var("CARGO_TARGET_AARCH64_UNKNOWN_LINUX_GNU_RUNNER").unwrap_or_default();
    let emulator = if cfg!(target_arch = "aarch64") { emulator } else { String::new() };
    let program = std::env::current_exe().unwrap();
    let command: Vec<_> = emulator.split_whitespace().map(std::ffi::OsStr::new).chain([program.as_os_str()]).collect();
    let names = Engine::available_instructions();
    for (variable, wanted) in names.iter().map(|&name| (name, name)).chain([("", names[0])]) {
        let child = std::process::Command::new(command[0])
            .args(&command[1..])
            .args(["--exact", "instructions_of_the_environment", "--nocapture"])
            .envs([("SHOW_INSTRUCTIONS", "1"), ("CLIPTOK_INSTRUCTIONS", variable)])
            .output()
            .unwrap();
        assert!(String::from_utf8(child.stdout).unwrap().contains(&format!("uses {wanted}.")), "{variable:?}");
    }
}

fn options(width: usize, add_special_tokens: bool) -> RowOptions {
    RowOptions { width, pad: 0, add_special_tokens, pad_left: false }
}

#[test]
fn rows_that_do_not_fit() {
    let engine = Engine::clip(Profile::Transformers);
    let fill = |ids: usize, mask: Option<usize>, lengths: Option<usize>, options| {
        let (mut ids, mut mask, mut lengths) =
            (vec![0i32; ids], mask.map(|mask| vec![0; mask]), lengths.map(|lengths| vec![0; lengths]));
        let rows = Rows { ids: &mut ids, mask: mask.as_deref_mut(), lengths: lengths.as_deref_mut() };
        engine.fill_rows(&["a", "b"], rows, options, 1).map(|_| ()).map_err(|error| error.to_string())
    };
    let wrong = Err("the buffers do not have 2 rows of 5 ids".to_owned());
    assert_eq!(fill(10, Some(10), Some(2), options(5, true)), Ok(()));
    assert_eq!(fill(9, Some(10), Some(2), options(5, true)), wrong);
    assert_eq!(fill(10, Some(9), Some(2), options(5, true)), wrong);
    assert_eq!(fill(10, Some(10), Some(3), options(5, true)), wrong);
    let narrow = Err("max_length is 1; start and end of text alone take 2".to_owned());
    assert_eq!(fill(2, None, None, options(1, true)), narrow);
    assert_eq!(fill(2, None, None, options(1, false)), Ok(()));
    assert_eq!(fill(4, None, None, options(2, true)), Ok(()));
    let none: [&str; 0] = [];
    let rows = Rows { ids: &mut [0i32; 0], mask: None, lengths: None };
    assert_eq!(engine.fill_rows(&none, rows, options(0, false), 4).unwrap().first_truncated, None);
}

#[test]
fn ids_that_do_not_fit_their_type() {
    let fill = |engine: &Engine, pad| {
        let mut ids = [0u16; 4];
        let rows = Rows { ids: &mut ids, mask: None, lengths: None };
        engine.fill_rows(&["a"], rows, RowOptions { pad, ..options(4, true) }, 1).map(|_| ids)
    };
    let clip = Engine::clip(Profile::Transformers);
    assert_eq!(fill(&clip, 65_535).unwrap(), [49_406, 320, 49_407, 65_535]);
    let message = "dtype: ids up to 65536 do not fit; its largest is 65535";
    assert_eq!(fill(&clip, 65_536).unwrap_err().to_string(), message);
    let large = with(Profile::Transformers, vec![token(65_536, "<x>")]).unwrap();
    assert_eq!(fill(&large, 0).unwrap_err().to_string(), message);
    assert_eq!(large.pack(&["a"], None, true, 1, &mut Vec::<u16>::new()).unwrap_err().to_string(), message);
    assert_eq!(large.pack(&["<x>"], None, false, 1, &mut Vec::<i64>::new()).unwrap(), [0, 1]);
}

#[test]
fn packed_ids_are_truncated() {
    let engine = Engine::clip(Profile::Transformers);
    let texts = ["a cat on a mat", "", "b"];
    let pack = |max, add| {
        let mut ids: Vec<u32> = Vec::new();
        engine.pack(&texts, max, add, 1, &mut ids).map(|offsets| (ids, offsets)).map_err(|error| error.to_string())
    };
    for max in 0..9 {
        for add in [false, true] {
            if add && max < 2 {
                let message = format!("max_length is {max}; start and end of text alone take 2");
                assert_eq!(pack(Some(max), add), Err(message));
                continue;
            }
            let (mut wanted, mut bounds) = (Vec::new(), vec![0]);
            for text in texts {
                let ids = engine.encode(text).into_iter().take(max - 2 * usize::from(add));
                wanted.extend(add.then_some(49_406).into_iter().chain(ids).chain(add.then_some(49_407)));
                bounds.push(wanted.len());
            }
            assert_eq!(pack(Some(max), add), Ok((wanted, bounds)), "{max} {add}");
        }
    }
    assert_eq!(pack(None, false).unwrap().1, [0, 5, 5, 6]);
}

/// Long texts in parts: where white space is, and not inside added tokens that hold some.
#[test]
fn long_texts_in_parts() {
    let words = "a photo\tof dogs ";
    let long = [words.repeat(40_000), format!("{} b", "x".repeat(300_000)), "\u{e9} ".repeat(150_000)];
    let spaced = with(Profile::Transformers, vec![token(50_000, "photo\tof dogs a")]).unwrap();
    for engine in [Engine::clip(Profile::Transformers), Engine::clip(Profile::OpenClip), spaced] {
        for text in &long {
            let texts = ["b", text, "", "c d"];
            let mut ids: Vec<u32> = Vec::new();
            let offsets = engine.pack(&texts, None, true, 3, &mut ids).unwrap();
            for (i, text) in texts.iter().enumerate() {
                let wanted = [vec![49_406], engine.encode(text), vec![49_407]].concat();
                assert!(ids[offsets[i]..offsets[i + 1]] == wanted, "{:?} {i}", engine.profile());
            }
        }
    }
}
