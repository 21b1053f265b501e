//! Encoding one text: by the scans of ASCII and of text beyond it, or the general way around added tokens.

use crate::added_tokens::Finder;
use crate::cleaning;
use crate::engine::Engine;
use crate::id_buffer::IdBuffer;
use crate::interrupt::poll;
use crate::normalise::normalise_into;
use crate::profile::Profile;
use crate::reserve::{is_large, require};
use crate::scan::{LONG_SEGMENT, ROOM, Rules, SEGMENT, Scan, ScanEnd, Size, is_ascii_without};
use crate::scratch::{Reusable, ThreadScratch};
use crate::sink::Sink;
use crate::split::{PreToken, split};
use crate::unicode;
use crate::word_loop::Words;
use crate::words::is_space;
use std::cell::Cell;
use std::ops::{ControlFlow, Range};
use std::thread::LocalKey;
use unicode_normalization_alignments::UnicodeNormalization;

/// The buffers that encoding a text needs, reused from text to text.
#[derive(Debug, Default)]
pub(crate) struct EncodeScratch {
    pub(crate) scan: Scan,
    text: String,
    pub(crate) words: Words,
}

thread_local! {
    static SCRATCH: Cell<Option<Box<EncodeScratch>>> = const { Cell::new(None) };
}

impl Reusable for EncodeScratch {
    const SLOT: &'static LocalKey<Cell<Option<Box<Self>>>> = &SCRATCH;

    /// Whether a long text has made it grow.
    fn is_large(&self) -> bool {
        const LARGE: usize = 1 << 16;
        self.text.capacity().max(self.words.symbols.capacity()) > LARGE
    }
}

/// An added token in a text, or the text between two.
pub(crate) enum Segment {
    Text(Range<usize>),
    Added(u32, Range<usize>),
}

/// What cleaning makes of a text.
pub(crate) enum Cleaned {
    /// Nothing that the engine does not do itself.
    Unchanged,
    /// Another text, in lower case, in which no added token is looked for.
    Whole(String),
    /// Each part between added tokens is cleaned by itself.
    InParts,
}

pub(crate) const GO_ON: ControlFlow<()> = ControlFlow::Continue(());

pub(crate) fn flow(more: bool) -> ControlFlow<()> {
    if more { GO_ON } else { ControlFlow::Break(()) }
}

/// Passes an id to the sink, after those in the buffer.
fn push(id: u32, sink: &mut impl Sink, buffer: &mut IdBuffer) -> ControlFlow<()> {
    flow(buffer.flush_into(sink) && sink.push(id))
}

impl Engine {
    /// The ids of a text, without start and end of text.
    pub fn encode(&self, text: &str) -> Vec<u32> {
        let mut ids = Vec::new();
        self.encode_into(text, &mut ids, &mut ThreadScratch::default());
        ids
    }

    /// Whether the profile's cleaning (ftfy, html, `str.lower`) could change this text beyond lower case and white space.
    /// False is a proof that it cannot. Never for [`Profile::Transformers`].
    pub fn needs_cleaning(&self, text: &str) -> bool {
        self.profile.cleans()
            && !is_ascii_without(text.as_bytes(), &self.suspects, self.instructions)
            && unicode::needs_cleaning(text)
    }

    /// Cleans a text, unless an added token stands in it.
    #[inline]
    pub(crate) fn clean(&self, text: &str) -> Cleaned {
        // The profile first, without a call.
        if self.profile.cleans() && self.needs_cleaning(text) { self.clean_suspect(text) } else { Cleaned::Unchanged }
    }

    /// [`Engine::clean`] of a text that needs cleaning.
    #[cold]
    fn clean_suspect(&self, text: &str) -> Cleaned {
        const BYTES: usize = 8; // a few copies of the text, which may grow
        if is_large(text) {
            require(BYTES * text.len());
        }
        if self.added.in_original.as_ref().is_some_and(|finder| finder.find(text).next().is_some()) {
            return Cleaned::InParts;
        }
        Cleaned::Whole(cleaning::clean(text, self.profile))
    }

