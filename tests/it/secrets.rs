//! The key leaves in one header and is seen nowhere else, whatever the server says, however much is logged, whatever goes wrong.

use std::ffi::OsString;
use std::fs;
use std::os::unix::ffi::OsStringExt;
use std::path::Path;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use cio2parquet::source::{Base, Source, SourceSettings, Token, parse_api_url};

use crate::support::{Door, Ran, binary, serve, small};

/// Long enough not to be met by chance.
const KEY: &str = "s3cret-4f1d9a7c20b85e63";

/// A server that repeats all it was sent in everything it answers, the same for every request; and whether it was sent the key.
fn echo(status: &'static str, more: &'static str) -> (String, Arc<AtomicBool>) {
    let met = Arc::new(AtomicBool::new(false));
    let meeting = Arc::clone(&met);
    let url = serve(move |sent| {
        meeting.fetch_or(sent.contains(KEY), Ordering::Relaxed);
        let escaped = serde_json::to_string(sent).unwrap();
        let body = more.replace("SENT", &escaped).replace("KEY", KEY);
        format!(
            "HTTP/1.1 {status} because of {KEY}\r\nlocation: http://127.0.0.1:9/{KEY}?{KEY}\r\nretry-after: {KEY}\r\n\
             x-key: {KEY}\r\ncontent-length: {}\r\nconnection: close\r\n\r\n{body}",
            body.len()
        )
    });
    (url, met)
}

fn export(url: &str, lake: &Path, more: &[&str]) -> Ran {
    let mut command = binary();
    command.env("CIO_TOKEN", KEY).env("CIO_API_URL", url);
    command
        .env("CIO2PARQUET_PATIENCE_SECONDS", "1")
        .env("RUST_BACKTRACE", "full")
        .env("RUST_LOG", "trace");
    command
        .args(["export", "--rate", "0", "-vv", "--to"])
        .arg(lake)
        .args(more);
    command.output().unwrap().into()
}

fn assert_silent(what: &str, ran: &Ran, lake: &Path) {
    assert!(!ran.stdout.contains(KEY), "{what}: {}", ran.stdout);
    assert!(!ran.stderr.contains(KEY), "{what}: {}", ran.stderr);
    if lake.is_dir() {
        let found = std::process::Command::new("grep")
            .args(["-rl", KEY])
            .arg(lake)
            .output()
            .unwrap();
        assert!(
            found.stdout.is_empty(),
            "{what}: {}",
            String::from_utf8_lossy(&found.stdout)
        );
    }
}

