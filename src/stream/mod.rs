//! What can be exported, as data: every stream is one JSON file in `schemas/`, embedded in the binary.
//!
//! A [`Stream`] holds its endpoint, paging, key, partition, sync behaviour and columns; the rest of the house reads them and
//! knows no stream by name. [`Window`] is a half-open interval of time.

mod catalog;
mod column;
mod definition;
mod keyed_hash;
mod path;
mod rules;
mod schema;
mod treatment;
mod window;

pub use catalog::Catalog;
pub use column::{Column, ColumnType, Context, Encoding};
pub use definition::{Fetch, Method, Paging, Partition, Shape, Stream};
pub use keyed_hash::KeyedHash;
pub use rules::ColumnRules;
pub use schema::arrow_schema;
pub use treatment::Treatment;
pub use window::{Window, day_of, days, floor_day, next_day, whole_day};