    pub(crate) fn encode_into(&self, text: &str, sink: &mut impl Sink, scratch: &mut EncodeScratch) {
        self.encode_cleaned(text, &self.clean(text), sink, scratch);
    }

    /// The ids of a text of which it is known what cleaning makes.
    pub(crate) fn encode_cleaned(
        &self,
        text: &str,
        cleaned: &Cleaned,
        sink: &mut impl Sink,
        scratch: &mut EncodeScratch,
    ) {
        scratch.words.buffer.set_end(IdBuffer::BEGIN); // a truncated text leaves ids behind
        let _ = match cleaned {
            Cleaned::Unchanged => self.encode_fast(text, true, sink, scratch),
            Cleaned::Whole(cleaned) => self.encode_lower(cleaned, sink, scratch),
            Cleaned::InParts => segments(text, self.added.in_original.as_ref(), |segment| match segment {
                Segment::Added(id, _) => push(id, sink, &mut scratch.words.buffer),
                Segment::Text(range) => self.encode_lower(&cleaning::clean(&text[range], self.profile), sink, scratch),
            }),
        };
        sink.finish();
    }

    /// A cleaned text, in which no added token is looked for.
    fn encode_lower(&self, text: &str, sink: &mut impl Sink, scratch: &mut EncodeScratch) -> ControlFlow<()> {
        // Letters that have a lower case in a newer Unicode than that of cleaning keep their case.
        let keeps_case = |c: char| !c.is_ascii() && self.profile.table().get(c).lowers();
        if text.chars().any(keeps_case) {
            self.encode_normalised(text, sink, &mut scratch.words)?;
            return flow(scratch.words.buffer.flush_into(sink));
        }
        self.encode_fast(text, false, sink, scratch)
    }

    /// A text that needs no cleaning, or none any more, by the fast paths where they hold.
    fn encode_fast(
        &self,
        text: &str,
        find_added: bool,
        sink: &mut impl Sink,
        scratch: &mut EncodeScratch,
    ) -> ControlFlow<()> {
        let mut rest = text;
        let mut most = SEGMENT;
        while !rest.is_empty() {
            poll();
            let EncodeScratch { scan, words, .. } = &mut *scratch;
            scan.truncate(Size::default());
            let stop = scan.append(rest.as_bytes(), most, &self.added.starts, self.instructions);
            most = LONG_SEGMENT;
            self.encode_scan_by_set(scan, sink, words)?;
            let mut end = match stop {
                ScanEnd::End => rest.len(),
                ScanEnd::Segment(end) | ScanEnd::Other(end, _) => end,
            };
            if let ScanEnd::Other(_, other) = stop {
                let beyond = &rest[end..];
                end += match self.append_beyond_ascii(scan, beyond, other - end, most, find_added) {
                    Ok(length) => {
                        self.encode_scan_by_set(scan, sink, words)?;
                        length
                    }
                    Err(tried) => {
                        let (length, may_hold_token) = self.unicode_run_end(beyond, other - end, tried);
                        self.encode_unicode_run(&beyond[..length], may_hold_token && find_added, sink, scratch)?;
                        length
                    }
                };
            }
            flow(scratch.words.buffer.flush_into(sink))?;
            rest = &rest[end..];
        }
        GO_ON
    }

    /// [`Engine::encode_scan`] of one text's scan, compiled for the set of instructions.
    fn encode_scan_by_set(&self, scan: &Scan, sink: &mut impl Sink, words: &mut Words) -> ControlFlow<()> {
        self.instructions.run(
            #[inline(always)]
            || {
                if scan.has_long_words(1) {
                    self.prefetch_words(scan);
                    return self.encode_scan::<true, true>(scan, sink, words, ());
                }
                self.encode_scan::<false, false>(scan, sink, words, ())
            },
        )
    }

