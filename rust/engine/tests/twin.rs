//! The engine against a naive reimplementation: a regular expression, and merges of strings.

use cliptok::{AddedToken, Engine, Profile, RowOptions, Rows, Vocabulary};
use proptest::prelude::*;
use regex::Regex;
use std::collections::HashMap;
use std::path::Path;
use std::sync::OnceLock;
use unicode_normalization_alignments::UnicodeNormalization;

/// CLIP's tokenizer as one would write it down.
struct Twin {
    pattern: Regex,
    ranks: HashMap<(String, String), usize>,
    ids: HashMap<String, u32>,
}

impl Twin {
    fn get() -> &'static Self {
        static TWIN: OnceLock<Twin> = OnceLock::new();
        TWIN.get_or_init(|| {
            let vocabulary = Vocabulary::clip();
            Self {
                pattern: Regex::new(r"'s|'t|'re|'ve|'m|'ll|'d|\p{L}+|\p{N}|[^\s\p{L}\p{N}]+").unwrap(),
                ranks: vocabulary.merges().into_iter().enumerate().map(|(rank, pair)| (pair, rank)).collect(),
                ids: vocabulary.tokens().map(|(token, id)| (token.to_owned(), id)).collect(),
            }
        })
    }

    fn encode(&self, text: &str) -> Vec<u32> {
        let nfc: String = text.nfc().map(|(c, _)| c).collect();
        let lower: String = nfc.chars().flat_map(char::to_lowercase).collect();
        self.pattern.find_iter(&lower).flat_map(|word| self.merge(word.as_str())).collect()
    }

    fn merge(&self, word: &str) -> Vec<u32> {
        let mut symbols: Vec<String> = word.bytes().map(|byte| letter(byte).to_string()).collect();
        symbols.last_mut().unwrap().push_str("</w>");
        loop {
            let rank = |i: usize| self.ranks.get(&(symbols[i].clone(), symbols[i + 1].clone()));
            let Some((_, i)) = (0..symbols.len() - 1).filter_map(|i| Some((*rank(i)?, i))).min() else { break };
            let right = symbols.remove(i + 1);
            symbols[i].push_str(&right);
        }
        symbols.iter().map(|symbol| self.ids[symbol]).collect()
    }
}

fn letter(byte: u8) -> char {
    let printable = |b: u8| matches!(b, b'!'..=b'~' | 0xA1..=0xAC | 0xAE..=0xFF);
    if printable(byte) {
        return byte.into();
    }
    char::from_u32(256 + (0..byte).filter(|&b| !printable(b)).count() as u32).unwrap()
}

fn engine() -> Engine {
    Engine::clip(Profile::Transformers)
}

/// One for each set of instructions, the plain one last.
fn engines() -> Vec<Engine> {
    (0..).map_while(|number| engine().with_instructions(number)).collect()
}

