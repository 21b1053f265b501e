//! From one text to its ids.

use crate::added::Finder;
use crate::cache::Key;
use crate::engine::Engine;
use crate::normalise::{Normalised, normalise_into, normalise_with_origins};
use crate::scan::{Place, Scan, Size, Stop, is_ascii_without, is_space};
use crate::sink::{Gathered, Sink};
use crate::spare::Spare;
use crate::split::{Piece, split};
use crate::stretch::Stretch;
use crate::unicode;
use std::ops::{ControlFlow, Range};

/// Buffers that are used again from text to text.
#[derive(Debug, Default)]
pub(crate) struct Scratch {
    scan: Scan,
    stretch: Stretch,
    text: String,
    words: Words,
}

impl Scratch {
    /// Whether a long text has made it grow.
    pub(crate) fn is_large(&self) -> bool {
        const LARGE: usize = 1 << 16;
        self.stretch.capacity().max(self.text.capacity()).max(self.words.symbols.capacity()) > LARGE
    }
}

/// Buffers for the ids of words.
#[derive(Debug, Default)]
pub(crate) struct Words {
    pub(crate) gathered: Gathered,
    symbols: Vec<u16>,
}

/// A stretch of a text between or at added tokens.
enum Segment {
    Text(Range<usize>),
    Added(u32, Range<usize>),
}

/// A text that ftfy or html could change: clean it first, then use [`Engine::encode_cleaned`].
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct NeedsCleaning;

const GO_ON: ControlFlow<()> = ControlFlow::Continue(());

fn flow(more: bool) -> ControlFlow<()> {
    if more { GO_ON } else { ControlFlow::Break(()) }
}

/// What is noted of a word.
pub(crate) trait Note {
    /// Where its ids end among those gathered.
    fn ids_end(&mut self, end: usize);
}

impl Note for () {
    #[inline(always)]
    fn ids_end(&mut self, _: usize) {}
}

impl Note for &mut u16 {
    #[inline(always)]
    fn ids_end(&mut self, end: usize) {
        **self = end as u16;
    }
}

/// Hands an id to a sink, behind those gathered before.
fn push(id: u32, sink: &mut impl Sink, gathered: &mut Gathered) -> ControlFlow<()> {
    flow(gathered.empty_into(sink) && sink.push(id))
}

impl Engine {
    /// The ids of a text, without start and end of text.
    ///
    /// In the profiles other than [`Profile::Transformers`](crate::Profile::Transformers), a text for which
    /// [`Engine::needs_cleaning`] holds must be cleaned by the caller first: see [`Engine::encode_cleaned`].
    pub fn encode(&self, text: &str) -> Vec<u32> {
        let mut ids = Vec::new();
        self.encode_uncleaned(text, &mut ids, &mut Spare::default());
        ids
    }

    /// Whether the profile's cleaning in Python (ftfy, html, `str.lower`) could change this text beyond what the
    /// engine does itself. Never for [`Profile::Transformers`](crate::Profile::Transformers).
    pub fn needs_cleaning(&self, text: &str) -> bool {
        self.profile.cleans()
            && !is_ascii_without(text.as_bytes(), &self.suspects, self.instructions)
            && unicode::needs_cleaning(text)
    }

    /// The ids of a text that needs cleaning. `clean` gets each stretch of the text that holds no added token, and
    /// returns it as the profile's reference cleans it, in lower case.
    ///
    /// # Errors
    ///
    /// Whatever `clean` fails with.
    pub fn encode_cleaned<E>(&self, text: &str, clean: impl FnMut(&str) -> Result<String, E>) -> Result<Vec<u32>, E> {
        let mut ids = Vec::new();
        self.encode_cleaning(text, clean, &mut ids)?;
        Ok(ids)
    }

    pub(crate) fn encode_into(
        &self,
        text: &str,
        sink: &mut impl Sink,
        scratch: &mut Scratch,
    ) -> Result<(), NeedsCleaning> {
        if self.needs_cleaning(text) {
            return Err(NeedsCleaning);
        }
        self.encode_uncleaned(text, sink, scratch);
        Ok(())
    }