    /// Scans the beginning of a text in which a character beyond ASCII stands at `other`: up to the last white space of
    /// `most` bytes, but not of many, since all of them go the general way if one thing stands among them that must; or,
    /// where that is before `other`, of half of what a scan has room for. Returns where it ends, as an error where it could
    /// not be scanned.
    fn append_beyond_ascii(
        &self,
        scan: &mut Scan,
        text: &str,
        other: usize,
        most: usize,
        lowers: bool,
    ) -> Result<usize, usize> {
        let most = most.min(2 * SEGMENT);
        let bytes = text.as_bytes();
        if bytes.get(other).is_none_or(u8::is_ascii) {
            return Err(0);
        }
        let end_within = |most: usize| {
            let Some(segment) = bytes.get(..most) else { return Some(bytes.len()) };
            segment.iter().rposition(|&byte| is_space(byte)).filter(|&end| end > other)
        };
        let end = end_within(most).or_else(|| end_within(ROOM / 2)).ok_or(0_usize)?;
        scan.truncate(Size::default());
        if self.append_unicode(scan, text, end, lowers) { Ok(end) } else { Err(end) }
    }

    /// Scans a text beyond ASCII, see [`Scan::append_unicode`]; where NFC may change it, what NFC makes of it.
    #[cold]
    pub(crate) fn append_unicode(&self, scan: &mut Scan, text: &str, end: usize, lowers: bool) -> bool {
        let (token_starts, profile, instructions) = (&self.added.starts, self.profile, self.instructions);
        if token_starts.beyond_ascii {
            return false;
        }
        let checks_nfc = profile == Profile::Transformers;
        let rules = Rules { token_starts, profile, checks_nfc, lowers };
        if scan.append_unicode(text, end, rules, instructions) {
            return true;
        }
        if !checks_nfc || (0..end).any(|at| token_starts.may_begin(&text.as_bytes()[at..])) {
            return false;
        }
        let text: String = text[..end].nfc().map(|(c, _)| c).collect();
        scan.append_unicode(&text, text.len(), Rules { checks_nfc: false, ..rules }, instructions)
    }

    /// The end of the Unicode run that contains `other`, where the ASCII scan stopped: the next white space with 16 bytes
    /// of ASCII behind it, or any white space from `least` or after 512 bytes, or the end of the text. Not before `least`,
    /// where white space or the end is. Also returns whether an added token may begin in the run.
    fn unicode_run_end(&self, text: &str, other: usize, least: usize) -> (usize, bool) {
        let (bytes, starts) = (text.as_bytes(), &self.added.starts);
        let mut may_hold_token = false;
        for (at, &byte) in bytes.iter().enumerate().skip(other) {
            if !byte.is_ascii() && !starts.beyond_ascii {
                continue; // most of the run
            }
            may_hold_token |= starts.may_begin(&bytes[at..]);
            if may_hold_token && self.added.any_has_space {
                break;
            }
            if is_space(byte) && at >= least && pays_to_stop(bytes, at, least) {
                return (at, may_hold_token);
            }
        }
        (bytes.len(), may_hold_token)
    }

    /// Encodes a Unicode run that was not scanned, the general way.
    fn encode_unicode_run(
        &self,
        text: &str,
        may_hold_token: bool,
        sink: &mut impl Sink,
        scratch: &mut EncodeScratch,
    ) -> ControlFlow<()> {
        if may_hold_token {
            return self.encode_with_added(text, sink, scratch);
        }
        let EncodeScratch { text: normalised, words, .. } = scratch;
        normalised.clear();
        normalise_into(normalised, text, self.profile);
        self.encode_normalised(normalised, sink, words)
    }

