//! The config file: what a nightly export says every night. The key itself is never in it.
//!
//! ```text
//! find -> read -> shape (keys and types, held against the schema) -> values (what a text means) -> Config
//! ```
//!
//! The types of `file` are the only description of the file: the schema is made from them, and what an editor underlines is what
//! is refused here. Mistakes are told all at once, each with its line and column, and never with the text that stands there.

mod check;
mod elsewhere;
mod explain;
mod file;
mod find;
mod init;
mod mistake;
mod read;
mod schema;
mod secret;
mod shape;
mod text;
mod told;
mod values;
mod verb;

pub use file::{ColumnsConfig, Config, StreamConfig};
pub use find::ConfigArgs;
pub use verb::{ConfigVerb, run};
