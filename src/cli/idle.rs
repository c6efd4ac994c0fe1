//! Flags that change nothing for the streams they are given with.

use super::what::WhatArgs;
use crate::run::Job;
use crate::stream::Shape;

const WHOLE: &str = "all of each of these streams is read each time";
const NO_END: &str = "none of these streams can be asked for up to a time";

/// A sentence for each of them.
pub fn notices(args: &WhatArgs, jobs: &[Job]) -> Vec<String> {
    let is_asked_for = |name: &str| jobs.iter().any(|job| job.stream.stream == name);
    let tables = args
        .table
        .iter()
        .filter_map(|text| Some((text, text.split_once('=')?.0)));
    let tables = tables.filter(|(_, stream)| !is_asked_for(stream));
    let tables =
        tables.map(|(text, stream)| format!("--table {text} changes nothing: {stream} is not among these streams"));
    let flags = [
        ("--since", args.since.is_some(), begins as fn(Shape) -> bool, WHOLE),
        ("--until", args.until.is_some(), ends, NO_END),
        ("--lookback", args.lookback.is_some(), looks_back, WHOLE),
    ];
    let idle = flags.into_iter().filter(|(_, said, takes, _)| {
        let taken = jobs.iter().any(|job| takes(job.stream.sync));
        *said && !taken
    });
    let idle = idle.map(|(flag, _, _, why)| format!("{flag} changes nothing: {why}"));
    tables.chain(idle).collect()
}

fn begins(shape: Shape) -> bool {
    matches!(shape, Shape::Scan { .. } | Shape::Windows { .. })
}

/// What is read newest first begins with whatever is served.
fn ends(shape: Shape) -> bool {
    matches!(shape, Shape::Windows { .. })
}

fn looks_back(shape: Shape) -> bool {
    shape.lookback().is_some()
}
