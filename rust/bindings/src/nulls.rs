//! What becomes of missing texts.

/// How a batch treats None and Arrow's nulls.
#[derive(Clone, Copy)]
pub(crate) enum Nulls {
    /// Raise `TypeError`.
    Refuse,
    /// Encode an empty text.
    Empty,
}

impl Nulls {
    pub(crate) fn new(as_empty: bool) -> Self {
        if as_empty { Self::Empty } else { Self::Refuse }
    }
}
