//! Packing: the ids of many texts joined without padding. Several threads share a long text.

use crate::batch::CHUNK_TEXTS;
use crate::encode::{Cleaned, EncodeScratch};
use crate::engine::Engine;
use crate::error::Error;
use crate::ids::Id;
use crate::prefetch::read_ahead;
use crate::reserve::reserve;
use crate::scratch::ThreadScratch;
use crate::sequencer::Sequencer;
use crate::threads::parallel_map;
use crate::words::is_space;

/// Longer texts are divided at white space into parts of about this many bytes.
const PART: usize = 1 << 18;

/// A growable buffer that receives packed ids.
pub trait Target<T>: Send {
    /// Appends ids.
    fn append(&mut self, ids: &[T]);
}

impl<T: Id> Target<T> for Vec<T> {
    fn append(&mut self, ids: &[T]) {
        self.extend_from_slice(ids);
    }
}

/// A text or a part of one, and whether it is the text's first and last part.
struct Part<'t> {
    text: &'t str,
    first: bool,
    last: bool,
}

impl AsRef<str> for Part<'_> {
    fn as_ref(&self) -> &str {
        self.text
    }
}

/// The output so far: the packed ids, the offsets of the texts in them, and the number of ids.
struct Joined<'j, G> {
    target: &'j mut G,
    offsets: Vec<usize>,
    count: usize,
}

/// A thread's buffers, reused from share to share. `ends`: where the ids of each text end in `ids`.
struct Buffers<T> {
    scratch: ThreadScratch<EncodeScratch>,
    ids: Vec<T>,
    ends: Vec<usize>,
}

impl<T> Default for Buffers<T> {
    fn default() -> Self {
        Self { scratch: ThreadScratch::default(), ids: Vec::new(), ends: Vec::new() }
    }
}

impl Engine {
    /// Appends the ids of all texts to `target`, and returns n + 1 offsets: text `i` has the ids
    /// `offsets[i]..offsets[i + 1]`.
    ///
    /// # Errors
    ///
    /// [`Error::Argument`] when `max_length` cannot hold the special tokens or the ids' type the largest id.
    pub fn pack<T: Id, S: AsRef<str>>(
        &self,
        texts: &[S],
        max_length: Option<usize>,
        add_special_tokens: bool,
        threads: usize,
        target: &mut impl Target<T>,
    ) -> Result<Vec<usize>, Error> {
        self.check_ids::<T>(0)?;
        let specials = usize::from(add_special_tokens);
        if max_length.is_some_and(|max| max < 2 * specials) {
            let message = format!("max_length is {}; start and end of text alone take 2", max_length.unwrap_or(0));
            return Err(Error::Argument(message));
        }
        let parts = self.parts(texts, max_length.is_none());
        let mut offsets = Vec::new();
        reserve(&mut offsets, texts.len() + 1);
        offsets.push(0);
        let joined = Sequencer::new(Joined { target, offsets, count: 0 });
        parallel_map(shares(&parts).enumerate(), threads, |(number, parts), buffers: &mut Buffers<T>| {
            let Buffers { scratch, ids, ends } = buffers;
            let ticket = joined.ticket(number);
            ids.clear();
            ends.clear();
            for (_, part) in read_ahead(parts) {
                if add_special_tokens && part.first {
                    ids.push(T::from_id(self.start));
                }
                let begin = ids.len() - specials.min(usize::from(part.first));
                if part.first && part.last {
                    self.encode_into(part.text, ids, scratch);
                } else {
                    self.encode_cleaned(part.text, &Cleaned::Unchanged, ids, scratch);
                }
                if let Some(max) = max_length {
                    ids.truncate(begin + max - specials);
                }
                if add_special_tokens && part.last {
                    ids.push(T::from_id(self.end));
                }
                if part.last {
                    ends.push(ids.len());
                }
            }
            ticket.update(|joined| {
                joined.target.append(ids);
                joined.offsets.extend(ends.iter().map(|end| joined.count + end));
                joined.count += ids.len();
            });
        });
        Ok(joined.into_inner().offsets)
    }

    /// The texts, each as one part or, where it is long and may be divided, as several.
    fn parts<'t, S: AsRef<str>>(&self, texts: &'t [S], divide: bool) -> Vec<Part<'t>> {
        let divide = divide && !self.added.any_has_space;
        let mut parts = Vec::new();
        reserve(&mut parts, texts.len());
        for text in texts {
            let mut text = text.as_ref();
            let mut first = true;
            if divide && text.len() > PART && !self.needs_cleaning(text) {
                while let Some(end) = next_boundary(text) {
                    parts.push(Part { text: &text[..end], first, last: false });
                    (text, first) = (&text[end..], false);
                }
            }
            parts.push(Part { text, first, last: true });
        }
        parts
    }
}

