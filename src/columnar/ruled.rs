//! Rules for columns, seen from the rows that come out: the tests of what several files of this room do together.

use super::testing::{context, key, row, ruled, show, stream};
use super::{DecodedPage, RowMemory, RunBuffer, SpillDir};

fn decode(exclude: &[&str], hash: &[&str], rows: &str) -> DecodedPage {
    let page = format!(r#"{{"rows":[{rows}],"next":"c"}}"#);
    ruled(exclude, hash).decode(page.as_bytes(), &context()).unwrap()
}

#[test]
fn a_hashed_text_is_the_hash_of_what_would_stand_there() {
    let rows = [
        row(r#""name":"caf\u00e9""#),
        row(r#""name":12.50"#),
        row(r#""name":null"#),
        row(r#""name":{"first":"a","n":[1,true,null]}"#),
    ];
    let page = decode(&[], &["name"], &rows.join(","));
    assert_eq!(show(&page.rows, "name", 0), key().of("café"));
    assert_eq!(show(&page.rows, "name", 1), key().of("12.50"));
    assert_eq!(show(&page.rows, "name", 2), "null");
    assert_eq!(show(&page.rows, "name", 3), "null");
    let misfit = format!(
        r#"{{"name":{{"first":"{}","n":["{}",true,null]}}}}"#,
        key().of("a"),
        key().of("1")
    );
    assert_eq!(show(&page.rows, "_extra", 3), misfit);
}

#[test]
fn a_rule_holds_under_every_name_and_for_what_contradicts() {
    let fields = r#""who":{"email":"a"},"person":{"email":"b","phone":"c"}"#;
    let page = decode(&[], &["who.email", "_extra.who.phone"], &row(fields));
    assert_eq!(show(&page.rows, "who", 0), format!("{{email:{}}}", key().of("b")));
    // Both remains would be called `who`: the struct's own are told under the name it came by.
    let extra = format!(
        r#"{{"who":{{"email":"{}"}},"person":{{"phone":"{}"}}}}"#,
        key().of("a"),
        key().of("c")
    );
    assert_eq!(show(&page.rows, "_extra", 0), extra);
}

#[test]
fn what_is_left_out_is_nowhere_and_no_drift() {
    let fields = r#""name":"a","who":{"email":"b","phone":"c"},"data":{"to":"d","by":[{"to":"e","n":1}]},"new":1,"old":{"x":1,"y":2}"#;
    let page = decode(
        &[
            "name",
            "who.email",
            "data.to",
            "data.by.to",
            "_extra.new",
            "_extra.old.x",
        ],
        &[],
        &row(fields),
    );
    assert!(page.rows.column_by_name("name").is_none() && page.rows.column_by_name("who").is_none());
    assert_eq!(show(&page.rows, "data", 0), r#"{"by":[{"n":1}]}"#);
    assert_eq!(show(&page.rows, "_extra", 0), r#"{"who":{"phone":"c"},"old":{"y":2}}"#);
    let paths: Vec<&str> = page.drift.iter().map(|drift| drift.path.as_str()).collect();
    assert_eq!(paths, ["old", "who"]);
}

#[test]
fn all_of_extra_can_be_hashed_or_left_out() {
    let fields = r#""count":"x","new":{"a":"b"},"metrics":{"z":7}"#;
    let page = decode(&[], &["_extra"], &row(fields));
    let extra = format!(
        r#"{{"count":"{}","new":{{"a":"{}"}},"metrics":{{"z":"{}"}}}}"#,
        key().of("x"),
        key().of("b"),
        key().of("7")
    );
    assert_eq!(show(&page.rows, "_extra", 0), extra);
    let page = decode(&["_extra"], &[], &row(fields));
    assert_eq!(show(&page.rows, "_extra", 0), "null");
    assert_eq!(page.drift.len(), 3);
}

#[test]
fn what_is_left_out_is_no_hash_either_when_all_of_extra_is_hashed() {
    let fields = r#""who":[{"email":"a","phone":"b"}],"old":{"x":"c","y":"d"}"#;
    let page = decode(&["who.email", "_extra.old.x"], &["_extra"], &row(fields));
    let extra = format!(
        r#"{{"who":[{{"phone":"{}"}}],"old":{{"y":"{}"}}}}"#,
        key().of("b"),
        key().of("d")
    );
    assert_eq!(show(&page.rows, "_extra", 0), extra);
}

#[test]
fn a_struct_of_which_all_is_left_out_is_no_drift() {
    let page = decode(
        &["who.email"],
        &[],
        &[row(r#""who":{"email":"a"}"#), row(r#""who":{}"#)].join(","),
    );
    assert_eq!(show(&page.rows, "_extra", 0), "null");
    assert_eq!(show(&page.rows, "_extra", 1), r#"{"who":{}}"#);
    assert_eq!(page.drift.len(), 1);
}

#[test]
fn a_text_in_the_place_of_what_a_rule_is_about_a_part_of_is_withheld() {
    let fields = r#""who":"a@example.com","data":"{\"email\":\"a@example.com\"}","new":["a@example.com",7,null,{"email":"b","n":1}]"#;
    let page = decode(&[], &["who.email", "data.email", "_extra.new.email"], &row(fields));
    assert_eq!(show(&page.rows, "data", 0), r#"{"withheld":true}"#);
    let extra = format!(
        r#"{{"who":{{"withheld":true}},"new":[{{"withheld":true}},{{"withheld":true}},null,{{"email":"{}","n":1}}]}}"#,
        key().of("b")
    );
    assert_eq!(show(&page.rows, "_extra", 0), extra);
}

#[test]
fn json_text_is_treated_inside() {
    let fields = r#""data":{"email":"a","deep":[{"email":{"old":"b","new":null}}],"n":1.50}"#;
    let page = decode(&[], &["data.email", "data.deep.email", "data.n"], &row(fields));
    let data = format!(
        r#"{{"email":"{}","deep":[{{"email":{{"old":"{}","new":null}}}}],"n":"{}"}}"#,
        key().of("a"),
        key().of("b"),
        key().of("1.50")
    );
    assert_eq!(show(&page.rows, "data", 0), data);
}

#[test]
fn a_row_that_is_set_aside_is_treated_too_or_withheld() {
    let page = decode(
        &["count"],
        &["name"],
        r#"{"at":1,"name":"a","count":2,"new":"b"},"a@example.com",{"at":1,"name":"c"}"#,
    );
    let kept: Vec<&str> = page.rejected.iter().map(|row| row.json.as_str()).collect();
    assert_eq!(kept[0], format!(r#"{{"at":1,"name":"{}","new":"b"}}"#, key().of("a")));
    assert_eq!(
        kept[1],
        format!(r#"{{"withheld":"{}"}}"#, key().of("\"a@example.com\""))
    );
    assert_eq!(kept[2], format!(r#"{{"at":1,"name":"{}"}}"#, key().of("c")));
    let broken = br#"{"rows":[{"name":"a@example.com","id":"\ud800x"}]}"#;
    let page = ruled(&[], &["name"]).decode_carefully(broken, &context()).unwrap();
    assert!(
        page.rejected[0].json.starts_with(r#"{"withheld":""#),
        "{:?}",
        page.rejected
    );
    assert!(!page.rejected[0].reason.contains('@'));
}

#[test]
fn what_goes_to_disk_for_a_while_is_treated_as_well() {
    let row = |id: usize| {
        format!(
            r#"{{"id":"r{id}","at":{id},"name":"p{id}@example.com","count":"p{id}@example.com","who":{{"email":["p{id}@example.com"]}}}}"#
        )
    };
    let rows = (0..50).map(row).collect::<Vec<_>>().join(",");
    let page = decode(&[], &["name", "who.email", "_extra"], &rows);
    let dir = tempfile::tempdir().unwrap();
    let folder = dir.path().join("spill");
    let memory = RowMemory::new(1, 0);
    let mut buffer = RunBuffer::new(stream(), &memory, SpillDir::new(&folder)).unwrap();
    for request in 0..3 {
        buffer.push(page.rows.clone(), request).unwrap();
    }
    let fetched = buffer.finish().unwrap();
    // What has no name is found where this process holds it open.
    let open = std::fs::read_dir("/proc/self/fd")
        .unwrap()
        .map(|file| file.unwrap().path());
    let spilled = open.filter(|file| std::fs::read_link(file).is_ok_and(|place| place.starts_with(&folder)));
    let text: String = spilled
        .map(|file| String::from_utf8_lossy(&std::fs::read(file).unwrap()).into_owned())
        .collect();
    assert!(text.contains(&key().of("p7@example.com")));
    assert!(!text.contains("@example"), "an address is on disk");
    assert_eq!(fetched.rows(), 50);
}
