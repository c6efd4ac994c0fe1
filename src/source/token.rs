//! The App API key, which cannot be printed.

use std::fmt;

use reqwest::RequestBuilder;
use secrecy::{ExposeSecret, SecretString};

use crate::error::{Error, Result};

/// An App API key. No `Display`, no serialization, and a `Debug` that says nothing.
#[derive(Clone)]
pub struct Token(SecretString);

impl Token {
    /// The key in `text`, without the white space that pasting leaves around it.
    ///
    /// # Errors
    /// Input, without a letter of `text`, when it is empty or holds what no key holds.
    pub fn new(text: impl AsRef<str>) -> Result<Self> {
        let text = text.as_ref().trim();
        if text.is_empty() {
            return Err(Error::input(
                "the App API key is empty; set CIO_TOKEN or --token-file to a key made in Customer.io under Settings, API credentials",
            ));
        }
        if !text.bytes().all(|byte| byte.is_ascii_graphic()) {
            return Err(Error::input(
                "the App API key holds white space, a control character or a letter outside ASCII; copy the bare key again into CIO_TOKEN or --token-file",
            ));
        }
        Ok(Self(SecretString::from(text)))
    }

    /// Puts the key into the `Authorization` header, marked sensitive: the only way in which it leaves.
    pub(super) fn sign(&self, request: RequestBuilder) -> RequestBuilder {
        request.bearer_auth(self.0.expose_secret())
    }

    /// `text` without the key, for words of a server that may repeat what it was sent.
    pub(super) fn redact(&self, text: &str) -> String {
        text.replace(self.0.expose_secret(), "***")
    }
}

impl fmt::Debug for Token {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Token(..)")
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn white_space_around_a_key_is_not_part_of_it() {
        let token = Token::new("  abc123\n").unwrap();
        let _ = rustls::crypto::ring::default_provider().install_default();
        let outgoing = reqwest::Client::new().get("http://localhost/");
        let request = token.sign(outgoing).build().unwrap();
        let header = &request.headers()["authorization"];
        assert_eq!(header.to_str().unwrap(), "Bearer abc123");
        assert!(header.is_sensitive());
    }

    #[test]
    fn what_is_no_key_is_refused_without_being_repeated() {
        for text in ["", " \n", "Bearer s3cret", "s3cret\u{7}x", "s3crét"] {
            let error = Token::new(text).unwrap_err();
            assert_eq!(error.kind().exit_code(), 2);
            assert!(!error.chain().contains("s3cr"), "{}", error.chain());
        }
    }

    #[test]
    fn debug_says_nothing() {
        assert_eq!(format!("{:?}", Token::new("s3cret").unwrap()), "Token(..)");
    }
}
