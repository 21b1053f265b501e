//! The engine: a vocabulary, a profile and added tokens.

use crate::added_tokens::{AddedToken, Finder, TokenStarts};
use crate::byte_set::ByteSet;
use crate::error::Error;
use crate::instructions::Instructions;
use crate::profile::Profile;
use crate::unicode;
use crate::vocabulary::{CLIP_START, Vocabulary};
use std::collections::HashMap;

/// An immutable tokenizer, which threads may share.
///
/// ```
/// use cliptok::{Engine, Profile, Vocabulary};
///
/// let engine = Engine::clip(Profile::Transformers);
/// assert_eq!(engine.encode("a photo of a cat"), [320, 1125, 539, 320, 2368]);
/// assert_eq!(engine.decode(&[320, 2368], false)?, "a</w>cat</w>");
/// # Ok::<(), cliptok::Error>(())
/// ```
#[derive(Debug)]
pub struct Engine {
    pub(crate) profile: Profile,
    pub(crate) vocabulary: Vocabulary,
    pub(crate) start: u32,
    pub(crate) end: u32,
    pub(crate) added: Added,
    /// The ids for the spellings of start and end of text that the split's pattern finds.
    pub(crate) pattern_specials: [u32; 2],
    /// The ASCII bytes that cleaning may change.
    pub(crate) suspects: ByteSet,
    pub(crate) instructions: Instructions,
}

/// The added tokens, with what finds them in texts and by id.
#[derive(Debug)]
pub(crate) struct Added {
    pub(crate) tokens: Vec<AddedToken>,
    pub(crate) by_id: HashMap<u32, usize>,
    /// The least of their ids, below which nothing needs to be looked up.
    pub(crate) least_id: u32,
    pub(crate) in_original: Option<Finder>,
    pub(crate) in_normalised: Option<Finder>,
    pub(crate) starts: TokenStarts,
    /// Whether white space is part of one, so that a text must not be divided there.
    pub(crate) any_has_space: bool,
}

impl Added {
    /// The added token with this id.
    fn get(&self, id: u32) -> Option<&AddedToken> {
        if id < self.least_id { None } else { self.by_id.get(&id).map(|&i| &self.tokens[i]) }
    }
}

impl Engine {
    /// The bundled CLIP vocabulary under a profile's rules, which finds spelled-out specials as the reference does.
    ///
    /// # Panics
    ///
    /// When the environment variable `CLIPTOK_INSTRUCTIONS` names instructions that this machine does not have.
    pub fn clip(profile: Profile) -> Self {
        let vocabulary = if profile == Profile::OpenClip { Vocabulary::open_clip() } else { Vocabulary::clip() };
        let (start, end) = (CLIP_START, CLIP_START + 1);
        let special = |id: u32, content: &str| AddedToken {
            id,
            content: content.to_owned(),
            special: true,
            normalized: false,
            lstrip: false,
            rstrip: false,
            single_word: false,
        };
        let [first, last] = profile.pattern_specials();
        let specials = vec![special(start, first), special(end, last)];
        let added = if profile.finds_added_tokens() { specials } else { Vec::new() };
        Self::new(profile, vocabulary, added, start, end).unwrap_or_else(|error| panic!("{error}"))
    }

