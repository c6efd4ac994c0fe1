//! The lists that other streams ask row by row, read once a run.

use std::sync::Arc;

use arrow::array::RecordBatch;
use arrow::array::cast::AsArray;
use arrow::datatypes::Int64Type;
use jiff::Timestamp;

use crate::columnar::{DecodedPage, PageContext, PageDecoder, PageError};
use crate::error::{Error, Result};
use crate::source::{FetchError, Meter, Request, Response, Source, Unreadable};
use crate::stream::{Catalog, Stream};

/// Each list that a stream of the run needs, or why it could not be read, by the list's name.
#[derive(Debug, Default)]
pub struct Lists(Vec<(String, Result<Listed>)>);

/// What a list holds now.
#[derive(Debug, Clone, Default)]
pub struct Listed {
    /// The ids of its rows.
    pub ids: Vec<i64>,
    /// Rows that did not give their id, so that nobody can be asked about them.
    pub unreadable: usize,
}

impl Lists {
    /// Reads every list that one of `streams` needs; `now` is the run's.
    ///
    /// # Errors
    /// Internal, when a stream names a list that does not exist; a list that cannot be read is an entry.
    pub async fn read(source: &Source, streams: impl Iterator<Item = &Arc<Stream>>, now: Timestamp) -> Result<Self> {
        let catalog = Catalog::load()?;
        let mut lists = Self::default();
        for stream in streams {
            let Some(each) = &stream.fetch.each else { continue };
            if lists.get(each).is_none() {
                let listed = read_list(source, &catalog.get(each)?, now).await;
                lists.0.push((each.clone(), listed));
            }
        }
        Ok(lists)
    }

    /// What became of the list called `name`; `None` when nobody needed it.
    pub fn get(&self, name: &str) -> Option<&Result<Listed>> {
        self.0.iter().find(|(known, _)| known == name).map(|(_, listed)| listed)
    }
}

async fn read_list(source: &Source, stream: &Arc<Stream>, now: Timestamp) -> Result<Listed> {
    let decoder = PageDecoder::new(Arc::clone(stream));
    let context = PageContext {
        transactional_id: None,
        requested_at: now,
        period: None,
        steps: None,
    };
    let read = |response: Response| {
        let page = decoder.decode(&response.body, &context);
        let page = page.map(|page| (page.clone(), page.next)).map_err(unreadable);
        async move { page }
    };
    let mut pages = source.pages(Request::of(stream, None), Meter::default());
    let mut listed = Listed::default();
    loop {
        match pages.next(read).await {
            Ok(Some(page)) => listed.add(&page, stream),
            Ok(None) => return Ok(listed),
            // One poisoned row must not hide the others.
            Err(FetchError::Content { body, request, .. }) => {
                let page = decoder.decode_carefully(&body, &context);
                let page = page.map_err(|e| Error::api(format!("cannot read what {request} answered")).caused_by(e))?;
                listed.add(&page, stream);
                pages.skip_to(page.next);
            }
            Err(error) => return Err(error.into()),
        }
    }
}

impl Listed {
    fn add(&mut self, page: &DecodedPage, stream: &Stream) {
        self.ids.extend(keys(&page.rows, stream));
        self.unreadable += page.rejected.len();
    }

    /// A sentence about the rows that did not give their id.
    pub fn gap(&self, list: &str) -> Option<String> {
        let count = self.unreadable;
        (count > 0).then(|| {
            format!("{count} rows in the list {list} cannot be read; nothing is asked about those that were never read before")
        })
    }
}

fn keys(rows: &RecordBatch, stream: &Stream) -> Vec<i64> {
    let column = rows.column_by_name(&stream.key);
    let ids = column.and_then(|column| column.as_primitive_opt::<Int64Type>());
    ids.into_iter().flat_map(|ids| ids.iter().flatten()).collect()
}

/// What a body that is no page leads to.
pub fn unreadable(error: PageError) -> Unreadable {
    match error {
        PageError::NotJson(reason) => Unreadable::NotJson(reason),
        PageError::Rows(reason) => Unreadable::Content(reason),
        PageError::MissingRows(reason) => Unreadable::Envelope(reason),
    }
}
