//! Customer.io over HTTP, and nothing else: who is asked, how often, and what is done when the answer is no answer.
//!
//! A [`Source`] is one workspace: its key, its host and the one [`RateLimiter`] that every request passes. A [`Request`]
//! names what is asked; [`Source::fetch`] asks until a complete body came that the caller's `read` accepts, and
//! [`Source::pages`] walks a chain of cursors with it. What a body means is the caller's business: this room knows JSON
//! only well enough to find the server's own words in a refusal.
//!
//! What always holds:
//! 1. Every attempt is paid for at the limiter, a retry as much as a first try.
//! 2. An answer is retried as long as it may become a better one: bounded by time where the network or the server is at
//!    fault, by three tries where a complete body is.
//! 3. The key leaves [`Token`] in one header, towards one host; a redirect is never followed.
//! 4. Dropping a future cancels it; a [`Pages`] whose `next` was dropped is still at the same page.

mod base;
mod body;
mod call;
mod client;
mod error;
mod exchange;
mod limiter;
mod locate;
mod meter;
mod pages;
mod request;
mod response;
mod retry;
#[cfg(test)]
mod test_server;
mod token;

pub use base::{Base, Region, parse_api_url};
pub use client::{Source, SourceSettings};
pub use error::FetchError;
pub use limiter::RateLimiter;
pub use meter::Meter;
pub use pages::Pages;
pub use request::Request;
pub use response::{Response, Unreadable};
pub use token::Token;
