//! The profiles: one for each reference tokenizer, and where their rules differ.

use crate::unicode::{ONIG, REGEX, Table};

/// Which reference's ids the engine reproduces.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Profile {
    /// transformers 5's `CLIPTokenizer`: NFC, white space, lowercase per code point; added tokens as written.
    Transformers,
    /// transformers 4's `CLIPTokenizer` with ftfy; added tokens as written.
    TransformersSlow,
    /// `open_clip`'s `SimpleTokenizer`: ftfy, html; `<start_of_text>` and `<end_of_text>` in any case.
    OpenClip,
    /// OpenAI's `clip.tokenize`: the same with OpenAI's names of the two.
    OpenAi,
}

impl Profile {
    /// All profiles, with their names.
    pub const NAMES: [(&'static str, Self); 4] = [
        ("transformers", Self::Transformers),
        ("transformers-slow", Self::TransformersSlow),
        ("open_clip", Self::OpenClip),
        ("openai", Self::OpenAi),
    ];

    /// The profile of a name.
    ///
    /// ```
    /// use cliptok::Profile;
    /// assert_eq!(Profile::from_name("open_clip"), Some(Profile::OpenClip));
    /// assert_eq!(Profile::from_name("spacy"), None);
    /// ```
    pub fn from_name(name: &str) -> Option<Self> {
        Self::NAMES.iter().find(|(n, _)| *n == name).map(|&(_, profile)| profile)
    }

    pub(crate) fn table(self) -> &'static Table {
        match self {
            Self::Transformers => &ONIG,
            _ => &REGEX,
        }
    }

    /// Whether texts go through ftfy and Python's `str.lower` first, if these could change them.
    pub fn cleans(self) -> bool {
        self != Self::Transformers
    }

    /// Whether added tokens are matched in the original text, before everything else.
    pub(crate) fn finds_added_tokens(self) -> bool {
        matches!(self, Self::Transformers | Self::TransformersSlow)
    }

    /// Start and end of text as they are spelled in the split's pattern.
    pub(crate) fn pattern_specials(self) -> [&'static str; 2] {
        match self {
            Self::OpenClip => ["<start_of_text>", "<end_of_text>"],
            _ => ["<|startoftext|>", "<|endoftext|>"],
        }
    }
}
