//! The engine's errors, which the bindings turn into Python exceptions.

use std::fmt;

/// An error of the engine.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum Error {
    /// The vocabulary is inconsistent; the message says where.
    Vocabulary(String),
    /// An added token is not supported or given twice; the message says which.
    AddedToken(String),
    /// A text has more tokens than fit a row.
    TooLong {
        /// The index of the text.
        row: usize,
        /// The ids in a row.
        max_length: usize,
    },
    /// No token has this id.
    UnknownId(u32),
    /// An argument is out of range; the message names it.
    Argument(String),
}

impl fmt::Display for Error {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Vocabulary(message) | Self::AddedToken(message) | Self::Argument(message) => f.write_str(message),
            Self::TooLong { row, max_length } => {
                write!(f, "texts[{row}] has more than {max_length} tokens; shorten it or allow truncation")
            }
            Self::UnknownId(id) => write!(f, "id {id} has no token in this vocabulary"),
        }
    }
}

impl std::error::Error for Error {}