    pub(crate) fn encode_cleaning<E>(
        &self,
        text: &str,
        mut clean: impl FnMut(&str) -> Result<String, E>,
        sink: &mut impl Sink,
    ) -> Result<(), E> {
        let mut words = Words::default();
        let mut result = Ok(());
        let flown = segments(text, self.added.in_original.as_ref(), |segment| match segment {
            Segment::Added(id, _) => push(id, sink, &mut words.gathered),
            Segment::Text(range) => match clean(&text[range]) {
                Ok(cleaned) => self.encode_normalised(&cleaned, sink, &mut words),
                Err(error) => {
                    result = Err(error);
                    ControlFlow::Break(())
                }
            },
        });
        if flown.is_continue() {
            words.gathered.empty_into(sink);
        }
        sink.finish();
        result
    }

    pub(crate) fn encode_uncleaned(&self, text: &str, sink: &mut impl Sink, scratch: &mut Scratch) {
        let mut rest = text;
        scratch.words.gathered.set_end(Gathered::BEGIN); // a text that was cut may have left some
        while !rest.is_empty() {
            let Scratch { scan, words, .. } = &mut *scratch;
            scan.truncate(Size::default());
            let stop = scan.append(rest.as_bytes(), &self.added.marks, self.instructions);
            let mut flown = self.encode_words(scan.lower(), scan.words(), sink, words, std::iter::repeat(()));
            let mut end = match stop {
                Stop::End => rest.len(),
                Stop::Segment(end) | Stop::Other(end, _) => end,
            };
            if let (Stop::Other(_, other), ControlFlow::Continue(())) = (stop, flown) {
                let (length, marked) = self.end_of_stretch(&rest[end..], other - end);
                let stretch = &rest[end..end + length];
                flown = if marked {
                    self.encode_with_added(stretch, sink, scratch)
                } else {
                    self.encode_stretch(stretch, sink, scratch)
                };
                end += length;
            }
            if flown.is_break() || !scratch.words.gathered.empty_into(sink) {
                break; // all that comes now is too much
            }
            rest = &rest[end..];
        }
        sink.finish();
    }

    /// The ids of words in a text in lower case, behind which there is room: where they start and where they end.
    /// There is a note for each word.
    #[inline(always)]
    pub(crate) fn encode_words<P: Place, N: Note>(
        &self,
        lower: &[u8],
        [starts, ends]: [&[P]; 2],
        sink: &mut impl Sink,
        words: &mut Words,
        notes: impl Iterator<Item = N>,
    ) -> ControlFlow<()> {
        let bpe = &*self.vocabulary.bpe;
        let Words { gathered, symbols } = words;
        let mut at = gathered.end(); // in a register
        for ((start, end), mut note) in starts.iter().zip(ends).zip(notes) {
            if Gathered::is_full(at) {
                gathered.set_end(at);
                flow(gathered.empty_into(sink))?;
                at = gathered.end();
            }
            let (start, end) = (start.get(), end.get());
            if let Some(ids) = Key::within(lower, start, end).and_then(|key| bpe.cached(key)) {
                at = gathered.put(at, ids);
            } else {
                gathered.set_end(at);
                flow(self.encode_new_word(&lower[start..end], sink, gathered, symbols))?;
                at = gathered.end();
            }
            note.ids_end(at);
        }
        gathered.set_end(at);
        GO_ON
    }

    /// The end of a stretch of `text` that is not plain at `other`: white space from which on it is plain again for a
    /// while, or which ends a stretch long enough, or the text's end. And whether an added token may begin in it.
    fn end_of_stretch(&self, text: &str, other: usize) -> (usize, bool) {
        const PLAIN: usize = 16;
        const LONG: usize = 512;
        let bytes = text.as_bytes();
        let mut marked = false;
        for (at, &byte) in bytes.iter().enumerate().skip(other) {
            marked |= self.added.marks.begin(&bytes[at..]);
            if marked && self.added.any_has_space {
                break;
            }
            if is_space(byte) && (at >= LONG || bytes[at..].iter().take(PLAIN).all(u8::is_ascii)) {
                return (at, marked);
            }
        }
        (bytes.len(), marked)
    }