#[test]
fn a_server_that_repeats_the_key_does_not_make_us_repeat_it() {
    let page = r#"{"errors":[{"detail":SENT,"status":"x"}],"meta":{"error":SENT}}"#;
    let cases = [
        ("400 Bad", page),
        ("401 No", page),
        ("403 No", page),
        ("404 No", page),
        ("302 There", ""),
        ("429 Slow", page),
        ("503 Away", "<html>KEY</html>"),
        ("200 OK", "<html>KEY</html>"),
        ("200 OK", "{\"KEY\": nonsense KEY"),
        ("200 OK", page),
    ];
    std::thread::scope(|scope| {
        for (number, (status, body)) in cases.into_iter().enumerate() {
            scope.spawn(move || {
                let home = tempfile::tempdir().unwrap();
                let lake = home.path().join("lake");
                let format = if number % 2 == 0 { "json" } else { "text" };
                let (url, met) = echo(status, body);
                let ran = export(&url, &lake, &["--report", "json", "--log-format", format]);
                let code = match status {
                    "401 No" => 3,
                    "403 No" => 4,
                    _ => 5,
                };
                assert_eq!(ran.code, code, "{status}: {}", ran.stderr);
                assert!(met.load(Ordering::Relaxed), "{status}: the key was not sent at all");
                let told = ["error:", r#""event":"error""#]
                    .iter()
                    .any(|word| ran.stderr.contains(word));
                assert!(told, "{status}: {}", ran.stderr);
                assert_silent(status, &ran, &lake);
            });
        }
    });
}

#[test]
fn a_whole_export_at_the_most_verbose_level_shows_no_key() {
    let door = Door::open(small());
    door.change(|behaviour| behaviour.keyless = 30);
    for format in ["text", "json"] {
        let ran = door.export(&["-vv", "--log-format", format]);
        assert!([0, 8].contains(&ran.code), "{}", ran.stderr);
        let key = door.sandbox.token();
        assert!(ran.stderr.len() > 1_000, "nothing was logged");
        assert!(!ran.stderr.contains(&key) && !ran.stdout.contains(&key));
        let found = std::process::Command::new("grep")
            .args(["-rl", &key])
            .arg(door.lake())
            .output()
            .unwrap();
        assert!(found.stdout.is_empty(), "{}", String::from_utf8_lossy(&found.stdout));
    }
}

#[test]
fn mistakes_around_the_key_do_not_show_it() {
    let home = tempfile::tempdir().unwrap();
    let lake = home.path().join("lake");
    let config = home.path().join("cio.toml");
    fs::write(&config, format!("to = \"lake\"\ntoken = \"{KEY}\"\n")).unwrap();
    let config = config.display().to_string();
    let with_user = format!("https://{KEY}@api.customer.io");
    let with_query = format!("https://api.customer.io/?key={KEY}");
    let flag = format!("--token={KEY}");
    let cases: [&[&str]; 6] = [
        &["--config", &config],
        &["--api-url", &with_user],
        &["--api-url", &with_query],
        &["--api-url", "http://203.0.113.7"],
        &[&flag],
        &["--token", KEY],
    ];
    for more in cases {
        let ran = export("http://127.0.0.1:9", &lake, more);
        assert_eq!(ran.code, 2, "{more:?}: {}", ran.stderr);
        assert_silent(&format!("{more:?}"), &ran, &lake);
    }
    let mut command = binary();
    command
        .env("CIO_TOKEN", format!("{KEY} {KEY}"))
        .args(["export", "--to", "nowhere"]);
    let ran: Ran = command.output().unwrap().into();
    assert_eq!(ran.code, 2);
    assert_silent("a key with a space", &ran, &lake);
}

#[test]
fn a_variable_that_is_no_text_is_never_told() {
    let no_text = |name: &str| {
        let value = OsString::from_vec([KEY.as_bytes(), b"\xff"].concat());
        let mut command = binary();
        command.env(name, value).args(["export", "--to", "nowhere"]);
        Ran::from(command.output().unwrap())
    };
    for name in ["CIO_TOKEN", "CIO_HASH_KEY"] {
        let ran = no_text(name);
        assert!(ran.code == 2 && ran.stderr.contains(name), "{}", ran.stderr);
        assert_silent(name, &ran, Path::new("nowhere"));
    }
    for name in ["AWS_SECRET_ACCESS_KEY", "SOMETHING_ELSE"] {
        let ran = no_text(name);
        assert!(
            ran.code == 2 && ran.stderr.contains("no key; set CIO_TOKEN"),
            "{}",
            ran.stderr
        );
        assert_silent(name, &ran, Path::new("nowhere"));
    }
}

#[test]
fn debug_prints_hold_no_key() {
    let settings = SourceSettings {
        token: Token::new(KEY).unwrap(),
        base: Base::Url(parse_api_url("http://127.0.0.1:9").unwrap()),
        rate: 1.0,
        patience: std::time::Duration::from_secs(1),
        user_agent: "test".to_owned(),
    };
    let prints = [
        format!("{settings:?}"),
        format!("{settings:#?}"),
        format!("{:?}", Source::new(settings).unwrap()),
    ];
    assert!(prints.iter().all(|print| !print.contains(KEY)), "{prints:?}");
}
