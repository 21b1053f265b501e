//! Added tokens: strings that are found in a text before it is split, as transformers finds them.

use crate::byte_set::ByteSet;
use crate::error::Error;
use crate::normalise::normalise_into;
use crate::profile::Profile;
use crate::words::is_space;
use aho_corasick::{AhoCorasick, AhoCorasickKind, MatchKind};
use std::ops::Range;

/// A token that is matched as a whole in the text, before the text is split into words.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct AddedToken {
    /// Its id, which may be one of the vocabulary's.
    pub id: u32,
    /// Its spelling.
    pub content: String,
    /// Whether decoding with `skip_special_tokens` leaves it out.
    pub special: bool,
    /// Whether it is matched in the normalised text rather than in the original.
    pub normalized: bool,
    /// Whether the white space before it belongs to the match.
    pub lstrip: bool,
    /// Whether the white space behind it belongs to the match.
    pub rstrip: bool,
    /// Whether it only matches where no word character stands before or behind it.
    pub single_word: bool,
}

/// Finds the added tokens that are matched in the original text, or those that are matched in the normalised text.
#[derive(Debug)]
pub(crate) struct Finder {
    searcher: AhoCorasick,
    tokens: Vec<AddedToken>,
    /// Whether a token that strips white space also strips it from an adjacent token, which then no longer matches: a
    /// rule of the reference of the profile `transformers-slow`.
    strips_tokens: bool,
}

impl Finder {
    /// `None` when there are no such tokens.
    ///
    /// # Errors
    ///
    /// [`Error::AddedToken`] when the tokens together are too large for the automaton.
    pub(crate) fn new(tokens: &[AddedToken], normalized: bool, profile: Profile) -> Result<Option<Self>, Error> {
        const LONG: usize = 1 << 12; // bytes of all patterns
        // transformers 4's slow tokenizer matches in the original text only.
        let in_text = |token: &&AddedToken| (token.normalized && profile == Profile::Transformers) == normalized;
        let tokens: Vec<AddedToken> =
            tokens.iter().filter(in_text).filter(|t| !t.content.is_empty()).cloned().collect();
        if tokens.is_empty() || !profile.finds_added_tokens() {
            return Ok(None);
        }
        let pattern = |token: &AddedToken| {
            let mut pattern = String::new();
            if normalized {
                normalise_into(&mut pattern, &token.content, profile);
            } else {
                pattern.push_str(&token.content);
            }
            pattern
        };
        let patterns: Vec<String> = tokens.iter().map(pattern).collect();
        // Of few patterns the library makes a table of all transitions, in the square of a pattern's length at worst.
        let bytes: usize = patterns.iter().map(String::len).sum();
        let searcher = AhoCorasick::builder()
            .match_kind(MatchKind::LeftmostLongest)
            .kind((bytes > LONG).then_some(AhoCorasickKind::ContiguousNFA))
            .build(&patterns)
            .map_err(|error| Error::AddedToken(format!("added tokens: {error}")))?;
        let strips_tokens = profile == Profile::TransformersSlow;
        Ok(Some(Self { searcher, tokens, strips_tokens }))
    }

    /// The matches in `text`, in order, as byte ranges that include stripped white space. `None` stands for a match that
    /// an adjacent token has stripped, and that is therefore ordinary text.
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
            // A token that begins with white space which the match before has stripped still matches. One of which all is
            // stripped does not: the reference drops what is empty.
            let end = end.max(start);
            if start == end && !self.strips_tokens {
                return None;
            }
            from = end;
            Some(Found { range: start..end, written: found.range(), token: Some(token) })
        })
    }
}

/// A match.
struct Found<'t> {
    /// With stripped white space.
    range: Range<usize>,
    /// The spelling alone.
    written: Range<usize>,
    token: Option<&'t AddedToken>,
}

/// Applies [`Finder::strips_tokens`].
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

/// A filter for where a special or an added token may begin in the original text. It has false positives, but no false
/// negatives.
#[derive(Debug)]
pub(crate) struct TokenStarts {
    /// The ASCII bytes that a token can begin with.
    first: ByteSet,
    /// These bytes, and the apostrophe: those at which the ASCII scan takes a closer look.
    pub(crate) stops: ByteSet,
    /// The ASCII bytes that can follow.
    second: ByteSet,
    /// Whether some token is a single byte.
    single: bool,
    /// Whether a token may begin beyond ASCII, or with a character that normalising produces.
    pub(crate) beyond_ascii: bool,
}

impl TokenStarts {
    pub(crate) fn new(tokens: &[AddedToken], profile: Profile) -> Self {
        let (mut first, mut second) = (ByteSet::default(), ByteSet::default());
        // As written, and as normalising makes them: what begins beyond ASCII may begin with a space or a letter then.
        let normalised = |token: &AddedToken| {
            let mut normalised = String::new();
            normalise_into(&mut normalised, &token.content, profile);
            normalised
        };
        let mut contents: Vec<String> = profile.pattern_specials().map(str::to_owned).to_vec();
        contents.extend(tokens.iter().map(|token| token.content.clone()));
        contents.extend(tokens.iter().filter(|token| token.normalized).map(normalised));
        for content in &contents {
            let mut bytes = content.bytes();
            let begin = bytes.next();
            if let Some(byte) = begin {
                insert_as_written(&mut first, byte);
            }
            // By the time that normalised tokens are matched, a run of white space is one space.
            let run = begin.filter(|&byte| is_space(byte));
            bytes.next().into_iter().chain(run).for_each(|byte| insert_as_written(&mut second, byte));
        }
        let mut stops = first.clone();
        stops.insert(b'\'');
        Self {
            first,
            stops,
            second,
            single: contents.iter().any(|content| content.len() == 1),
            beyond_ascii: tokens.iter().any(|t| t.normalized || !t.content.starts_with(|c: char| c.is_ascii())),
        }
    }

    /// Whether a token may begin where `text` does.
    pub(crate) fn may_begin(&self, text: &[u8]) -> bool {
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

/// Inserts the bytes that normalising may turn into `byte`: both cases of a letter, any white space for white space.
fn insert_as_written(set: &mut ByteSet, byte: u8) {
    set.insert(byte.to_ascii_lowercase());
    set.insert(byte.to_ascii_uppercase());
    if is_space(byte) {
        (0..128).filter(|&byte| is_space(byte)).for_each(|space| set.insert(space));
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::time::{Duration, Instant};

    fn token(content: String) -> AddedToken {
        let [special, normalized, lstrip, rstrip, single_word] = [false; 5];
        AddedToken { id: 0, content, special, normalized, lstrip, rstrip, single_word }
    }

    /// One of 200,000 letters took minutes, since all its beginnings are its ends too.
    #[test]
    fn a_long_token_takes_time_in_proportion_to_its_length() {
        let content = "a".repeat(200_000);
        let began = Instant::now();
        let finder = Finder::new(&[token(content.clone())], false, Profile::Transformers).unwrap().unwrap();
        let text = format!("a {content}a");
        let found: Vec<_> = finder.find(&text).map(|(range, _)| (range.start, range.end)).collect();
        assert_eq!(found, [(2, content.len() + 2)]);
        assert!(began.elapsed() < Duration::from_secs(10), "{:?}", began.elapsed());
    }
}