/// The first white space at or after [`PART`] bytes: no token spans white space.
fn next_boundary(text: &str) -> Option<usize> {
    let rest = text.as_bytes().get(PART..)?;
    rest.iter().position(|&byte| is_space(byte)).map(|at| PART + at)
}

/// Groups the parts into units of work: up to a chunk's number of texts, and about [`PART`] bytes.
fn shares<'p, 't>(parts: &'p [Part<'t>]) -> impl ExactSizeIterator<Item = &'p [Part<'t>]> + use<'p, 't> {
    let mut shares = Vec::with_capacity(parts.len() / CHUNK_TEXTS + 1);
    let (mut from, mut bytes) = (0, 0);
    for (i, part) in parts.iter().enumerate() {
        bytes += part.text.len();
        if bytes >= PART || i + 1 - from == CHUNK_TEXTS || i + 1 == parts.len() {
            shares.push(&parts[from..=i]);
            (from, bytes) = (i + 1, 0);
        }
    }
    shares.into_iter()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{AddedToken, Profile, Vocabulary};

    fn lengths(engine: &Engine, text: &str, divide: bool) -> Vec<usize> {
        let texts = ["a", text, "b"];
        let parts = engine.parts(&texts, divide);
        let of_text = &parts[1..parts.len() - 1];
        assert!(of_text.iter().map(|part| part.text).collect::<String>() == text);
        for (i, part) in of_text.iter().enumerate() {
            assert_eq!((part.first, part.last), (i == 0, i + 1 == of_text.len()));
            assert!(i == 0 || part.text.starts_with(' '));
        }
        of_text.iter().map(|part| part.text.len()).collect()
    }

    #[test]
    fn long_texts_are_divided_at_white_space() {
        let engine = Engine::clip(Profile::OpenClip);
        let text = "xyz ".repeat(PART);
        let divided = lengths(&engine, &text, true);
        assert!(
            divided.len() == 4 && divided[..3].iter().all(|length| (PART..PART + 4).contains(length)),
            "{divided:?}"
        );
        assert_eq!(lengths(&engine, &text, false).len(), 1);
        assert_eq!(lengths(&engine, &text[..PART], true), [PART]);
        assert_eq!(lengths(&engine, &"x".repeat(3 * PART), true), [3 * PART]);
        // What has to be cleaned, and what added tokens with white space may span, stays whole.
        assert_eq!(lengths(&engine, &format!("{text}\u{201c}"), true).len(), 1);
        let added = AddedToken {
            id: 50_000,
            content: "z x".to_owned(),
            special: false,
            normalized: false,
            lstrip: false,
            rstrip: false,
            single_word: false,
        };
        let spaced = Engine::new(Profile::Transformers, Vocabulary::clip(), vec![added], 49_406, 49_407).unwrap();
        assert_eq!(lengths(&spaced, &text, true).len(), 1);
    }

    #[test]
    fn shares_are_bounded_in_texts_and_bytes() {
        let sizes = |texts: &[&str]| -> Vec<usize> {
            let parts: Vec<Part> = texts.iter().map(|&text| Part { text, first: true, last: true }).collect();
            shares(&parts).map(<[Part]>::len).collect()
        };
        assert!(sizes(&[]).is_empty());
        assert_eq!(sizes(&["a"; 3]), [3]);
        assert_eq!(sizes(&vec!["a"; 2 * CHUNK_TEXTS]), [CHUNK_TEXTS; 2]);
        assert_eq!(sizes(&vec!["a"; 2 * CHUNK_TEXTS + 1]), [CHUNK_TEXTS, CHUNK_TEXTS, 1]);
        let (half, whole) = ("x".repeat(PART / 2), "x".repeat(PART));
        assert_eq!(sizes(&[&half, &half, &half, "a", &whole, &whole, "a"]), [2, 3, 1, 1]);
    }

    /// A text that is truncated is not divided.
    #[test]
    fn long_texts_are_truncated_as_one() {
        let engine = Engine::clip(Profile::Transformers);
        let mut ids: Vec<u32> = Vec::new();
        let offsets = engine.pack(&["a ".repeat(PART), "b".to_owned()], Some(9), true, 3, &mut ids).unwrap();
        assert_eq!(offsets, [0, 9, 12]);
    }
}
