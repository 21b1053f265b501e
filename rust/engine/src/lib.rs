//! CLIP's byte-pair tokenizer: exact to the reference implementations, and fast.
//!
//! [`Engine`] is one vocabulary under the rules of one [`Profile`]. A text goes through these steps:
//!
//! 1. plain ASCII is put in lower case and split into words 64 bytes at a time (`scan`), other text character by
//!    character (`stretch`), by tables that the references made (`unicode`);
//! 2. where an added token may begin, added tokens are cut out first (`added`);
//! 3. what NFC would change, or stands between added tokens, is normalised (`normalise`) and split (`split`);
//! 4. each word is looked up in caches shared by all threads (`cache`, `long_cache`), or merged (`merge`, `crossings`), to
//!    ids (`bpe`);
//! 5. ids go straight to where they are wanted (`sink`): a row (`row`), a vector, a count.
//!
//! Batches become rows (`batch`) on several threads (`threads`), piece by piece (`piece`); short plain texts go through
//! the steps side by side (`group`). Or their ids are joined without padding (`pack`, `turns`).
//!
//! The cleaning by ftfy and html that three of the profiles ask for is Python's work: the engine knows the texts that
//! it cannot change, and hands over the others ([`Engine::needs_cleaning`]).

mod added;
mod alphabet;
mod batch;
mod bpe;
mod cache;
mod cleaning;
mod crossings;
mod decode;
mod encode;
mod engine;
mod entry;
mod error;
mod group;
mod long_cache;
mod merge;
mod normalise;
mod pack;
mod pairs;
mod piece;
mod profile;
mod row;
mod scan;
mod sink;
mod spare;
mod split;
mod stream;
mod stretch;
mod table;
mod threads;
mod turns;
mod unicode;
mod vocabulary;

pub use added::AddedToken;
pub use batch::{Feed, Report, RowOptions, Rows};
pub use cleaning::{clean, fix_text};
pub use engine::Engine;
pub use error::Error;
pub use pack::Target;
pub use profile::Profile;
pub use sink::Id;
pub use vocabulary::Vocabulary;
