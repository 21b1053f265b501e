//! Short texts of a batch, encoded together.
//!
//! A caption has a dozen words, and a loop over so few ends in a mispredicted branch. So texts are copied one behind the
//! other until there are some hundred words, then scanned as one, then all words are looked up in one loop, then the rows are
//! written.

use crate::encode::Cleaned;
use crate::engine::Engine;
use crate::id_buffer::IdBuffer;
use crate::instructions::Set;
use crate::scan::{GAP, Joined, ROOM, SEGMENT, Scan, Size, Text};
use crate::scratch::Reusable;
use crate::sink::Count;
use crate::word_loop::Words;
use std::cell::Cell;
use std::thread::LocalKey;

/// The most texts of a group: a limit that only nearly empty texts reach.
const MAX_TEXTS: usize = 64;

/// Why [`Group::fill`] returned, with the text that it has taken and not added.
pub(crate) enum Next<'t> {
    Full,
    /// A text that is long, or may hold a special or an added token, and what cleaning makes of it.
    Single(usize, &'t str, Cleaned),
}

/// Texts that have been scanned, with the ids of their words once looked up.
#[derive(Debug)]
pub(crate) struct Group {
    scan: Scan,
    joined: Joined,
    texts: Vec<Text>,
    /// How many of the texts have been scanned.
    scanned: usize,
    /// How many gaps there are between texts, or runs of them, in the scan.
    gaps: usize,
    /// The numbers of texts that turned out to be for encoding singly, whose rows are written first without any words.
    pub(crate) stopped: Vec<usize>,
    /// Where the ids of the first word of each text, at least, begin in the id buffer.
    begins: [u16; ROOM + 1],
    words: Words,
}

impl Default for Group {
    fn default() -> Self {
        Self {
            scan: Scan::default(),
            joined: Joined::default(),
            texts: Vec::new(),
            scanned: 0,
            gaps: 0,
            stopped: Vec::new(),
            begins: [0; ROOM + 1],
            words: Words::default(),
        }
    }
}

impl Group {
    /// Adds texts, with their numbers in the chunk, until the group is full or a text cannot be added. `None` when there
    /// are no more.
    #[inline(always)]
    pub(crate) fn fill<'t, S: Set>(
        &mut self,
        engine: &Engine,
        texts: &mut impl Iterator<Item = (usize, &'t str)>,
    ) -> Option<Next<'t>> {
        let next = loop {
            if self.is_full() {
                break Some(Next::Full);
            }
            let Some((number, text)) = texts.next() else { break None };
            let cleaned = engine.clean(text);
            let (short, lowers) =
                if let Cleaned::Whole(cleaned) = &cleaned { (&cleaned[..], false) } else { (text, true) };
            if short.len() > SEGMENT {
                return Some(Next::Single(number, text, cleaned));
            }
            if self.joined.push(short.as_bytes()) {
                self.texts.push(Text { number, end: self.joined.end() });
            } else {
                self.scan_joined::<S>(engine);
                if !engine.append_unicode(&mut self.scan, short, short.len(), lowers) {
                    return Some(Next::Single(number, text, cleaned));
                }
                let Size { bytes, words } = self.scan.size();
                self.texts.push(Text { number, end: words });
                self.scanned = self.texts.len();
                self.gaps += 1;
                self.joined.begin_at(bytes);
            }
        };
        self.scan_joined::<S>(engine);
        next
    }

    /// Scans the texts that were added and not scanned yet.
    #[inline(always)]
    fn scan_joined<S: Set>(&mut self, engine: &Engine) {
        let Self { scan, joined, texts, stopped, scanned, gaps, .. } = self;
        if *scanned < texts.len() {
            joined.scan::<S>(scan, &engine.added.starts, &mut texts[*scanned..], stopped);
            *scanned = texts.len();
            *gaps += 1;
        }
    }

    /// Whether another text might not fit.
    #[inline(always)]
    pub(crate) fn is_full(&self) -> bool {
        self.joined.end() > ROOM - SEGMENT - 2 * GAP || self.texts.len() == MAX_TEXTS
    }

    /// Looks up the ids of all words.
    #[inline(always)]
    pub(crate) fn look_up(&mut self, engine: &Engine) {
        let Self { scan, gaps, begins, words, .. } = self;
        // The id buffer has room for one id per byte, so it is never flushed to the sink.
        let mut unused = Count::default();
        let flown = if scan.has_long_words(*gaps) {
            engine.encode_scan::<true, false>(scan, &mut unused, words, begins)
        } else {
            engine.encode_scan::<false, false>(scan, &mut unused, words, begins)
        };
        debug_assert!(flown.is_continue() && unused.0 == 0);
    }

    /// Where the ids of a text end in [`Group::ids`], after [`Group::look_up`]. Those of the next one begin there.
    #[inline(always)]
    pub(crate) fn end(&self, text: &Text) -> usize {
        self.begins[text.end.min(ROOM)].into()
    }

    /// The texts, in runs of consecutive numbers, whose rows are adjacent.
    #[inline(always)]
    pub(crate) fn runs(&self) -> impl Iterator<Item = &[Text]> {
        self.texts.chunk_by(|text, next| text.number + 1 == next.number)
    }

    #[inline(always)]
    pub(crate) fn ids(&self) -> &IdBuffer {
        &self.words.buffer
    }

    #[inline(always)]
    pub(crate) fn clear(&mut self) {
        self.scan.truncate(Size::default());
        self.joined.begin_at(0);
        self.texts.clear();
        self.scanned = 0;
        self.gaps = 0;
        self.words.buffer.set_end(IdBuffer::BEGIN);
    }
}

