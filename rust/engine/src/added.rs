//! Added tokens: strings that are cut out of a text before it is split, as transformers finds them.

use crate::error::Error;
use crate::normalise::normalise_into;
use crate::profile::Profile;
use crate::scan::{ByteSet, is_space};
use aho_corasick::{AhoCorasick, MatchKind};
use std::ops::Range;

/// A token that is found as a whole wherever it stands in a text.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct AddedToken {
    /// Its id, of the vocabulary or beyond it.
    pub id: u32,
    /// How it is written.
    pub content: String,
    /// Left out by decoding without special tokens.
    pub special: bool,
    /// Looked for in the normalised text rather than in the original.
    pub normalized: bool,
    /// Takes the white space before it along.
    pub lstrip: bool,
    /// Takes the white space behind it along.
    pub rstrip: bool,
    /// Only found where no word character stands before or behind it.
    pub single_word: bool,
}

/// Finds one kind of added tokens: those of the original or those of the normalised text.
#[derive(Debug)]
pub(crate) struct Finder {
    searcher: AhoCorasick,
    tokens: Vec<AddedToken>,
    /// Whether a token that strips white space takes it from a token beside it too, which is then no token any more: so
    /// does the reference of the profile `transformers-slow`.
    strips_tokens: bool,
}

impl Finder {
    /// `None` when there is nothing to find.
    ///
    /// # Errors
    ///
    /// [`Error::AddedToken`] when the tokens together are too large for the automaton.
    pub(crate) fn new(tokens: &[AddedToken], normalized: bool, profile: Profile) -> Result<Option<Self>, Error> {
        // transformers 4's slow tokenizer knows no normalised text to look in.
        let in_text = |token: &&AddedToken| (token.normalized && profile == Profile::Transformers) == normalized;
        let tokens: Vec<AddedToken> =
            tokens.iter().filter(in_text).filter(|t| !t.content.is_empty()).cloned().collect();
        if tokens.is_empty() || !profile.finds_added_tokens() {
            return Ok(None);
        }
        let patterns = tokens.iter().map(|token| {
            let mut pattern = String::new();
            if normalized {
                normalise_into(&mut pattern, &token.content, profile);
            } else {
                pattern.push_str(&token.content);
            }
            pattern
        });
        let searcher = AhoCorasick::builder()
            .match_kind(MatchKind::LeftmostLongest)
            .build(patterns)
            .map_err(|error| Error::AddedToken(format!("added tokens: {error}")))?;
        let strips_tokens = profile == Profile::TransformersSlow;
        Ok(Some(Self { searcher, tokens, strips_tokens }))
    }

    /// The tokens in `text`, in order, with the white space that they take along. What another token has stripped has
    /// its place, and is no token.
    pub(crate) fn find<'t>(&'t self, text: &'t str) -> impl Iterator<Item = (Range<usize>, Option<&'t AddedToken>)> {
        let mut found: Vec<_> = self.candidates(text).collect();
        if self.strips_tokens {
            strip_neighbours(text, &mut found);
        }
        found.into_iter().map(|Found { range, token, .. }| (range, token))
    }

    fn candidates<'t>(&'t self, text: &'t str) -> impl Iterator<Item = Found<'t>> {
        let mut from = 0;
        self.searcher.find_iter(text).filter_map(move |found| {
            let token = &self.tokens[found.pattern().as_usize()];
            let (mut start, mut end) = (found.start(), found.end());
            if token.single_word {
                let word = regex_syntax::is_word_character;
                if text[..start].chars().next_back().is_some_and(word) || text[end..].chars().next().is_some_and(word) {
                    return None;
                }
            }
            if token.lstrip {
                start = text[..start].trim_end().len().max(from);
            }
            if token.rstrip {
                end = text.len() - text[end..].trim_start().len();
            }
            // A token that begins with white space which the one before has taken along is found all the same.
            from = end;
            Some(Found { range: start..end, written: found.range(), token: Some(token) })
        })
    }
}

/// A token in a text.
struct Found<'t> {
    /// With the white space that it takes along.
    range: Range<usize>,
    /// As it is written.
    written: Range<usize>,
    token: Option<&'t AddedToken>,
}

/// A token that strips takes white space from a token right beside it as well, which is then no token any more.
fn strip_neighbours(text: &str, found: &mut [Found<'_>]) {
    for i in 0..found.len() {
        let Some(token) = found[i].token else { continue };
        if let Some([this, next]) = found.get_mut(i..i + 2)
            && token.rstrip
            && this.written.end == next.written.start
            && text[next.written.clone()].starts_with(char::is_whitespace)
        {
            next.token = None;
        }
        if i > 0
            && let [last, this] = &mut found[i - 1..=i]
            && token.lstrip
            && last.written.end == this.written.start
            && text[last.written.clone()].ends_with(char::is_whitespace)
        {
            last.token = None;
        }
    }
}

/// Where a special or an added token may begin in a text as written. It may be wrong about a place where none does.
#[derive(Debug)]
pub(crate) struct Marks {
    /// ASCII that one begins with.
    pub(crate) first: ByteSet,
    /// ASCII that may follow.
    second: ByteSet,
    /// Whether one is a single byte.
    single: bool,
    /// Whether one may begin beyond ASCII, or with a character that normalising makes.
    pub(crate) beyond_ascii: bool,
}

impl Marks {
    pub(crate) fn new(tokens: &[AddedToken], profile: Profile) -> Self {
        let (mut first, mut second) = (ByteSet::default(), ByteSet::default());
        let contents = || tokens.iter().map(|token| token.content.as_str()).chain(profile.pattern_specials());
        for content in contents() {
            let mut bytes = content.bytes();
            let begin = bytes.next();
            if let Some(byte) = begin {
                insert_as_written(&mut first, byte);
            }
            // White space is one space by the time that normalised tokens are looked for.
            let run = begin.filter(|&byte| is_space(byte));
            bytes.next().into_iter().chain(run).for_each(|byte| insert_as_written(&mut second, byte));
        }
        Self {
            first,
            second,
            single: contents().any(|content| content.len() == 1),
            beyond_ascii: tokens.iter().any(|t| t.normalized || !t.content.starts_with(|c: char| c.is_ascii())),
        }
    }

    /// Whether a token may begin where `text` does.
    pub(crate) fn begin(&self, text: &[u8]) -> bool {
        match text {
            [] => false,
            [first, ..] if !first.is_ascii() => self.beyond_ascii,
            [first, rest @ ..] => {
                let follows = |second: &u8| !second.is_ascii() || self.second.contains(*second);
                self.first.contains(*first) && (self.single || rest.first().is_some_and(follows))
            }
        }
    }
}

/// A byte of a token as it may stand in a text that is normalised later: in either case, and any white space.
fn insert_as_written(set: &mut ByteSet, byte: u8) {
    set.insert(byte.to_ascii_lowercase());
    set.insert(byte.to_ascii_uppercase());
    if is_space(byte) {
        (0..128).filter(|&byte| is_space(byte)).for_each(|space| set.insert(space));
    }
}
