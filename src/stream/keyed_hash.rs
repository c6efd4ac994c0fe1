//! HMAC-SHA-256 of texts under one key: equal texts stay equal, in every table and on every day, and nobody without the key gets them back.

use std::fmt;

use hmac::{Hmac, KeyInit, Mac};
use sha2::Sha256;

use crate::error::{Error, Result};

/// What is hashed to tell two keys apart; `docs/format.md` names it.
const FINGERPRINTED: &str = "cio2parquet";

/// Digits of a fingerprint.
const FINGERPRINT: usize = 16;

/// A key, ready to hash with. It cannot be printed.
#[derive(Clone)]
pub struct KeyedHash(Hmac<Sha256>);

impl KeyedHash {
    /// Hashes under `key`, as its UTF-8 bytes.
    ///
    /// # Errors
    /// Input, when the key is empty.
    pub fn new(key: &str) -> Result<Self> {
        if key.is_empty() {
            return Err(Error::input("the key of the hash is empty"));
        }
        let mac = Hmac::new_from_slice(key.as_bytes());
        mac.map(Self)
            .map_err(|cause| Error::internal("the key of the hash cannot be used").caused_by(cause))
    }

    /// The hash of `text` in 64 lowercase hexadecimal digits.
    pub fn of(&self, text: &str) -> String {
        self.of_bytes(text.as_bytes())
    }

    /// The same of any bytes.
    pub fn of_bytes(&self, bytes: &[u8]) -> String {
        let hash = self.0.clone().chain_update(bytes).finalize().into_bytes();
        let mut digits = String::with_capacity(2 * hash.len());
        for byte in hash {
            for half in [byte >> 4, byte & 15] {
                digits.push(char::from_digit(u32::from(half), 16).unwrap_or_default());
            }
        }
        digits
    }

    /// Tells two keys apart without giving either away.
    pub fn fingerprint(&self) -> String {
        let mut digits = self.of(FINGERPRINTED);
        digits.truncate(FINGERPRINT);
        digits
    }
}

impl fmt::Debug for KeyedHash {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("KeyedHash")
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Test case 2 of RFC 4231, so that anybody can make the same hashes.
    #[test]
    fn hashes_are_those_of_the_standard() {
        let hash = KeyedHash::new("Jefe").unwrap();
        assert_eq!(
            hash.of("what do ya want for nothing?"),
            "5bdcc146bf60754e6a042426089575c75a003f089d2739839dec58b964ec3843"
        );
        assert_eq!(hash.fingerprint(), hash.of("cio2parquet")[..16]);
        assert_ne!(hash.fingerprint(), KeyedHash::new("jefe").unwrap().fingerprint());
        assert_eq!(format!("{hash:?}"), "KeyedHash");
        assert!(KeyedHash::new("").is_err());
    }
}
