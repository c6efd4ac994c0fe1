//! How many requests a run costs.

use cio2parquet::sandbox::Endpoint;

use crate::support::{Door, small};

#[test]
fn an_unchanged_small_workspace_costs_few_requests() {
    let door = Door::open(small());
    door.export(&[]).expect(0);
    door.sandbox.reset_requests();
    door.export(&[]).expect(0);
    let requests = door.sandbox.requests();
    // The list once for the rights of all who need it and once for its rows; elsewhere one request for the rights, then what there is to
    // read: the lookback of six messages is a window each, that of the activities is three pages of a hundred.
    let most = [
        (Endpoint::Activities, 1 + 3),
        (Endpoint::Customers, 1 + 1),
        (Endpoint::Transactional, 1 + 1),
        (Endpoint::Metrics, 1 + 6),
        (Endpoint::Details, 1 + 6),
    ];
    for (endpoint, most) in most {
        assert_eq!(requests.by_endpoint[&endpoint], most, "{endpoint:?}");
    }
    assert_eq!(requests.total, most.iter().map(|(_, most)| most).sum::<u64>());
}
