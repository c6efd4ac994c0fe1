//! What must hold of every stored version: no panic, and what is read is written and read again the same.

use cio2parquet::manifest::Version;

/// The data are the bytes of a version's object.
pub fn check(data: &[u8]) {
    let Ok(version) = Version::parse("it", data) else {
        return;
    };
    let written = version.encode().unwrap();
    let again = Version::parse("it", &written).unwrap();
    assert_eq!(again, version, "a version changed on its way through the store");
    assert_eq!(
        again.encode().unwrap(),
        written,
        "the same state was written in two ways"
    );
}
