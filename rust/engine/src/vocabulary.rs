//! Tokens, their ids and their merges: the bundled CLIP vocabulary or one from files.

use crate::alphabet::{BYTES_IN_ID_ORDER, END_OF_WORD, letter};
use crate::bpe::Bpe;
use crate::clip_merges::{clip_bpe, clip_merges};
use crate::error::Error;
use crate::merge_table::Merge;
use std::collections::HashMap;
use std::sync::{Arc, OnceLock};

/// The id of CLIP's start of text; that of the end of text follows.
pub(crate) const CLIP_START: u32 = 49406;

/// A byte-pair vocabulary. Cheap to clone: clones share the merges and the cache.
#[derive(Clone, Debug)]
pub struct Vocabulary {
    pub(crate) bpe: Arc<Bpe>,
    size: usize,
    source: Arc<Source>,
    names: Arc<OnceLock<Names>>,
    lengths: Arc<OnceLock<Vec<u8>>>,
}

#[derive(Debug)]
enum Source {
    /// The bundled merges, and the names of start and end of text.
    Clip { start: &'static str, end: &'static str },
    /// The merges as given; the names of tokens are known from the beginning.
    Files { merges: Vec<(String, String)> },
}

#[derive(Debug, Default)]
struct Names {
    by_id: Vec<Option<Arc<str>>>,
    ids: HashMap<Arc<str>, u32>,
}

impl Vocabulary {
    /// CLIP's own vocabulary of 49,408 tokens, with OpenAI's names of the start and the end of text.
    pub fn clip() -> Self {
        static CLIP: OnceLock<Vocabulary> = OnceLock::new();
        CLIP.get_or_init(|| Self {
            bpe: Arc::new(clip_bpe()),
            size: CLIP_START as usize + 2,
            source: Arc::new(Source::Clip { start: "<|startoftext|>", end: "<|endoftext|>" }),
            names: Arc::default(),
            lengths: Arc::default(),
        })
        .clone()
    }

    /// The same vocabulary and cache as [`Vocabulary::clip`], with `open_clip`'s names of the start and the end.
    pub fn open_clip() -> Self {
        static OPEN_CLIP: OnceLock<Vocabulary> = OnceLock::new();
        OPEN_CLIP
            .get_or_init(|| Self {
                source: Arc::new(Source::Clip { start: "<start_of_text>", end: "<end_of_text>" }),
                names: Arc::default(),
                ..Self::clip()
            })
            .clone()
    }

    /// A vocabulary from tokens with their ids and merges in rank order. `unknown` stands in for bytes without a token.
    ///
    /// # Errors
    ///
    /// [`Error::Vocabulary`] when an id is over 65,534 or is used twice, a merge's tokens or its result are no
    /// tokens, there are more than 65,535 merges, or a byte has no token and there is no `unknown`.
    pub fn new(
        tokens: impl IntoIterator<Item = (String, u32)>,
        merges: Vec<(String, String)>,
        unknown: Option<&str>,
    ) -> Result<Self, Error> {
        let mut names = Names::default();
        for (token, id) in tokens {
            if id >= u32::from(u16::MAX) {
                return Err(Error::Vocabulary(format!("token {token:?} has id {id}; ids go up to 65534")));
            }
            if names.by_id.len() <= id as usize {
                names.by_id.resize(id as usize + 1, None);
            }
            let name: Arc<str> = token.into();
            if let Some(other) = names.by_id[id as usize].replace(Arc::clone(&name)) {
                return Err(Error::Vocabulary(format!("tokens {other:?} and {name:?} have the same id {id}")));
            }
            if names.ids.insert(Arc::clone(&name), id).is_some() {
                return Err(Error::Vocabulary(format!("token {name:?} stands in the vocabulary twice")));
            }
        }
        if merges.len() > usize::from(u16::MAX) {
            return Err(Error::Vocabulary(format!("{} merges; at most 65535 are supported", merges.len())));
        }
        let id = |token: &str| names.ids.get(token).map(|&id| id as u16);
        let unknown =
            match unknown {
                Some(token) => Some(id(token).ok_or_else(|| {
                    Error::Vocabulary(format!("the unknown token {token:?} is not in the vocabulary"))
                })?),
                None => None,
            };
        let symbol = |token: String| {
            id(&token).or(unknown).ok_or_else(|| {
                Error::Vocabulary(format!("byte token {token:?} is missing, and there is no unknown token"))
            })
        };
        let (mut first, mut last) = ([0; 256], [0; 256]);
        for byte in 0..=255u8 {
            first[usize::from(byte)] = symbol(letter(byte).to_string())?;
            last[usize::from(byte)] = symbol(format!("{}{END_OF_WORD}", letter(byte)))?;
        }
        let mut pairs = Vec::with_capacity(merges.len());
        for (rank, (left, right)) in merges.iter().enumerate() {
            let known = |token: &str| {
                id(token).ok_or_else(|| {
                    Error::Vocabulary(format!("merge {rank} ({left:?}, {right:?}) needs {token:?}, which is no token"))
                })
            };
            let merge = Merge { rank: rank as u16, id: known(&format!("{left}{right}"))? };
            pairs.push((known(left)?, known(right)?, merge));
        }
        Ok(Self {
            bpe: Arc::new(Bpe::new(&[first, last], &pairs)),
            size: names.ids.len(),
            source: Arc::new(Source::Files { merges }),
            names: Arc::new(names.into()),
            lengths: Arc::default(),
        })
    }

