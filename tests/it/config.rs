//! The config file: where it is found, what is refused and where, and that nothing secret can stand in it or come out of it.

use std::fs;
use std::path::Path;

use crate::support::{Door, Ran, STREAMS, binary, small};

/// Long enough not to be met by chance.
const SECRET: &str = "geheim-4f1d9a7c20b85e63";

/// A working folder and a config folder of the test's own.
struct Home {
    folder: tempfile::TempDir,
}

impl Home {
    fn new() -> Self {
        let folder = tempfile::tempdir().unwrap();
        fs::create_dir_all(folder.path().join("work")).unwrap();
        fs::create_dir_all(folder.path().join("config/cio2parquet")).unwrap();
        Self { folder }
    }

    /// With `text` in the working folder.
    fn with(text: &str) -> Self {
        let home = Self::new();
        home.write("work/cio2parquet.toml", text);
        home
    }

    fn write(&self, path: &str, text: &str) {
        fs::write(self.path(path), text).unwrap();
    }

    fn path(&self, path: &str) -> std::path::PathBuf {
        self.folder.path().join(path)
    }

    fn run(&self, args: &[&str]) -> Ran {
        let mut command = binary();
        command
            .current_dir(self.path("work"))
            .env("XDG_CONFIG_HOME", self.path("config"))
            .args(args);
        command.output().unwrap().into()
    }

    /// What `config check` says, with exit code 0.
    fn checked(&self, more: &[&str]) -> String {
        let ran = self.run(&[&["config", "check", "--now", "2026-11-20T12:00:00Z"], more].concat());
        assert_eq!((ran.code, ran.stderr.as_str()), (0, ""), "{}", ran.stdout);
        ran.stdout
    }
}

/// The mistakes that a file with `text` is refused with, without the file's name.
fn mistakes(text: &str) -> Vec<String> {
    let ran = Home::with(text).run(&["config", "check"]);
    assert_eq!((ran.code, ran.stdout.as_str()), (2, ""), "{text}\n{}", ran.stderr);
    let told = ran.stderr.lines().filter(|line| !line.starts_with(" WARN "));
    let lines = told.map(|line| line.strip_prefix("error: ./cio2parquet.toml:").unwrap().to_owned());
    lines.collect()
}

#[test]
fn a_file_is_found_where_one_works_and_told_of_once() {
    let home = Home::with("to = \"./lake\"\n");
    home.write("config/cio2parquet/cio2parquet.toml", "to = \"./other\"\n");
    fs::create_dir(home.path("work/lake")).unwrap();
    let ran = home.run(&["catalog"]);
    assert_eq!(
        (ran.code, ran.stderr.as_str()),
        (0, "settings from ./cio2parquet.toml\n")
    );
    assert!(ran.stdout.contains("lake holds no table yet"), "{}", ran.stdout);

    let quiet = home.run(&["catalog", "-q"]);
    assert_eq!((quiet.code, quiet.stderr.as_str()), (0, ""));
    let logged = home.run(&["catalog", "--log-format", "json"]);
    let event: serde_json::Value = serde_json::from_str(logged.stderr.trim_end()).unwrap();
    assert_eq!(event["message"], "settings from ./cio2parquet.toml");
    let quiet = home.run(&["catalog", "-q", "--log-format", "json"]);
    assert_eq!(quiet.stderr, "");
}

#[test]
fn else_in_the_users_config_folder_else_where_it_is_named() {
    let home = Home::new();
    home.write("config/cio2parquet/cio2parquet.toml", "to = \"./lake\"\n");
    home.write("named.toml", "to = \"./named\"\n");
    for lake in ["lake", "named"] {
        fs::create_dir(home.path("work").join(lake)).unwrap();
    }
    let ran = home.run(&["catalog"]);
    let place = home.path("config/cio2parquet/cio2parquet.toml");
    assert_eq!(ran.stderr, format!("settings from {}\n", place.display()));
    assert!(ran.stdout.contains("lake holds no table yet"), "{}", ran.stdout);
    let named = home.run(&["catalog", "--config", "../named.toml"]);
    assert_eq!((named.code, named.stderr.as_str()), (0, ""));
    assert!(named.stdout.contains("named holds no table yet"), "{}", named.stdout);
}