    fn encode_with_added(&self, text: &str, sink: &mut impl Sink, scratch: &mut EncodeScratch) -> ControlFlow<()> {
        let EncodeScratch { text: normalised, words, .. } = scratch;
        segments(text, self.added.in_original.as_ref(), |segment| match segment {
            Segment::Added(id, _) => push(id, sink, &mut words.buffer),
            Segment::Text(range) => {
                normalised.clear();
                normalise_into(normalised, &text[range], self.profile);
                segments(normalised, self.added.in_normalised.as_ref(), |segment| match segment {
                    Segment::Added(id, _) => push(id, sink, &mut words.buffer),
                    Segment::Text(range) => self.encode_normalised(&normalised[range], sink, words),
                })
            }
        })
    }

    fn encode_normalised(&self, text: &str, sink: &mut impl Sink, words: &mut Words) -> ControlFlow<()> {
        let Words { buffer, symbols, .. } = words;
        split(text, self.profile, |pre_token| match pre_token {
            PreToken::Special(which, _) => push(self.pattern_specials[which], sink, buffer),
            PreToken::Word(range) => flow(self.encode_new_word(&text.as_bytes()[range], sink, buffer, symbols)),
        })
    }
}

/// Whether a Unicode run ends at the white space at `at`, rather than later: anywhere from `least` on, or where it is long or
/// ASCII follows.
fn pays_to_stop(bytes: &[u8], at: usize, least: usize) -> bool {
    const ASCII_AGAIN: usize = 16;
    const LONG: usize = 512;
    least > 0 || at >= LONG || bytes[at..bytes.len().min(at + ASCII_AGAIN)].is_ascii()
}

/// Calls `take` with each added token in `text` and with the text between them, in order.
pub(crate) fn segments(
    text: &str,
    finder: Option<&Finder>,
    mut take: impl FnMut(Segment) -> ControlFlow<()>,
) -> ControlFlow<()> {
    let mut at = 0;
    for (range, token) in finder.into_iter().flat_map(|finder| finder.find(text)) {
        if at < range.start {
            take(Segment::Text(at..range.start))?;
        }
        at = range.end;
        take(token.map_or(Segment::Text(range.clone()), |token| Segment::Added(token.id, range)))?;
    }
    if at < text.len() { take(Segment::Text(at..text.len())) } else { GO_ON }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::Profile;

    #[test]
    fn buffers_of_a_long_text_are_not_kept() {
        let mut scratch = EncodeScratch::default();
        assert!(!scratch.is_large());
        let engine = Engine::clip(Profile::Transformers);
        for (text, is_large) in [("\u{e9}".repeat(2000), false), ("\u{e9}".repeat(40_000), true)] {
            engine.encode_into(&text, &mut Vec::<u32>::new(), &mut scratch);
            assert_eq!(scratch.is_large(), is_large);
        }
        let long_word = "x".repeat(70_000);
        let mut scratch = EncodeScratch::default();
        engine.encode_into(&long_word, &mut Vec::<u32>::new(), &mut scratch);
        assert!(scratch.words.symbols.capacity() > 1 << 16 && scratch.is_large());
    }

    #[test]
    fn only_suspects_are_cleaned() {
        for (_, profile) in Profile::NAMES {
            let engine = Engine::clip(profile);
            assert!(matches!(engine.clean("a cat &"), Cleaned::Unchanged));
            assert!(matches!(engine.clean("na\u{ef}ve \u{4f60}"), Cleaned::Unchanged));
            let cleans = matches!(engine.clean("\u{201c}a\u{201d}"), Cleaned::Whole(text) if text == "\"a\"");
            assert_eq!(cleans, profile.cleans());
        }
    }

    /// Python 3.11 knows no lower case of U+1C89, and the regex package of today does.
    #[test]
    fn what_cleaning_has_not_lowered_keeps_its_case() {
        let engine = Engine::clip(Profile::OpenClip);
        let kept = engine.decode(&engine.encode("\u{201c}\u{1c89}"), false).unwrap();
        assert_eq!(kept, "\"</w>\u{1c89}</w>");
    }
}