/// Words, scripts, white space and punctuation next to each other, in lengths on both sides of every limit.
fn texts() -> impl Strategy<Value = String> {
    let part = prop_oneof![
        8 => "[a-zA-Z]{1,12}",
        8 => Just(" ".to_owned()),
        3 => "'(s|t|re|ve|m|ll|d|S|x)?",
        2 => "[0-9]{1,4}",
        3 => "[!-/:-;=?-@\\[-`{-~]{1,3}",
        2 => "[ \t\n\r\x0b\x0c\u{85}\u{a0}\u{2003}\u{3000}]{1,3}",
        2 => "[\u{e0}-\u{17e}]{1,9}",
        1 => "[\u{300}-\u{36f}]{1,3}",
        1 => "[\u{391}-\u{3c9}\u{410}-\u{44f}\u{130}\u{131}\u{17f}\u{212a}\u{2126}]{1,8}",
        1 => "[\u{4e00}-\u{4fff}\u{ac00}-\u{ad00}\u{1100}-\u{11ff}\u{3041}-\u{3096}]{1,20}",
        1 => "[\u{5d0}-\u{5ea}\u{5b0}-\u{5bd}\u{64b}-\u{652}\u{627}-\u{64a}\u{905}-\u{94d}\u{e01}-\u{e4e}]{1,12}",
        1 => "[\u{995}-\u{9b9}\u{9bc}-\u{9cd}\u{9d7}\u{9dc}-\u{9df}\u{b92}-\u{bd7}\u{928}-\u{93c}\u{958}-\u{95f}]{1,9}",
        1 => "[\u{1e00}-\u{1eff}\u{1f00}-\u{1f15}\u{1f48}-\u{1f4d}\u{ff21}-\u{ff5a}\u{300}-\u{323}]{1,12}",
        1 => "[\u{23a}-\u{242}\u{1e9e}\u{130}\u{2126}\u{212b}\u{2c65}\u{10400}-\u{1044f}]{1,6}",
        1 => "[\u{660}-\u{669}\u{b2}\u{bd}\u{2460}-\u{2473}\u{966}-\u{96f}\u{ff10}-\u{ff19}\u{1d7ce}-\u{1d7ff}]{1,4}",
        1 => "[\u{1f600}-\u{1f64f}\u{1f3fb}-\u{1f3ff}\u{200d}\u{fe0f}\u{2764}]{1,4}",
        1 => "[\u{0}-\u{1f}\u{7f}-\u{9f}]",
        1 => "[a-z]{14,18}",
        1 => "[a-c]{40,60}",
    ];
    prop::collection::vec(part, 0..24).prop_map(|parts| parts.concat())
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(2000))]

    #[test]
    fn equals_the_twin(text in texts()) {
        let wanted = Twin::get().encode(&text);
        for engine in engines() {
            prop_assert_eq!(&engine.encode(&text), &wanted);
        }
    }

    #[test]
    fn white_space_separates(first in texts(), second in texts()) {
        let engine = engine();
        let joined = engine.encode(&format!("{first} {second}"));
        prop_assert_eq!(joined, [engine.encode(&first), engine.encode(&second)].concat());
    }

    #[test]
    fn offsets_come_with_the_same_ids(text in texts()) {
        let engine = engine();
        let (ids, offsets): (Vec<_>, Vec<_>) = engine.encode_offsets(&text).into_iter().unzip();
        prop_assert_eq!(ids, engine.encode(&text));
        prop_assert!(offsets.iter().all(|range| text.is_char_boundary(range.start) && text.is_char_boundary(range.end)));
        prop_assert!(offsets.iter().all(|range| range.start < range.end));
    }

    #[test]
    fn offsets_of_many_texts_are_those_of_each(
        texts in prop::collection::vec(prop_oneof![texts(), "[ -~\t\n]{0,120}", "([a-z']{1,40}[ ,.]{1,3}){0,200}"], 0..6),
    ) {
        let texts: Vec<&str> = texts.iter().map(String::as_str).collect();
        for engine in engines() {
            let found = engine.offsets(&texts, false);
            prop_assert_eq!(found.bounds.len(), texts.len() + 1);
            for (text, bounds) in texts.iter().zip(found.bounds.windows(2)) {
                let these = bounds[0] as usize..bounds[1] as usize;
                let characters = |byte: usize| text[..byte].chars().count() as i64;
                let expected = engine.encode_offsets(text).into_iter();
                let expected: (Vec<_>, Vec<_>) = expected
                    .map(|(id, range)| (i64::from(id), [characters(range.start), characters(range.end)]))
                    .unzip();
                prop_assert_eq!(expected, (found.ids[these.clone()].to_vec(), found.spans[these].to_vec()));
            }
        }
    }

    #[test]
    fn rows_are_truncated_and_padded(
        texts in prop::collection::vec(prop_oneof![texts(), "[ -~]{0,120}"], 0..40),
        width in prop_oneof![2usize..20, Just(77), 60usize..200],
        left: bool,
        which: prop::sample::Index,
    ) {
        let mut engines = engines();
        let engine = engines.swap_remove(which.index(engines.len()));
        let options = RowOptions { width, pad: 7, add_special_tokens: true, pad_left: left };
        let (mut ids, mut mask) = (vec![0i32; width * texts.len()], vec![9; width * texts.len()]);
        let mut lengths = vec![0; texts.len()];
        let rows = Rows { ids: &mut ids, lengths: Some(&mut lengths), mask: Some(&mut mask) };
        let report = engine.fill_rows(&texts[..], rows, options, 2).unwrap();
        let mut first_truncated = None;
        for (i, text) in texts.iter().enumerate() {
            let mut row: Vec<i32> = engine.encode(text).into_iter().map(|id| id as i32).collect();
            if row.len() > width - 2 {
                first_truncated.get_or_insert(i);
                row.truncate(width - 2);
            }
            row.insert(0, 49406);
            row.push(49407);
            let padding = vec![7; width - row.len()];
            let (ones, zeros) = (vec![1; row.len()], vec![0; padding.len()]);
            let at = width * i..width * (i + 1);
            prop_assert_eq!(lengths[i] as usize, row.len());
            prop_assert_eq!(&ids[at.clone()], if left { [padding, row].concat() } else { [row, padding].concat() });
            prop_assert_eq!(&mask[at], if left { [zeros, ones].concat() } else { [ones, zeros].concat() });
        }
        prop_assert_eq!(report.first_truncated, first_truncated);
    }
}

