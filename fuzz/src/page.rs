//! What must hold of every body: no panic, every row told of, and both paths agree on what both can read.

use std::sync::OnceLock;

use cio2parquet::columnar::{DecodedPage, PageContext, PageDecoder};
use cio2parquet::stream::Catalog;
use jiff::Timestamp;

/// The first byte chooses the stream, from `A` on, so that what was kept stays with its stream when others come after it; the rest is the
/// body.
pub fn check(data: &[u8]) {
    let Some((stream, body)) = data.split_first() else {
        return;
    };
    let decoders = decoders();
    let decoder = &decoders[usize::from(stream.wrapping_sub(b'A')) % decoders.len()];
    let context = context();
    let plain = decoder.decode(body, &context);
    let careful = decoder.decode_carefully(body, &context);
    for page in [&plain, &careful].into_iter().flatten() {
        complete(page);
    }
    if let (Ok(plain), Ok(careful)) = (plain, careful) {
        assert_eq!(plain.rows, careful.rows, "the paths differ in their rows");
        assert_eq!(
            plain.served, careful.served,
            "the paths differ in how many rows were served"
        );
        assert_eq!(plain.next, careful.next, "the paths differ in the cursor");
        let places = |page: &DecodedPage| page.rejected.iter().map(|row| row.pointer.clone()).collect::<Vec<_>>();
        assert_eq!(
            places(&plain),
            places(&careful),
            "the paths differ in what is set aside"
        );
        assert_eq!(plain.drift, careful.drift, "the paths differ in drift");
    }
}

/// Nothing is dropped silently.
fn complete(page: &DecodedPage) {
    assert_eq!(page.served, page.rows.num_rows() + page.rejected.len(), "a row is gone");
}

fn decoders() -> &'static [PageDecoder] {
    static DECODERS: OnceLock<Vec<PageDecoder>> = OnceLock::new();
    DECODERS.get_or_init(|| {
        let catalog = Catalog::load().unwrap();
        catalog.streams().iter().cloned().map(PageDecoder::new).collect()
    })
}

fn context() -> PageContext {
    PageContext {
        transactional_id: Some(7),
        requested_at: Timestamp::UNIX_EPOCH,
        period: Some("days".to_owned()),
        steps: Some(45),
    }
}