#[test]
fn every_command_that_takes_a_file_finds_one_and_can_do_without() {
    let home = Home::with("to = 1\n");
    for command in [
        &["export"][..],
        &["plan"],
        &["check"],
        &["catalog"],
        &["verify"],
        &["sql", "duckdb"],
    ] {
        let ran = home.run(command);
        assert_eq!(ran.code, 2, "{command:?}");
        let mistake = "error: ./cio2parquet.toml:1:6: \"to\" takes text in quotes, not a number\n";
        assert_eq!(
            ran.stderr,
            format!("settings from ./cio2parquet.toml\n{mistake}"),
            "{command:?}"
        );
        let without = home.run(&[command, &["--no-config", "-q"]].concat());
        assert_eq!(without.code, 2, "{command:?}");
        assert!(!without.stderr.contains("toml"), "{command:?}: {}", without.stderr);
        let both = home.run(&[command, &["--no-config", "--config", "x"]].concat());
        assert!(
            both.code == 2 && both.stderr.contains("cannot be used with"),
            "{}",
            both.stderr
        );
    }
}

#[test]
fn the_demo_goes_by_no_file() {
    let home = Home::with("to = 1\n");
    let ran = home.run(&["demo", "--to", "./demo-lake"]);
    assert_eq!(ran.code, 0, "{}", ran.stderr);
    assert!(!ran.stderr.contains("toml"), "{}", ran.stderr);
}

#[test]
fn a_simulated_workspace_and_a_real_one_do_not_meet() {
    let home = Home::with("");
    let ran = home.run(&["demo", "--to", "./demo-lake"]);
    assert_eq!(ran.code, 0, "{}", ran.stderr);
    let door = Door::open(small());
    let simulated = home.path("work/demo-lake").display().to_string();
    for verb in ["export", "plan"] {
        let ran = door.run(&[verb, "--to", &simulated]);
        assert!(
            ran.code == 2 && ran.stderr.contains("simulated workspace"),
            "{verb}: {}",
            ran.stderr
        );
    }
    door.export(&["customers"]).expect(0);
    let ran = home.run(&["demo", "--to", &door.lake().display().to_string()]);
    assert!(
        ran.code == 2 && ran.stdout.contains("holds a real workspace"),
        "{} {}",
        ran.stdout,
        ran.stderr
    );
    assert_eq!(door.keys("customers"), door.true_keys("customers"));
}

#[test]
fn what_the_file_says_is_what_is_exported() {
    let door = Door::open(small());
    let home =
        Home::with("prefix = \"x_\"\ndescription = \"Düsseldorf, nightly\"\n[streams.customers]\ntable = \"people\"\n");
    let config = home.path("work/cio2parquet.toml");
    let report = door.export(&["--config", config.to_str().unwrap()]).expect(0);
    assert_eq!(report["streams"].as_array().unwrap().len(), 1);
    assert_eq!(door.state("x_people")["description"], "Düsseldorf, nightly");
}

#[test]
fn a_mistake_sends_no_request() {
    let door = Door::open(small());
    let home = Home::with("snyc = \"incremental\"\n");
    let config = home.path("work/cio2parquet.toml").display().to_string();
    for command in [&["export"][..], &["plan"], &["check"]] {
        let lake = door.lake().display().to_string();
        let ran = door.run(&[command, &["--to", &lake, "--config", &config]].concat());
        assert_eq!(ran.code, 2, "{}", ran.stderr);
    }
    assert_eq!(door.asked("").len(), 0);
    assert!(!door.lake().exists());
}

