//! Keys of the file under which somebody might keep a secret, and where that belongs instead.

/// What a key has in it under which a secret is kept. No key of the file has one of these.
const SIGNS: [&str; 8] = [
    "token",
    "key",
    "secret",
    "passw",
    "pwd",
    "credential",
    "signature",
    "salt",
];

/// What the names of the stores' own keys have in them.
const STORES: [&str; 8] = ["aws", "azure", "google", "gcs", "access", "account", "session", "sas"];

/// The remedy, when `key` in the section `path` looks like the name of a secret.
pub fn remedy(path: &str, key: &str) -> Option<&'static str> {
    let key = key.to_lowercase();
    let has = |signs: &[&str]| signs.iter().any(|sign| key.contains(sign));
    let signature = path == "storage" && has(&["sas"]);
    if !(signature || has(&SIGNS)) {
        return None;
    }
    Some(if has(&["hash", "salt"]) {
        "the key for hashing is never in this file: set CIO_HASH_KEY"
    } else if path == "storage" || has(&STORES) {
        "the keys of a store are never in this file: set the store's own variables, such as AWS_ACCESS_KEY_ID"
    } else {
        "a key is never in this file: set CIO_TOKEN, or name a file that holds it with --token-file"
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_secret_is_sent_where_it_belongs() {
        for (path, key, place) in [
            ("", "token", "CIO_TOKEN"),
            ("", "key", "CIO_TOKEN"),
            ("", "api_key", "CIO_TOKEN"),
            ("", "apiKey", "CIO_TOKEN"),
            ("", "CIO_TOKEN", "CIO_TOKEN"),
            ("", "secret", "CIO_TOKEN"),
            ("", "password", "CIO_TOKEN"),
            ("", "token_file", "--token-file"),
            ("", "access_key_id", "AWS_ACCESS_KEY_ID"),
            ("", "AWS_SECRET_ACCESS_KEY", "AWS_ACCESS_KEY_ID"),
            ("storage", "secret", "AWS_ACCESS_KEY_ID"),
            ("storage", "sas", "AWS_ACCESS_KEY_ID"),
            ("storage", "credentials", "AWS_ACCESS_KEY_ID"),
            ("", "hash_key", "CIO_HASH_KEY"),
            ("columns", "salt", "CIO_HASH_KEY"),
        ] {
            assert!(
                remedy(path, key).is_some_and(|text| text.contains(place)),
                "{path} {key}"
            );
        }
        for key in ["snyc", "hahs", "regoin", "sassy"] {
            assert_eq!(remedy("", key), None, "{key}");
        }
    }
}