    /// A text in which no added token begins.
    fn encode_stretch(&self, text: &str, sink: &mut impl Sink, scratch: &mut Scratch) -> ControlFlow<()> {
        let Scratch { stretch, text: normalised, words, .. } = scratch;
        if stretch.scan(text, self.profile) {
            return self.encode_words(stretch.lower(), stretch.words(), sink, words, std::iter::repeat(()));
        }
        normalised.clear();
        normalise_into(normalised, text, self.profile);
        self.encode_normalised(normalised, sink, words)
    }

    fn encode_with_added(&self, text: &str, sink: &mut impl Sink, scratch: &mut Scratch) -> ControlFlow<()> {
        let Scratch { text: normalised, words, .. } = scratch;
        segments(text, self.added.in_original.as_ref(), |segment| match segment {
            Segment::Added(id, _) => push(id, sink, &mut words.gathered),
            Segment::Text(range) => {
                normalised.clear();
                normalise_into(normalised, &text[range], self.profile);
                segments(normalised, self.added.in_normalised.as_ref(), |segment| match segment {
                    Segment::Added(id, _) => push(id, sink, &mut words.gathered),
                    Segment::Text(range) => self.encode_normalised(&normalised[range], sink, words),
                })
            }
        })
    }

    fn encode_normalised(&self, text: &str, sink: &mut impl Sink, words: &mut Words) -> ControlFlow<()> {
        let Words { gathered, symbols } = words;
        split(text, self.profile, |piece| match piece {
            Piece::Special(which, _) => push(self.pattern_specials[which], sink, gathered),
            Piece::Word(range) => flow(self.encode_new_word(&text.as_bytes()[range], sink, gathered, symbols)),
        })
    }

    /// The ids of a word that is not in the cache, or long, or has come by a way that is not quick anyway. Whether they
    /// fit.
    #[cold]
    #[inline(never)]
    fn encode_new_word(
        &self,
        word: &[u8],
        sink: &mut impl Sink,
        gathered: &mut Gathered,
        symbols: &mut Vec<u16>,
    ) -> bool {
        self.vocabulary.bpe.ids(word, symbols);
        gathered.pass(symbols, sink)
    }

    /// The ids of a text and the bytes of the text that each of them covers, as tokenizers reports offsets. For the
    /// `transformers` profile; the other references have no such notion.
    pub fn encode_offsets(&self, text: &str) -> Vec<(u32, Range<usize>)> {
        let mut out = Vec::new();
        let _ = segments(text, self.added.in_original.as_ref(), |segment| {
            match segment {
                Segment::Added(id, range) => out.push((id, range)),
                Segment::Text(range) => self.offsets_of_segment(text, range, &mut out),
            }
            GO_ON
        });
        out
    }

    fn offsets_of_segment(&self, text: &str, range: Range<usize>, out: &mut Vec<(u32, Range<usize>)>) {
        let Normalised { text: normalised, origins } = normalise_with_origins(&text[range.clone()]);
        let original =
            |within: Range<usize>| range.start + origins[within.start].0..range.start + origins[within.end - 1].1;
        let _ = segments(&normalised, self.added.in_normalised.as_ref(), |segment| {
            let piece = match segment {
                Segment::Added(id, within) => {
                    out.push((id, original(within)));
                    return GO_ON;
                }
                Segment::Text(within) => within,
            };
            split(&normalised[piece.clone()], self.profile, |part| {
                let (Piece::Word(word) | Piece::Special(_, word)) = part;
                let mut at = piece.start + word.start;
                for (id, bytes) in self.vocabulary.bpe.merge_with_lengths(&normalised.as_bytes()[at..][..word.len()]) {
                    out.push((id.into(), original(at..at + bytes as usize)));
                    at += bytes as usize;
                }
                GO_ON
            })
        });
    }
}

/// Calls `take` with the stretches of `text` between added tokens and with the added tokens, in order.
fn segments(text: &str, finder: Option<&Finder>, mut take: impl FnMut(Segment) -> ControlFlow<()>) -> ControlFlow<()> {
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
