//! Added tokens of every kind in any text: as the `tokenizers` crate finds them.
#![no_main]

use arbitrary::Arbitrary;
use cliptok::{AddedToken, Engine, Profile, Vocabulary};
use libfuzzer_sys::fuzz_target;
use std::panic::{self, AssertUnwindSafe};
use std::sync::OnceLock;
use tokenizers::models::bpe::{BPE, Vocab};
use tokenizers::normalizers::replace::{Replace, ReplacePattern};
use tokenizers::normalizers::{Lowercase, NFC, Sequence};
use tokenizers::pre_tokenizers::byte_level::ByteLevel;
use tokenizers::pre_tokenizers::sequence::Sequence as Splits;
use tokenizers::pre_tokenizers::split::{Split, SplitPattern};
use tokenizers::tokenizer::normalizer::SplitDelimiterBehavior;
use tokenizers::{NormalizedString, Normalizer, Tokenizer};

#[derive(Arbitrary, Debug)]
struct Token<'a> {
    content: &'a str,
    special: bool,
    normalized: bool,
    lstrip: bool,
    rstrip: bool,
    single_word: bool,
}

const WORDS: &str = r"'s|'t|'re|'ve|'m|'ll|'d|[\p{L}]+|[\p{N}]|[^\s\p{L}\p{N}]+";

/// Bytes alone, which is enough for what is an added token's and quick to copy: ours, and the reference's.
static BASES: OnceLock<(Vocabulary, Tokenizer)> = OnceLock::new();

fn bases() -> (Vocabulary, Tokenizer) {
    let tokens: Vec<(String, u32)> =
        Vocabulary::clip().tokens().take(512).map(|(token, id)| (token.to_owned(), id)).collect();
    let model = BPE::builder()
        .vocab_and_merges(tokens.iter().cloned().collect::<Vocab>(), Vec::new())
        .end_of_word_suffix("</w>".to_owned())
        .build()
        .expect("a model");
    let mut reference = Tokenizer::new(model);
    let space = Replace::new(ReplacePattern::Regex(r"\s+".to_owned()), " ").expect("a pattern");
    let normalizer = Sequence::new(vec![NFC.into(), space.into(), Lowercase.into()]);
    reference.with_normalizer(Some(normalizer)).expect("a normalizer");
    let words = Split::new(SplitPattern::Regex(WORDS.to_owned()), SplitDelimiterBehavior::Removed, true).expect("words");
    let bytes = ByteLevel::new(false, true, true);
    reference.with_pre_tokenizer(Some(Splits::new(vec![words.into(), bytes.into()])));
    (Vocabulary::new(tokens, Vec::new(), None).expect("a vocabulary"), reference)
}

fn normal_form(reference: &Tokenizer, content: &str) -> String {
    let mut form = NormalizedString::from(content);
    reference.get_normalizer().map(|normalizer| normalizer.normalize(&mut form)).transpose().expect("a normal form");
    form.get().to_owned()
}

/// What the reference gives. It panics itself where added tokens overlap in some ways ("AddedVocabulary bad split"), which
/// says nothing about ours; the fuzzer's own hook would end the process.
fn unless_it_panics<T>(call: impl FnOnce() -> T) -> Option<T> {
    let hook = panic::take_hook();
    panic::set_hook(Box::new(|_| {}));
    let result = panic::catch_unwind(AssertUnwindSafe(call));
    panic::set_hook(hook);
    result.ok()
}

fuzz_target!(|input: (Vec<Token>, Vec<&str>)| {
    let (tokens, texts) = input;
    let (vocabulary, base) = BASES.get_or_init(bases);
    let mut seen = std::collections::HashSet::new();
    let mut reference = base.clone();
    let mut added = Vec::new();
    let mut normalised = std::collections::HashSet::new();
    for token in tokens.into_iter().take(8) {
        if token.content.is_empty() || vocabulary.id(token.content).is_some() || !seen.insert(token.content) {
            continue;
        }
        // Of two that normalise to the same the reference takes either, as the order of a hash table has it.
        if token.normalized && !normalised.insert(normal_form(base, token.content)) {
            continue;
        }
        let theirs = tokenizers::AddedToken::from(token.content.to_owned(), token.special)
            .normalized(token.normalized)
            .lstrip(token.lstrip)
            .rstrip(token.rstrip)
            .single_word(token.single_word);
        let id = 512 + added.len() as u32;
        reference.add_tokens([theirs]).expect("a token");
        assert_eq!(reference.token_to_id(token.content), Some(id));
        added.push(AddedToken {
            id,
            content: token.content.to_owned(),
            special: token.special,
            normalized: token.normalized,
            lstrip: token.lstrip,
            rstrip: token.rstrip,
            single_word: token.single_word,
        });
    }
    let engine = Engine::new(Profile::Transformers, vocabulary.clone(), added, 0, 1).expect("an engine");
    for text in texts.into_iter().take(8) {
        let Some(wanted) = unless_it_panics(|| reference.encode(text, false).expect("ids")) else { continue };
        assert_eq!(engine.encode(text), wanted.get_ids(), "{text:?}");
        let (ids, _): (Vec<u32>, Vec<_>) = engine.encode_offsets(text).into_iter().unzip();
        assert_eq!(ids, wanted.get_ids(), "{text:?}, with offsets");
    }
});
