//! Short plain texts of a batch, encoded side by side.
//!
//! One text has a dozen words, and a processor that guesses wrongly where they end has nothing left to do while it waits
//! for the cache. So texts are scanned until there are some hundred words, then all of these are looked up in one go, and
//! then the rows are written.

use crate::encode::Words;
use crate::engine::Engine;
use crate::scan::{ROOM, SEGMENT, Scan, Size, Stop};
use crate::sink::{Count, Gathered};

/// The most texts of a group: more are only there when they are empty, or nearly so.
const MOST: usize = 64;

/// A text of a group.
#[derive(Debug)]
pub(crate) struct Text {
    pub(crate) number: usize,
    /// How many words there are up to its end.
    words: usize,
    /// Between which places in [`Group::ids`] its ids are, once they have been looked up.
    pub(crate) from: usize,
    pub(crate) to: usize,
}

/// Texts that have been scanned, and whose words are to be looked up together.
#[derive(Debug)]
pub(crate) struct Group {
    scan: Scan,
    texts: Vec<Text>,
    /// Where the ids of each word end among those gathered.
    ends: [u16; ROOM],
    words: Words,
}

impl Default for Group {
    fn default() -> Self {
        Self { scan: Scan::default(), texts: Vec::new(), ends: [0; ROOM], words: Words::default() }
    }
}

impl Group {
    /// Takes in a text with a number of its own. False where it is not short and plain.
    #[inline(always)]
    pub(crate) fn add(&mut self, engine: &Engine, text: &str, number: usize) -> bool {
        let before = self.scan.size();
        if text.len() > SEGMENT {
            return false;
        }
        let plain = self.scan.append(text.as_bytes(), &engine.added.marks, engine.instructions) == Stop::End;
        if plain {
            self.texts.push(Text { number, words: self.scan.size().words, from: 0, to: 0 });
        } else {
            self.scan.truncate(before);
        }
        plain
    }

    /// Whether there is no room for another text.
    #[inline(always)]
    pub(crate) fn is_full(&self) -> bool {
        self.scan.size().bytes > ROOM - SEGMENT || self.texts.len() == MOST
    }

    /// Gathers the ids of all texts.
    #[inline(always)]
    pub(crate) fn look_up(&mut self, engine: &Engine) {
        let Self { scan, texts, ends, words } = self;
        // Nothing goes there: there is room for an id a byte.
        let mut nowhere = Count::default();
        let flown = engine.encode_words(scan.lower(), scan.words(), &mut nowhere, words, ends.iter_mut());
        debug_assert!(flown.is_continue() && nowhere.0 == 0);
        let mut from = Gathered::BEGIN;
        for text in texts {
            let to = if text.words == 0 { from } else { ends[text.words - 1].into() };
            (text.from, text.to, from) = (from, to, to);
        }
    }

    /// The texts, those together whose numbers follow each other.
    #[inline(always)]
    pub(crate) fn neighbours(&self) -> impl Iterator<Item = &[Text]> {
        self.texts.chunk_by(|text, next| text.number + 1 == next.number)
    }

    #[inline(always)]
    pub(crate) fn ids(&self) -> &Gathered {
        &self.words.gathered
    }

    #[inline(always)]
    pub(crate) fn clear(&mut self) {
        self.scan.truncate(Size::default());
        self.texts.clear();
        self.words.gathered.set_end(Gathered::BEGIN);
    }
}
