//! CLIP's byte-pair tokenizer: exact to the reference implementations, and fast.
//!
//! [`Engine`] is a vocabulary under the rules of a [`Profile`]. A text goes through these steps:
//!
//! 1. It is lowercased and split into words 64 bytes at a time (`scan`), by the vector `instructions` that the machine
//!    has; characters beyond ASCII one by one, by tables generated from the references (`unicode`).
//! 2. Where an added token may begin, added tokens are matched first (`added_tokens`).
//! 3. Text that NFC may change, or that stands between added tokens, is normalised (`normalise`) and split by the
//!    pre-tokenizer (`split`).
//! 4. Each word is looked up in the merge cache that all threads share (`word_cache`, `long_word_cache`, whose entries are
//!    sequence locks: `seqlock`, `slot_array`). On a miss it is merged (`merge`, `merge_table`, `mergeable_pairs`, of which
//!    the compiler makes CLIP's: `clip_merges`). `bpe` is all of this step.
//! 5. Ids collect in a fixed buffer (`id_buffer`) in front of a `sink`: a `row`, a vector, or a count.
//!
//! A batch becomes rows (`batch`) chunk by chunk (`chunk`) on several threads (`threads`); short texts go through
//! the steps together (`group`), prefetched some texts ahead (`prefetch`), in thread-local buffers (`scratch`). Rows of
//! large batches are written with non-temporal stores (`nontemporal`). Or ids are packed without padding (`pack`), in
//! order by a `sequencer`.
//! `offsets` says which characters each id covers.
//!
//! Three of the profiles clean texts first, as ftfy and html do (`cleaning`): the engine proves of most texts that cleaning
//! cannot change them, and cleans the others.

mod added_tokens;
mod alphabet;
mod batch;
mod bpe;
mod byte_set;
mod chunk;
mod cleaning;
mod clip_merges;
mod decode;
mod encode;
mod engine;
mod error;
mod group;
mod id_buffer;
mod ids;
mod instructions;
mod interrupt;
mod long_word_cache;
mod merge;
mod merge_table;
mod mergeable_pairs;
mod nontemporal;
mod normalise;
mod offsets;
mod pack;
mod prefetch;
pub mod prefix_plan;
mod profile;
mod reserve;
mod row;
mod scan;
mod scratch;
mod seqlock;
mod sequencer;
mod sink;
mod slot_array;
mod split;
mod threads;
mod unicode;
mod vocabulary;
mod word_cache;
mod word_loop;
mod words;

pub use added_tokens::AddedToken;
pub use batch::{BatchReport, Rows, TextSource};
pub use cleaning::{clean, fix_text};
pub use engine::Engine;
pub use error::Error;
pub use ids::Id;
pub use interrupt::{Interrupt, Interrupted, interruptible};
pub use offsets::Offsets;
pub use pack::Target;
pub use prefetch::prefetch;
pub use profile::Profile;
pub use reserve::OutOfMemory;
pub use row::RowOptions;
pub use vocabulary::Vocabulary;
