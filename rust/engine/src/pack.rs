//! The ids of many texts one after the other, without padding. A long text is shared among the threads too.

use crate::batch::CHUNK;
use crate::encode::Scratch;
use crate::engine::Engine;
use crate::error::Error;
use crate::scan::is_space;
use crate::sink::Id;
use crate::threads::in_threads;

/// Longer texts are cut at white space into parts of about this many bytes.
const PART: usize = 1 << 18;
/// Fewer bytes than an id covers in most texts: what to make room for.
const BYTES_PER_ID: usize = 4;

/// A text or a part of one, and whether start and end of text belong to it.
struct Part<'t> {
    text: &'t str,
    first: bool,
    last: bool,
}

/// What a thread has made of some parts: their ids, and where each part's end. A part to be cleaned has none yet.
struct Piece<T> {
    from: usize,
    ids: Vec<T>,
    ends: Vec<Option<usize>>,
}

impl Engine {
    /// All ids, to be joined by [`Packed::copy_into`]. `clean` is called for the texts that need cleaning, from this
    /// thread.
    ///
    /// # Errors
    ///
    /// [`Error::Argument`], as a value of `E`, when `max_length` cannot hold the special tokens or the ids' type the
    /// largest id; and whatever `clean` fails with.
    pub fn pack<T: Id, S: AsRef<str>, E: From<Error>>(
        &self,
        texts: &[S],
        max_length: Option<usize>,
        add_special_tokens: bool,
        threads: usize,
        mut clean: impl FnMut(&str) -> Result<String, E>,
    ) -> Result<Packed<T>, E> {
        self.check_ids::<T>(0)?;
        if add_special_tokens && max_length.is_some_and(|max| max < 2) {
            let message = format!("max_length is {}; start and end of text alone take 2", max_length.unwrap_or(0));
            return Err(Error::Argument(message).into());
        }
        let parts = self.parts(texts, max_length.is_none() && threads > 1);
        let open = |part: &Part<'_>, ids: &mut Vec<T>| {
            if add_special_tokens && part.first {
                ids.push(T::from_id(self.start));
            }
        };
        let close = |part: &Part<'_>, ids: &mut Vec<T>, from: usize| {
            if let Some(max) = max_length {
                ids.truncate(from + max - usize::from(add_special_tokens));
            }
            if add_special_tokens && part.last {
                ids.push(T::from_id(self.end));
            }
        };
        let mut pieces =
            in_threads(shares(&parts), threads, |(from, parts): (usize, &[Part<'_>]), scratch: &mut Scratch| {
                let bytes: usize = parts.iter().map(|part| part.text.len()).sum();
                let ids = Vec::with_capacity(bytes / BYTES_PER_ID + 2 * parts.len());
                let mut piece = Piece { from, ids, ends: Vec::with_capacity(parts.len()) };
                for part in parts {
                    let begin = piece.ids.len();
                    open(part, &mut piece.ids);
                    if self.encode_into(part.text, &mut piece.ids, scratch).is_ok() {
                        close(part, &mut piece.ids, begin);
                        piece.ends.push(Some(piece.ids.len()));
                    } else {
                        piece.ids.truncate(begin);
                        piece.ends.push(None);
                    }
                }
                piece
            });
        pieces.sort_unstable_by_key(|piece| piece.from);
        for piece in pieces.iter_mut().filter(|piece| piece.ends.contains(&None)) {
            let (ids, mut taken) = (std::mem::take(&mut piece.ids), 0);
            for (part, end) in parts[piece.from..].iter().zip(&mut piece.ends) {
                let begin = piece.ids.len();
                if let Some(end) = *end {
                    piece.ids.extend_from_slice(&ids[taken..end]);
                    taken = end;
                } else {
                    open(part, &mut piece.ids);
                    self.encode_cleaning(part.text, &mut clean, &mut piece.ids)?;
                    close(part, &mut piece.ids, begin);
                }
                *end = Some(piece.ids.len());
            }
        }
        let offsets = offsets(&pieces, &parts);
        Ok(Packed { pieces: pieces.into_iter().map(|piece| piece.ids).collect(), offsets, threads })
    }

    /// The texts, each in one part, or in several where it is long and may be cut.
    fn parts<'t, S: AsRef<str>>(&self, texts: &'t [S], cut: bool) -> Vec<Part<'t>> {
        let cut = cut && !self.added.any_has_space;
        let mut parts = Vec::with_capacity(texts.len());
        for text in texts {
            let mut text = text.as_ref();
            let mut first = true;
            if cut && text.len() > PART && !self.needs_cleaning(text) {
                while let Some(end) = next_cut(text) {
                    parts.push(Part { text: &text[..end], first, last: false });
                    (text, first) = (&text[end..], false);
                }
            }
            parts.push(Part { text, first, last: true });
        }
        parts
    }
}

/// The first white space at or after [`PART`] bytes: nothing is ever joined across it.
fn next_cut(text: &str) -> Option<usize> {
    let rest = text.as_bytes().get(PART..)?;
    rest.iter().position(|&byte| is_space(byte)).map(|at| PART + at)
}

/// Parts to hand out at once: as many as are worth a thread's while, and no more bytes than a long part has.
fn shares<'p, 't>(parts: &'p [Part<'t>]) -> impl ExactSizeIterator<Item = (usize, &'p [Part<'t>])> + use<'p, 't> {
    let mut shares = Vec::with_capacity(parts.len() / CHUNK + 1);
    let (mut from, mut bytes) = (0, 0);
    for (i, part) in parts.iter().enumerate() {
        bytes += part.text.len();
        if bytes >= PART || i + 1 - from == CHUNK || i + 1 == parts.len() {
            shares.push((from, &parts[from..=i]));
            (from, bytes) = (i + 1, 0);
        }
    }
    shares.into_iter()
}

/// The ids of many texts, without padding.
#[derive(Debug)]
pub struct Packed<T> {
    pieces: Vec<Vec<T>>,
    offsets: Vec<usize>,
    threads: usize,
}

impl<T: Id> Packed<T> {
    /// Of n texts, the n + 1 places in the joined ids between which each one's are.
    pub fn offsets(&self) -> &[usize] {
        &self.offsets
    }

    /// How many ids there are.
    pub fn len(&self) -> usize {
        self.pieces.iter().map(Vec::len).sum()
    }

    /// Whether there are none.
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// Joins the ids in `target`, on as many threads as made them, which share its page faults so.
    ///
    /// # Panics
    ///
    /// When `target` has not [`Packed::len`] places.
    pub fn copy_into(&self, target: &mut [T]) {
        assert_eq!(target.len(), self.len(), "places for another number of ids");
        let mut rest = target;
        let targets: Vec<_> = self
            .pieces
            .iter()
            .map(|piece| {
                let (target, behind) = std::mem::take(&mut rest).split_at_mut(piece.len());
                rest = behind;
                (target, piece)
            })
            .collect();
        in_threads(targets.into_iter(), self.threads, |(target, piece), (): &mut ()| target.copy_from_slice(piece));
    }

    /// The ids joined in a vector.
    pub fn to_vec(&self) -> Vec<T> {
        let mut ids = vec![T::from_id(0); self.len()];
        self.copy_into(&mut ids);
        ids
    }
}

fn offsets<T>(pieces: &[Piece<T>], parts: &[Part<'_>]) -> Vec<usize> {
    let mut offsets = vec![0];
    let mut before = 0;
    for piece in pieces {
        for (part, end) in parts[piece.from..].iter().zip(piece.ends.iter().flatten()) {
            if part.last {
                offsets.push(before + end);
            }
        }
        before += piece.ids.len();
    }
    offsets
}
