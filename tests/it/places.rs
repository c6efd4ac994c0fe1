//! Where things are put: a place that was misspelt, one that cannot be used.

use std::fs;

use crate::support::{Door, small};

#[test]
fn a_lake_that_is_misspelt_is_a_mistake() {
    let door = Door::open(small());
    let (file, typo) = (door.lake(), door.lake().with_file_name("typo"));
    fs::write(&file, "not a folder").unwrap();
    let refused = |command: &[&str], to: &str, part: &str| {
        let ran = door.run(&[command, &["--to", to]].concat());
        assert_eq!(ran.code, 2, "{command:?} {to}: {}", ran.stderr);
        assert!(ran.stderr.contains(to) && ran.stderr.contains(part), "{}", ran.stderr);
    };
    let reading: [&[&str]; 5] = [
        &["verify"],
        &["catalog"],
        &["sql", "duckdb"],
        &["rename", "a", "b"],
        &["plan"],
    ];
    for command in &reading[..4] {
        refused(command, typo.to_str().unwrap(), "there is no such place");
    }
    for command in reading.into_iter().chain([&["export"][..], &["check"]]) {
        refused(
            command,
            file.to_str().unwrap(),
            "a file stands where a folder is needed",
        );
    }
    for to in ["s3:/bucket/lake", "~/lake"] {
        refused(&["export"], to, "write ");
    }
    assert!(!typo.exists());
}

#[test]
fn a_folder_for_temporary_files_is_tried_before_anything_is_asked() {
    let door = Door::open(small());
    let file = door.lake().with_file_name("file");
    fs::write(&file, "not a folder").unwrap();
    for wrong in [file.to_str().unwrap(), "/sys/cio2parquet"] {
        let ran = door.export(&["customers", "--temp-dir", wrong]);
        assert_eq!(ran.code, 2, "{}", ran.stderr);
        let named = format!("--temp-dir {wrong}");
        assert!(
            ran.stderr.contains(&named) && ran.stderr.contains("can write into"),
            "{}",
            ran.stderr
        );
    }
    assert!(door.sandbox.requests().log.is_empty());
    let temp = door.lake().with_file_name("made/temp");
    door.export(&["customers", "--temp-dir", temp.to_str().unwrap()])
        .expect(0);
    assert_eq!(fs::read_dir(temp).unwrap().count(), 0);
}