    /// How many tokens there are.
    pub fn len(&self) -> usize {
        self.size
    }

    /// Whether there are none.
    pub fn is_empty(&self) -> bool {
        self.size == 0
    }

    /// Whether this is the bundled vocabulary.
    pub fn is_clip(&self) -> bool {
        matches!(*self.source, Source::Clip { .. })
    }

    /// One more than the largest id.
    pub fn id_bound(&self) -> u32 {
        match &*self.source {
            Source::Clip { .. } => self.size as u32,
            Source::Files { .. } => self.names().by_id.len() as u32,
        }
    }

    /// The token of an id.
    pub fn token(&self, id: u32) -> Option<&str> {
        self.names().by_id.get(id as usize)?.as_deref()
    }

    /// The bytes of text that each token of the bundled vocabulary stands for. `None` for others, in which several bytes
    /// may share the unknown token.
    pub(crate) fn token_lengths(&self) -> Option<&[u8]> {
        let length = |(token, _): (&str, u32)| token.strip_suffix(END_OF_WORD).unwrap_or(token).chars().count() as u8;
        self.is_clip().then(|| &self.lengths.get_or_init(|| self.tokens().map(length).collect())[..])
    }

    /// The id of a token.
    pub fn id(&self, token: &str) -> Option<u32> {
        self.names().ids.get(token).copied()
    }

    /// All tokens with their ids, in id order.
    pub fn tokens(&self) -> impl Iterator<Item = (&str, u32)> {
        let by_id = self.names().by_id.iter().enumerate();
        by_id.filter_map(|(id, token)| Some((token.as_deref()?, id as u32)))
    }

    /// The merges in rank order.
    pub fn merges(&self) -> Vec<(String, String)> {
        let name = |id: u16| self.token(id.into()).unwrap_or_default().to_owned();
        match &*self.source {
            Source::Clip { .. } => clip_merges().map(|(left, right)| (name(left), name(right))).collect(),
            Source::Files { merges } => merges.clone(),
        }
    }

    /// CLIP's token names are made on first use: encoding does not need them.
    fn names(&self) -> &Names {
        self.names.get_or_init(|| {
            let Source::Clip { start, end } = *self.source else {
                return Names::default();
            };
            let letters = BYTES_IN_ID_ORDER.map(letter);
            let mut by_id: Vec<String> = letters.iter().map(char::to_string).collect();
            by_id.extend(letters.iter().map(|letter| format!("{letter}{END_OF_WORD}")));
            for (left, right) in clip_merges() {
                by_id.push([by_id[usize::from(left)].as_str(), &by_id[usize::from(right)]].concat());
            }
            by_id.extend([start.to_owned(), end.to_owned()]);
            let by_id: Vec<Option<Arc<str>>> = by_id.into_iter().map(|token| Some(token.into())).collect();
            let ids = by_id.iter().flatten().enumerate().map(|(id, token)| (Arc::clone(token), id as u32)).collect();
            Names { by_id, ids }
        })
    }
}