    /// An engine from its parts. `start` and `end` are the ids put around every text.
    ///
    /// # Errors
    ///
    /// [`Error::Argument`] when the environment variable `CLIPTOK_INSTRUCTIONS` names instructions that this machine does
    /// not have. [`Error::AddedToken`] when two added tokens have one id or one spelling, or when the profile does not take
    /// them: `open_clip` and `openai` know no added tokens, and `transformers-slow` none that are a single word, for
    /// which its reference has rules of its own.
    pub fn new(
        profile: Profile,
        vocabulary: Vocabulary,
        added_tokens: Vec<AddedToken>,
        start: u32,
        end: u32,
    ) -> Result<Self, Error> {
        if !profile.finds_added_tokens() && !added_tokens.is_empty() {
            return Err(Error::AddedToken(
                "the profiles `open_clip` and `openai` know no added tokens; use `transformers`".to_owned(),
            ));
        }
        let mut by_id = HashMap::new();
        let mut contents = HashMap::new();
        for (i, token) in added_tokens.iter().enumerate() {
            if let Some(other) = by_id.insert(token.id, i) {
                let other = &added_tokens[other].content;
                let message = format!("added tokens {other:?} and {:?} have the same id {}", token.content, token.id);
                return Err(Error::AddedToken(message));
            }
            if token.single_word && profile == Profile::TransformersSlow {
                return Err(Error::AddedToken(format!(
                    "added token {:?}: `single_word` is not supported in the profile `transformers-slow`",
                    token.content
                )));
            }
            if contents.insert(&token.content, i).is_some() {
                return Err(Error::AddedToken(format!("added token {:?} is given twice", token.content)));
            }
        }
        let added = Added {
            in_original: Finder::new(&added_tokens, false, profile)?,
            in_normalised: Finder::new(&added_tokens, true, profile)?,
            starts: TokenStarts::new(&added_tokens, profile),
            any_has_space: added_tokens.iter().any(|token| token.content.contains(char::is_whitespace)),
            least_id: by_id.keys().copied().min().unwrap_or(u32::MAX),
            by_id,
            tokens: added_tokens,
        };
        let pattern_specials = match profile {
            Profile::OpenClip | Profile::OpenAi => [start, end],
            // Looked up by spelling; transformers gives its unknown token, the end of text, where there is none.
            // The names of the bundled vocabulary are not spelled out for this.
            _ if vocabulary.is_clip() => [start, end],
            _ => profile.pattern_specials().map(|special| vocabulary.id(special).unwrap_or(end)),
        };
        let (suspects, instructions) = (unicode::ascii_suspects(), Instructions::chosen()?);
        Ok(Self { profile, vocabulary, start, end, added, pattern_specials, suspects, instructions })
    }

    /// The same engine with the machine's `number`-th fastest set of instructions, the last of which is plain: for tests
    /// that compare them. `None` when the machine has no more.
    #[doc(hidden)]
    #[must_use]
    pub fn with_instructions(mut self, number: usize) -> Option<Self> {
        self.instructions = Instructions::available().nth(number)?;
        Some(self)
    }

    /// The vector instructions that it uses: the fastest that the machine has, or those that the environment variable
    /// `CLIPTOK_INSTRUCTIONS` names. See [`Engine::available_instructions`].
    pub fn instructions(&self) -> &'static str {
        self.instructions.name()
    }

    /// The names of the sets of vector instructions that this machine has, the fastest first: of `avx512`, `avx2`, `sse`,
    /// `neon` and, always, `plain`.
    pub fn available_instructions() -> Vec<&'static str> {
        Instructions::available().map(Instructions::name).collect()
    }

    /// The profile.
    pub fn profile(&self) -> Profile {
        self.profile
    }

    /// The vocabulary.
    pub fn vocabulary(&self) -> &Vocabulary {
        &self.vocabulary
    }

    /// The ids put before and after every text.
    pub fn start_and_end(&self) -> [u32; 2] {
        [self.start, self.end]
    }

    /// The largest id that encoding can produce.
    pub fn largest_id(&self) -> u32 {
        let added = self.added.tokens.iter().map(|token| token.id).max().unwrap_or(0);
        added.max(self.vocabulary.id_bound().saturating_sub(1)).max(self.start).max(self.end)
    }

    /// The token of an id, added tokens included.
    pub fn token(&self, id: u32) -> Option<&str> {
        match self.added.get(id) {
            Some(added) => Some(&added.content),
            None => self.vocabulary.token(id),
        }
    }

    /// The id of a token, added tokens included.
    pub fn id(&self, token: &str) -> Option<u32> {
        let added = self.added.tokens.iter().find(|added| added.content == token);
        added.map(|added| added.id).or_else(|| self.vocabulary.id(token))
    }

    /// Whether decoding without special tokens leaves the id out.
    pub(crate) fn is_special(&self, id: u32) -> bool {
        match self.added.get(id) {
            Some(added) => added.special,
            None => !self.profile.finds_added_tokens() && (id == self.start || id == self.end),
        }
    }
}