fn rows(engine: &Engine, texts: &[&str]) -> Vec<i64> {
    let options = RowOptions { width: 77, pad: 0, add_special_tokens: true, pad_left: false };
    let mut ids = vec![-1; 77 * texts.len()];
    engine.fill_rows(texts, Rows { ids: &mut ids, lengths: None, mask: None }, options, 2).unwrap();
    ids
}

#[test]
fn nothing_is_left_of_a_truncated_text() {
    for long in ["xqzj".repeat(5000), "日本".repeat(5000), "!a".repeat(5000), "a ".repeat(5000)] {
        assert_eq!(rows(&engine(), &[&long, "a cat", &long, "é"])[77..82], [49406, 320, 2368, 49407, 0]);
    }
}

/// Every line of the corpora: with all instructions, joined and in rows, on two threads; and by the twin.
#[test]
fn corpora() {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../../shared/corpora");
    if !folder.is_dir() {
        assert!(std::env::var_os("CI").is_none(), "{} must be there in CI", folder.display());
        eprintln!("skipped: no corpora at {}", folder.display());
        return;
    }
    let engines = engines();
    let plain = engines.last().unwrap();
    let mut lines = 0;
    for group in ["1_prompts", "2_captions", "3_imagenet", "4_multilingual", "5_dirty"] {
        for file in std::fs::read_dir(folder.join(group)).unwrap() {
            let file = file.unwrap().path();
            if file.extension().is_none_or(|extension| extension != "txt") {
                continue;
            }
            let text = std::fs::read_to_string(&file).unwrap();
            let texts: Vec<&str> = text.split('\n').collect();
            let wanted: Vec<Vec<u32>> = texts.iter().map(|text| plain.encode(text)).collect();
            for (number, engine) in engines.iter().enumerate() {
                let named = |i: usize| format!("{}, instructions {number}: {:?}", file.display(), texts[i]);
                let mut ids: Vec<u32> = Vec::new();
                let offsets = engine.pack(&texts, None, false, 2, &mut ids);
                let offsets = offsets.unwrap();
                for (i, wanted) in wanted.iter().enumerate() {
                    assert_eq!(&ids[offsets[i]..offsets[i + 1]], wanted, "{}", named(i));
                }
                let rows = rows(engine, &texts);
                for (i, (row, wanted)) in rows.chunks(77).zip(&wanted).enumerate() {
                    let wanted = wanted.iter().take(75).map(|&id| id.into()).chain([49407]);
                    let wanted = [49406].into_iter().chain(wanted).chain(std::iter::repeat(0)).take(77);
                    assert!(wanted.eq(row.iter().copied()), "{}", named(i));
                }
            }
            for (i, text) in texts.iter().enumerate() {
                // The twin is slow, and its Unicode is newer: no code points of the last years.
                if i % 16 == 0 && group != "5_dirty" {
                    assert_eq!(Twin::get().encode(text), plain.encode(text), "{}: {text:?}", file.display());
                }
            }
            lines += texts.len();
        }
    }
    assert!(lines > 200_000, "{lines} lines");
}

#[test]
fn a_flood_of_words_leaves_ids_and_cache_as_they_were() {
    let engine = engine();
    let before = engine.encode("a photo of a woman wearing a red dress");
    for i in 0..300_000u32 {
        engine
            .encode(&format!("w{}", char::from(b'a' + (i % 26) as u8).to_string() + &i.to_string().replace('0', "x")));
    }
    assert_eq!(engine.encode("a photo of a woman wearing a red dress"), before);
}

#[test]
fn threads_share_one_engine() {
    let engine = engine();
    let texts: Vec<String> =
        (0..4000).map(|i| format!("photo{} of the {} cat's nº{i}", i % 97, i * 7919 % 1013)).collect();
    let wanted: Vec<Vec<u32>> = texts.iter().map(|text| Twin::get().encode(text)).collect();
    std::thread::scope(|scope| {
        for _ in 0..4 {
            scope.spawn(|| texts.iter().zip(&wanted).for_each(|(text, ids)| assert_eq!(&engine.encode(text), ids)));
        }
    });
}

