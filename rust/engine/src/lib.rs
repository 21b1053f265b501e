//! CLIP's byte-pair tokenizer: exact to the reference implementations, and fast.
//!
//! [`Engine`] is one vocabulary under the rules of one [`Profile`]. A text goes through these steps:
//!
//! 1. added tokens are cut out (`added`), if the profile has any;
//! 2. the rest is normalised (`normalise`): NFC and lowercase, by tables that the references made (`unicode`);
//! 3. it is split into words by CLIP's pattern (`split`);
//! 4. each word is looked up in a cache shared by all threads (`cache`), or merged (`merge`), to ids (`bpe`);
//! 5. ids go straight to where they are wanted (`sink`): a row of a batch's buffer, a vector, a count (`batch`).
//!
//! The cleaning by ftfy and html that three of the profiles ask for is Python's work: the engine knows the texts that
//! it cannot change, and hands over the others ([`Engine::needs_cleaning`]).

mod added;
mod alphabet;
mod batch;
mod bpe;
mod cache;
mod decode;
mod encode;
mod engine;
mod error;
mod merge;
mod normalise;
mod pack;
mod pairs;
mod profile;
mod scan;
mod sink;
mod split;
mod stretch;
mod unicode;
mod vocabulary;

pub use added::AddedToken;
pub use batch::{Report, RowOptions, Rows, Texts};
pub use engine::Engine;
pub use error::Error;
pub use profile::Profile;
pub use sink::Id;
pub use vocabulary::Vocabulary;