#[test]
fn every_mistake_is_told_at_once_with_its_place() {
    let text = "\
description = \"two\\nlines\"
to = \"ftp://host/lake\"
region = \"US\"
trigger = \"0 24 * * *\"
timezone = \"Europe/Berln\"
full_sync = \"weekly\"
prefix = \"_cio\"
token_file = 1
[storage]
endpoint = \"http://minio.example.com\"
path_style = \"yes\"
[columns]
exclude = \"subject\"
hash = [\"recipient\", 7]
[streams.activites]
[streams.activities]
snyc = \"incremental\"
since = 2026-01-31
lookback = \"30\"
[streams.customers]
sync = \"full\"
table = \"a b\"
since = \"yesterday\"
";
    let found = mistakes(text);
    let expected = [
        ("1:15: ", "\"description\" is shown on one line"),
        ("2:6: ", "\"to\" names no lake; write a folder, or a URL such as "),
        ("3:10: ", "unknown value of \"region\"; write \"us\" or \"eu\""),
        (
            "4:11: ",
            "\"trigger\" is no trigger: its hour is \"24\"; write numbers (0-23)",
        ),
        ("5:12: ", "did you mean \"Europe/Berlin\"?"),
        (
            "6:13: ",
            "\"full_sync\" is no trigger; write minute, hour, day, month and weekday",
        ),
        ("7:10: ", "\"prefix\" would make no table name"),
        ("8:1: ", "--token-file"),
        ("10:12: ", "\"endpoint\" is no address of a store; write https://HOST"),
        ("11:14: ", "\"path_style\" takes true or false, not a text"),
        (
            "13:11: ",
            "\"exclude\" takes a list of texts, as in [\"subject\"], not a text",
        ),
        ("14:22: ", "\"hash\" takes text in quotes, not a number"),
        ("15:10: ", "unknown stream \"activites\"; did you mean \"activities\"?"),
        ("17:1: ", "unknown key \"snyc\"; did you mean \"sync\"?"),
        ("18:9: ", "\"since\" takes text in quotes, not a date without quotes"),
        ("19:12: ", "\"lookback\" is no span of time; write for example 30d"),
        ("21:8: ", "unknown value of \"sync\"; did you mean \"full-table\"?"),
        ("22:9: ", "\"table\" is no table name: names begin with"),
        ("23:9: ", "\"since\" is no time; write a date (2026-01-31)"),
    ];
    assert_eq!(found.len(), expected.len(), "{found:#?}");
    for (line, (place, part)) in found.iter().zip(expected) {
        assert!(
            line.starts_with(place) && line.contains(part),
            "{line:?} is not {place}{part}"
        );
    }
}

#[test]
fn mistakes_that_stand_alone_have_their_place_too() {
    let long = |length: usize| "x".repeat(length);
    for (text, place, part) in [
        ("to = \n", "1:6: ", "expected"),
        ("to = ./lake\n", "1:6: ", "put text in quotes"),
        ("prefix = cio_\n", "1:10: ", "put text in quotes"),
        ("rate = 5\n", "1:1: ", "this is a flag, --rate"),
        ("memory = \"1GiB\"\n", "1:1: ", "this is a flag, --memory"),
        ("api_url = \"https://x\"\n", "1:1: ", "this is the variable CIO_API_URL"),
        ("\n\n  = 1\n", "3:3: ", "key"),
        ("to = \"a\"\nto = \"b\"\n", "2:1: ", "duplicate key"),
        ("to = \"a\n", "1:8: ", ""),
        ("streams = [\"activities\"]\n", "1:11: ", "[streams.activities]"),
        (
            "[streams]\nactivities = true\n",
            "2:14: ",
            "a section, [streams.activities]",
        ),
        (
            &format!("description = \"{}\"", long(141)),
            "1:15: ",
            "141 characters; shorten it to 140",
        ),
        (&format!("prefix = \"{}\"", long(129)), "1:10: ", "128"),
        (
            &format!(
                "prefix = \"{}\"\n[streams.customers]\ntable = \"{}\"",
                long(65),
                long(64)
            ),
            "3:9: ",
            "129 characters with its prefix; shorten it to 128",
        ),
        (
            "[streams.activities]\n[streams.customers]\ntable = \"Activities\"\n",
            "3:9: ",
            "streams \"activities\" and \"customers\" would share a table",
        ),
        (
            "columns.exclude = [\n  \"subjct\",\n]\n",
            "2:3: ",
            "did you mean \"subject\"?",
        ),
        (
            "[streams.activities]\nsince = \"2999-01-01\"\n",
            "2:9: ",
            "\"since\" is after the run's now",
        ),
        (
            "[streams.customers.columns]\nhash = [\"email\", \"subject\"]\n",
            "2:18: ",
            "customers has no such column; `cio2parquet streams",
        ),
        (
            "[streams.customers]\ncolumns.exclude = [\"email\", \"cio_id\"]\n",
            "2:29: ",
            "cannot be left out",
        ),
    ] {
        let found = mistakes(text);
        assert_eq!(found.len(), 1, "{found:#?}");
        assert!(
            found[0].starts_with(place) && found[0].contains(part),
            "{text}: {found:?}"
        );
    }
    assert!(
        mistakes("[storage]\nretries = 3\n")[0]
            .ends_with("keys that are known here: endpoint, path_style, profile, region")
    );
}

#[test]
fn a_file_that_cannot_be_read_is_named() {
    let home = Home::new();
    let ran = home.run(&["config", "check", "--config", "nowhere.toml"]);
    assert_eq!(ran.code, 2);
    assert!(
        ran.stderr
            .starts_with("error: cannot read the config file nowhere.toml: "),
        "{}",
        ran.stderr
    );
    let ran = home.run(&["config", "check"]);
    assert_eq!(ran.code, 2);
    for part in [
        "./cio2parquet.toml",
        "config/cio2parquet/cio2parquet.toml",
        "--config",
        "config init",
    ] {
        assert!(ran.stderr.contains(part), "{}", ran.stderr);
    }
    fs::write(home.path("work/latin.toml"), b"to = \"\xfc\"").unwrap();
    let ran = home.run(&["config", "check", "--config", "latin.toml"]);
    assert!(ran.code == 2 && ran.stderr.contains("UTF-8"), "{}", ran.stderr);
}

#[test]
fn the_name_of_a_secret_gets_the_place_where_it_belongs() {
    for (text, part) in [
        ("token = \"SECRET\"", "CIO_TOKEN"),
        ("key = \"SECRET\"", "--token-file"),
        ("api_key = \"SECRET\"", "CIO_TOKEN"),
        ("CIO_TOKEN = \"SECRET\"", "CIO_TOKEN"),
        ("secret = { a = \"SECRET\" }", "CIO_TOKEN"),
        ("password = \"SECRET\"", "CIO_TOKEN"),
        ("[token]\na = \"SECRET\"", "CIO_TOKEN"),
        ("access_key_id = \"SECRET\"", "AWS_ACCESS_KEY_ID"),
        ("[storage]\nsecret_access_key = \"SECRET\"", "AWS_ACCESS_KEY_ID"),
        ("[storage]\nsas_token = \"SECRET\"", "AWS_ACCESS_KEY_ID"),
        ("hash_key = \"SECRET\"", "CIO_HASH_KEY"),
        ("[columns]\nhash_key = \"SECRET\"", "CIO_HASH_KEY"),
        ("columns.hash = [\"SECRET\"]", "no stream has such a column"),
        (
            "[streams.customers]\ncolumns.hash = [\"SECRET\"]",
            "customers has no such column",
        ),
        ("to = \"s3://AKIA:SECRET@bucket/lake\"", "the store's own variables"),
        ("to = \"s3://AKIA:SEC/SECRET@bucket/lake\"", "write a folder"),
        ("to = \"az://container/lake?sv=1&sig=SECRET\"", "its own variables"),
        (
            "[storage]\nendpoint = \"https://user:SECRET@minio.example.com\"",
            "its own variables",
        ),
        (
            "[storage]\nendpoint = \"https://minio.example.com/?X-Amz-Signature=SECRET\"",
            "its own variables",
        ),
    ] {
        let found = mistakes(&text.replace("SECRET", SECRET));
        let part = if part == "the store's own variables" {
            "its own variables"
        } else {
            part
        };
        assert_eq!(found.len(), 1, "{found:?}");
        assert!(found[0].contains(part), "{text}: {found:?}");
        assert!(!found[0].contains(SECRET), "{found:?}");
    }
}

/// Wherever a secret is typed, a mistake beside it or made by it does not repeat it.
#[test]
fn no_mistake_repeats_what_stands_at_its_place() {
    let good = "\
to = \"./lake\"
region = \"us\"
trigger = \"0 3 * * *\"
timezone = \"UTC\"
full_sync = \"@weekly\"
prefix = \"x_\"
[storage]
endpoint = \"https://minio.example.com\"
path_style = true
[streams.activities]
table = \"a\"
sync = \"incremental\"
since = \"90d\"
lookback = \"7d\"
";
    let home = Home::with(good);
    home.checked(&[]);
    let quoted = format!("\"{SECRET}\"");
    let mut refused = 0;
    for (number, line) in good.lines().enumerate() {
        let others = |new: &str| -> String {
            let lines = good.lines().enumerate();
            lines
                .map(|(at, line)| format!("{}\n", if at == number { new } else { line }))
                .collect()
        };
        let mut files = vec![
            others(SECRET),
            others(&quoted),
            others(&format!("[{SECRET}]")),
            others(&format!("{SECRET} = 1")),
            others(&format!("{line} {SECRET}")),
            others(&format!("{line} \"{SECRET}")),
            others(&format!("{SECRET}.{line}")),
        ];
        if let Some((key, _)) = line.split_once(" = ") {
            for value in [
                SECRET,
                &quoted,
                &format!("[{quoted}]"),
                &format!("{{ a = {quoted} }}"),
                &format!("\"\"\"{SECRET}"),
            ] {
                files.push(others(&format!("{key} = {value}")));
                files.push(others(&format!("a{key} = {value}")));
            }
        }
        for file in files {
            home.write("work/cio2parquet.toml", &file);
            let ran = home.run(&["config", "check", "--json"]);
            if ran.code == 2 {
                refused += 1;
                assert!(!ran.stderr.contains(SECRET), "{file}\n{}", ran.stderr);
                assert_eq!(ran.stdout, "");
            }
        }
    }
    assert!(refused > 150, "{refused}");
}

#[test]
fn a_check_tells_what_will_run_and_when() {
    let home = Home::with(
        "\
description = \"Production workspace, nightly\"
to = \"s3://acme-lake/customerio\"
region = \"eu\"
trigger = \"0 3 * * *\"
timezone = \"Europe/Berlin\"
full_sync = \"0 4 * * SUN\"
prefix = \"cio_\"
[storage]
endpoint = \"https://minio.example.com\"
path_style = true
[columns]
exclude = [\"subject\"]
hash = [\"recipient\", \"email\", \"identifiers.email\"]
[streams.customers]
sync = \"full-table\"
since = \"1d\"
[streams.transactional_message_details]
table = \"deliveries\"
since = \"365d\"
columns.hash = [\"customer_id\"]
",
    );
    let text = home.checked(&[]);
    let expected = "\
file         ./cio2parquet.toml
description  Production workspace, nightly
lake         s3://acme-lake/customerio
store        endpoint https://minio.example.com, bucket in the path
region       eu
trigger      0 3 * * * (Europe/Berlin)
next runs    Sat 2026-11-21 03:00 CET
             Sun 2026-11-22 03:00 CET
             Mon 2026-11-23 03:00 CET
full sync    0 4 * * SUN (Europe/Berlin); the first run at or after Sun
             2026-11-22 04:00 CET is a full-table run, until one completes, and
             the next run of a table that has had none yet is one

customers
  table      cio_customers
  sync       full-table
  since      1d, which changes nothing: all of it is read each time
  hashed     email

transactional_message_details
  table      cio_deliveries
  sync       incremental
  since      365d: from 2025-11-20 on
  lookback   30 days before the mark
  left out   subject
  hashed     customer_id, identifiers.email, recipient
";
    assert_eq!(text, expected);
    assert!(text.lines().all(|line| line.chars().count() <= 80));

    let json: serde_json::Value = serde_json::from_str(&home.checked(&["--json"])).unwrap();
    assert_eq!(json["trigger"]["next"][0], "2026-11-21T02:00:00Z");
    assert_eq!(json["full_sync"]["next"][0], "2026-11-22T03:00:00Z");
    assert_eq!(json["streams"][1]["table"], "cio_deliveries");
    assert_eq!(json["streams"][1]["since"], "2025-11-20T12:00:00Z");
    assert_eq!(json["streams"][1]["lookback"], 30 * 86_400);
    assert_eq!(json["streams"][1]["exclude"], serde_json::json!(["subject"]));
    assert_eq!(json["storage"]["path_style"], true);
}

#[test]
fn an_empty_file_exports_every_stream_and_no_store_is_opened() {
    let home = Home::with("");
    let text = home.checked(&[]);
    for stream in STREAMS {
        assert!(text.contains(&format!("\n{stream}\n")), "{text}");
    }
    assert!(
        text.contains("both are tried") && text.contains("not named; say --to"),
        "{text}"
    );
    let home = Home::with("to = \"./lake\"\n");
    home.checked(&[]);
    assert!(!home.path("work/lake").exists());
}

#[test]
fn a_new_file_is_valid_as_it_stands_and_never_in_the_place_of_another() {
    let home = Home::new();
    let ran = home.run(&["config", "init"]);
    assert_eq!((ran.code, ran.stderr.as_str()), (0, ""));
    assert_eq!(ran.stdout.lines().count(), 3);
    for part in ["./cio2parquet.toml", "cio2parquet config check", "cio2parquet check"] {
        assert!(ran.stdout.contains(part), "{}", ran.stdout);
    }
    home.checked(&[]);
    let before = fs::read(home.path("work/cio2parquet.toml")).unwrap();
    let again = home.run(&["config", "init"]);
    assert_eq!((again.code, again.stdout.as_str()), (2, ""));
    assert!(
        again.stderr.contains("./cio2parquet.toml") && again.stderr.contains("name another file"),
        "{}",
        again.stderr
    );
    assert_eq!(fs::read(home.path("work/cio2parquet.toml")).unwrap(), before);

    let named = home.run(&["config", "init", "nightly.toml"]);
    assert_eq!(named.code, 0);
    assert!(
        named.stdout.contains("config check --config nightly.toml"),
        "{}",
        named.stdout
    );
    home.checked(&["--config", "nightly.toml"]);
    let ran = home.run(&["config", "init", "nowhere/nightly.toml"]);
    assert!(
        ran.code == 2 && ran.stderr.contains("nowhere/nightly.toml"),
        "{}",
        ran.stderr
    );
    assert!(!Path::new(&home.path("work/nowhere")).exists());
}

#[test]
fn every_example_in_a_new_file_is_valid_by_itself_and_with_all_others() {
    let home = Home::new();
    assert_eq!(home.run(&["config", "init"]).code, 0);
    let text = fs::read_to_string(home.path("work/cio2parquet.toml")).unwrap();
    let is_example = |line: &str| line.starts_with('#') && !line.starts_with("# ") && !line.starts_with("#:");
    let check = |wanted: &dyn Fn(usize) -> bool, what: &str| {
        let lines = text.lines().enumerate().map(|(number, line)| {
            let example = is_example(line) && wanted(number);
            format!("{}\n", if example { &line[1..] } else { line })
        });
        home.write("work/cio2parquet.toml", &lines.collect::<String>());
        let ran = home.run(&["config", "check"]);
        assert_eq!(ran.code, 0, "{what}: {}", ran.stderr);
    };
    let examples: Vec<(usize, &str)> = text.lines().enumerate().filter(|(_, line)| is_example(line)).collect();
    assert!(examples.len() > 15, "{examples:?}");
    for (chosen, line) in examples {
        check(&|number| number == chosen, line);
    }
    check(&|_| true, "all of them");
}
