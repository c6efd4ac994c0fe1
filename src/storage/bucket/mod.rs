//! What only a bucket needs: the three providers, whose keys open them, and how they are spoken to.

pub(super) mod answer;
pub(super) mod azure;
pub(super) mod client;
mod connect;
mod credentials;
pub(super) mod gcs;
mod process;
mod profile;
pub(super) mod s3;
mod s3_keys;
pub(super) mod unfinished;
