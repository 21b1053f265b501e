//! What can go wrong, in the engine's own terms. The bindings turn it into Python's.

use std::fmt;

/// An error of the engine.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum Error {
    /// A vocabulary that byte-pair encoding cannot use; the message says where.
    Vocabulary(String),
    /// An added token that cannot be; the message says which.
    AddedToken(String),
    /// A text has more tokens than fit a row.
    TooLong {
        /// Which text.
        row: usize,
        /// The most ids a row takes.
        max_length: usize,
    },
    /// An id that no token has.
    UnknownId(u32),
    /// An argument out of range; the message names it.
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
