//! How many requests a run costs.

use crate::support::{Door, small};

#[test]
fn an_unchanged_small_workspace_costs_few_requests() {
    let door = Door::open(small());
    door.export(&[]).expect(0);
    door.sandbox.reset_requests();
    door.export(&[]).expect(0);
    let requests = door.sandbox.requests();
    let messages = 6;
    // The list once for the rights of all who need it and once for its rows; elsewhere one request for the rights, then what there is to read:
    // details are two windows (30 days are cut at 31), activities a week of pages of a hundred.
    let listed = 2;
    let customers = 2;
    let activities = 1 + 4;
    let per_message = (1 + messages + 2) + (1 + 2 * (messages + 2));
    let most = listed + customers + activities + per_message;
    assert!(
        requests.total <= most,
        "{} requests, {:?}",
        requests.total,
        requests.by_endpoint
    );
}
