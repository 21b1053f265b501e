//! From ids back to text.

use crate::alphabet::byte;
use crate::engine::Engine;
use crate::error::Error;
use crate::interrupt::poll;

impl Engine {
    /// The tokens of `ids`, joined and decoded from byte letters to text. `</w>` remains where words end, and bytes that
    /// are not UTF-8 become replacement characters.
    ///
    /// # Errors
    ///
    /// [`Error::UnknownId`] for an id that no token has.
    pub fn decode(&self, ids: &[u32], skip_special_tokens: bool) -> Result<String, Error> {
        const BYTES_PER_ID: usize = 8; // more than most words with `</w>` have
        let mut bytes = Vec::with_capacity(BYTES_PER_ID * ids.len());
        for &id in ids {
            poll();
            let token = self.token(id).ok_or(Error::UnknownId(id))?;
            if skip_special_tokens && self.is_special(id) {
                continue;
            }
            if token.is_ascii() {
                bytes.extend_from_slice(token.as_bytes()); // its own spelling, or no byte letters at all
                continue;
            }
            let before = bytes.len();
            for letter in token.chars() {
                if let Some(byte) = byte(letter) {
                    bytes.push(byte);
                } else {
                    // The token is not spelled in byte letters, as added tokens need not be: take it literally.
                    bytes.truncate(before);
                    bytes.extend_from_slice(token.as_bytes());
                    break;
                }
            }
        }
        Ok(String::from_utf8_lossy(&bytes).into_owned())
    }
}