thread_local! {
    static GROUP: Cell<Option<Box<Group>>> = const { Cell::new(None) };
}

impl Reusable for Group {
    const SLOT: &'static LocalKey<Cell<Option<Box<Self>>>> = &GROUP;

    fn is_large(&self) -> bool {
        false
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::Profile;
    use crate::instructions::{Instructions, Task};

    struct Fill<'t>(&'t [String]);

    impl Task for Fill<'_> {
        type Output = (Group, bool);

        fn run<S: Set>(self) -> Self::Output {
            let mut group = Group::default();
            let mut texts = self.0.iter().map(String::as_str).enumerate();
            let next = group.fill::<S>(&Engine::clip(Profile::Transformers), &mut texts);
            (group, matches!(next, Some(Next::Single(..))))
        }
    }

    /// How many texts of these lengths a group takes, and whether another text stopped it.
    fn taken(lengths: impl IntoIterator<Item = usize>) -> (usize, bool) {
        let texts: Vec<String> = lengths.into_iter().map(|length| "x ".repeat(256)[..length].to_owned()).collect();
        let (group, single) = Instructions::Plain.run_task(Fill(&texts));
        assert!(group.scan.size().bytes <= ROOM);
        (group.texts.len(), single)
    }

    #[test]
    fn a_group_takes_what_fits() {
        assert_eq!(taken([10; 100]), (MAX_TEXTS, false));
        assert_eq!(taken([10; 20]), (20, false));
        // As long as one more text of a segment and its gap fit.
        let rest = ROOM - 7 * SEGMENT - 2 * GAP;
        assert_eq!(taken([SEGMENT; 9]), (7, false));
        assert_eq!(taken([[SEGMENT; 6].as_slice(), &[rest, SEGMENT, 1]].concat()), (8, false));
        assert_eq!(taken([[SEGMENT; 6].as_slice(), &[rest + 1, SEGMENT]].concat()), (7, false));
        let long = ["a".to_owned(), "x".repeat(SEGMENT), "x".repeat(SEGMENT + 1), "b".to_owned()];
        let (group, single) = Instructions::Plain.run_task(Fill(&long));
        assert_eq!((group.texts.len(), single), (2, true));
    }

    #[test]
    fn runs_are_of_consecutive_texts() {
        let text = |number| Text { number, end: 0 };
        let group = Group { texts: [0, 1, 2, 5, 6, 8].map(text).into(), ..Group::default() };
        assert_eq!(group.runs().map(<[Text]>::len).collect::<Vec<_>>(), [3, 2, 1]);
    }
}