#[test]
fn added_tokens() {
    let token = |id, content: &str, normalized| AddedToken {
        id,
        content: content.to_owned(),
        special: false,
        normalized,
        lstrip: false,
        rstrip: false,
        single_word: false,
    };
    let engine = |added| Engine::new(Profile::Transformers, Vocabulary::clip(), added, 49406, 49407).unwrap();
    let exact = engine(vec![token(50000, "<Cat>", false), token(50001, "<Cat>s", false), token(50002, "é", false)]);
    assert_eq!(exact.encode("a <Cat> b"), [320, 50000, 321]);
    assert_eq!(exact.encode("a<Cat>s<Cat>"), [320, 50001, 50000]);
    assert_eq!(exact.encode("<cat>"), [283, 2368, 285]);
    assert_eq!(exact.encode("xéx"), [343, 50002, 343]);
    let folded = engine(vec![token(50000, "New York", true)]);
    assert_eq!(folded.encode("in NEW \t york!"), [530, 50000, 256]);
    let spaced = engine(vec![token(50000, " lead", false)]);
    assert_eq!(spaced.encode("the lead lead"), [518, 50000, 50000]);
    assert_eq!(spaced.encode("lead"), engine(vec![]).encode("lead"));
    assert_eq!(spaced.encode(""), []);
    let bang = engine(vec![token(0, "!", false)]);
    assert_eq!(bang.encode("a!! b"), [320, 0, 0, 321]);
    let twice = Engine::new(
        Profile::Transformers,
        Vocabulary::clip(),
        vec![token(1, "x", false), token(2, "x", false)],
        49406,
        49407,
    );
    assert_eq!(twice.unwrap_err().to_string(), "added token \"x\" is given twice");
}

#[test]
fn offsets_of_what_nfc_inserts() {
    // U+0147 U+0323 becomes U+1E46 U+030C: the second comes from what the first took in.
    let engine = engine();
    let offsets: Vec<_> = engine.encode_offsets("\u{147}\u{323}").into_iter().map(|(_, range)| range).collect();
    assert_eq!(offsets, [0..2, 0..2, 0..2, 2..4, 2..4]);
}

#[test]
fn a_long_text_is_shared_among_threads() {
    let engine = engine();
    let sentence = "A photo of a woman's red dress, naïve café 12! 你好 don't\n";
    for text in [sentence.repeat(20_000), "x".repeat(600_000), format!("{} é", " ".repeat(600_000))] {
        let wanted: Vec<i32> = engine.encode(&text).into_iter().map(|id| id as i32).collect();
        for threads in [1, 2, 3] {
            let texts = ["a", &text, "b c"];
            let mut ids: Vec<i32> = Vec::new();
            let offsets = engine.pack(&texts, None, true, threads, &mut ids);
            assert_eq!(offsets.unwrap(), [0, 3, 5 + wanted.len(), 9 + wanted.len()]);
            assert_eq!((ids[3], ids[4 + wanted.len()]), (49406, 49407));
            assert!(ids[4..4 + wanted.len()] == wanted);
        }
    }
}

/// Tokens that become white space, a letter or a mark of ASCII once normalised: the fast paths must not pass over them.
#[test]
fn added_tokens_that_normalising_changes() {
    let contents = [
        "\n",
        "\r\r",
        "\u{2028}",
        "\u{3000}\u{2003}",
        "\u{212A}",
        "\u{212A}elvin",
        "\u{37E}",
        "\u{1FEF}x",
        "\u{130}",
        "\u{A0}a",
    ];
    let texts = [
        "a b",
        "a\nb \r\r c",
        " ",
        "\u{2028}",
        "x\u{3000}\u{2003}y",
        "kelvin K \u{212A}",
        "a;b \u{37E}",
        "`x `X",
        "i\u{307} \u{130}",
        "b a",
    ];
    for content in contents {
        for strip in [false, true] {
            let token = AddedToken {
                id: 50_000,
                content: content.to_owned(),
                special: false,
                normalized: true,
                lstrip: strip,
                rstrip: strip,
                single_word: false,
            };
            let engine =
                || Engine::new(Profile::Transformers, Vocabulary::clip(), vec![token.clone()], 49406, 49407).unwrap();
            for engine in (0..).map_while(|number| engine().with_instructions(number)) {
                for text in texts {
                    let text = format!("{text} and a longer plain text behind it {text}");
                    let (wanted, _): (Vec<u32>, Vec<_>) = engine.encode_offsets(&text).into_iter().unzip();
                    assert_eq!(engine.encode(&text), wanted, "{content:?} in {text:?}");
                }
            }
        }
    }
}
