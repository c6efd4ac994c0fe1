//! The files of `packaging/`, as far as they can be held against something without a container engine or a running system.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;

use crate::docs::flags;
use crate::support::binary;

fn root() -> PathBuf {
    PathBuf::from(env!("CARGO_MANIFEST_DIR"))
}

fn file(name: &str) -> String {
    fs::read_to_string(root().join("packaging").join(name)).unwrap()
}

/// Instructions with their arguments; comments and empty lines aside.
fn instructions(dockerfile: &str) -> Vec<(String, Vec<String>)> {
    let lines = dockerfile
        .lines()
        .filter(|line| !line.trim().is_empty() && !line.starts_with('#'));
    lines
        .map(|line| {
            let mut words = line.split_whitespace().map(str::to_owned);
            (words.next().unwrap(), words.collect())
        })
        .collect()
}

#[test]
fn the_image_is_the_binary_alone() {
    let steps = instructions(&file("Dockerfile"));
    let known = [
        "FROM",
        "RUN",
        "WORKDIR",
        "COPY",
        "ARG",
        "ENV",
        "USER",
        "ENTRYPOINT",
        "CMD",
    ];
    for (step, _) in &steps {
        assert!(known.contains(&step.as_str()), "{step}");
    }
    let stages: Vec<usize> = (0..steps.len()).filter(|at| steps[*at].0 == "FROM").collect();
    let [build, last] = stages[..] else {
        panic!("two stages")
    };
    let toolchain = fs::read_to_string(root().join("rust-toolchain.toml")).unwrap();
    let rust = steps[build].1[0]
        .strip_prefix("rust:")
        .unwrap()
        .strip_suffix("-alpine")
        .unwrap();
    assert!(
        toolchain.contains(&format!("channel = \"{rust}\"")),
        "{rust} is not the toolchain of the project"
    );
    assert_eq!(steps[last].1, ["scratch"]);
    let of = |name: &str| -> Vec<String> {
        let steps = steps[last..].iter().filter(|(step, _)| step == name);
        steps.map(|(_, words)| words.join(" ")).collect()
    };
    assert_eq!(of("ENTRYPOINT"), [r#"["/usr/local/bin/cio2parquet"]"#]);
    assert_eq!(of("USER"), ["65532:65532"], "not root, and no name that nobody knows");
    assert_eq!(of("RUN").len(), 0, "there is no shell");
    let binary = "--from=build /build/target/release/cio2parquet /usr/local/bin/cio2parquet";
    assert!(of("COPY").iter().any(|copy| copy == binary));
    assert!(
        of("COPY")
            .iter()
            .any(|copy| copy.ends_with("/etc/ssl/certs/ca-certificates.crt"))
    );
}

/// What is copied is enough for cargo: it looks for every target that the manifest names, and for the lock file.
#[test]
fn what_the_image_copies_is_what_cargo_needs() {
    let steps = instructions(&file("Dockerfile"));
    let ignore = file("Dockerfile.dockerignore");
    let folder = tempfile::tempdir().unwrap();
    let sources = steps
        .iter()
        .filter(|(step, words)| step == "COPY" && !words[0].starts_with("--from"));
    for source in sources.flat_map(|(_, words)| &words[..words.len() - 1]) {
        let from = root().join(source);
        assert!(from.exists(), "{source} is copied and not there");
        assert!(
            ignore.lines().any(|line| line == format!("!{source}")),
            "{source} is not sent to the builder"
        );
        copy(&from, &folder.path().join(source));
    }
    let build = steps
        .iter()
        .find(|(step, words)| step == "RUN" && words[0] == "cargo")
        .unwrap();
    assert_eq!(build.1.join(" "), "cargo build --release --locked --bin cio2parquet");
    let cargo = Command::new(env!("CARGO"))
        .args([
            "metadata",
            "--locked",
            "--offline",
            "--format-version",
            "1",
            "--manifest-path",
        ])
        .arg(folder.path().join("Cargo.toml"))
        .output()
        .unwrap();
    assert!(cargo.status.success(), "{}", String::from_utf8_lossy(&cargo.stderr));
    let metadata: serde_json::Value = serde_json::from_slice(&cargo.stdout).unwrap();
    let packages = metadata["packages"].as_array().unwrap();
    let ours = packages
        .iter()
        .find(|package| package["name"] == "cio2parquet")
        .unwrap();
    let mut targets = ours["targets"].as_array().unwrap().iter();
    assert!(targets.any(|target| target["kind"][0] == "bin" && target["name"] == "cio2parquet"));
    assert!(folder.path().join("schemas/customers.json").exists());
}

fn copy(from: &Path, to: &Path) {
    if from.is_file() {
        fs::create_dir_all(to.parent().unwrap()).unwrap();
        fs::copy(from, to).unwrap();
        return;
    }
    for entry in fs::read_dir(from).unwrap() {
        let path = entry.unwrap().path();
        let name = path.file_name().unwrap();
        if name != "node_modules" && name != "__pycache__" {
            copy(&path, &to.join(name));
        }
    }
}

/// The arguments of every line that calls the binary, in the files and on the page.
fn calls() -> Vec<(String, Vec<String>)> {
    let mut texts: Vec<(String, String)> = [
        "cio2parquet.cron",
        "cio2parquet.service",
        "cio2parquet-schedule.service",
    ]
    .map(|name| (name.to_owned(), file(name)))
    .into();
    let page = fs::read_to_string(root().join("docs/deploy.md")).unwrap();
    let blocks: Vec<&str> = page
        .split("```sh\n")
        .skip(1)
        .map(|block| block.split("```").next().unwrap())
        .collect();
    texts.push(("docs/deploy.md".to_owned(), blocks.concat()));
    let mut calls = Vec::new();
    for (name, text) in texts {
        for line in text.lines().filter(|line| !line.trim_start().starts_with('#')) {
            let mut words = line
                .split_whitespace()
                .skip_while(|word| !word.ends_with("cio2parquet") || word.contains('='));
            // systemd writes the program behind an equals sign.
            let mut unit = line
                .strip_prefix("ExecStart=")
                .into_iter()
                .flat_map(str::split_whitespace);
            if words.next().is_some() || unit.next().is_some() {
                let arguments: Vec<String> = words.chain(unit).map(str::to_owned).collect();
                if arguments
                    .first()
                    .is_some_and(|first| first.starts_with(char::is_alphabetic))
                {
                    calls.push((name.clone(), arguments));
                }
            }
        }
    }
    calls
}

#[test]
fn what_the_files_and_the_page_call_can_be_called() {
    let verbs = crate::docs::verbs();
    let calls = calls();
    assert!(calls.len() > 8, "{calls:?}");
    for (name, arguments) in calls {
        let verb = &arguments[0];
        assert!(verbs.contains(verb), "{name}: there is no command {verb}");
        let help = binary().args([verb, "--help"]).output().unwrap();
        let known = flags(&String::from_utf8(help.stdout).unwrap());
        let used = arguments
            .iter()
            .take_while(|word| !["|", "#", ">"].contains(&word.as_str()));
        for flag in used.filter_map(|word| word.strip_prefix("--")) {
            assert!(known.contains(flag), "{name}: {verb} has no --{flag}");
        }
    }
}

#[test]
fn the_units_are_good_where_systemd_can_tell() {
    let folder = tempfile::tempdir().unwrap();
    let binary = env!("CARGO_BIN_EXE_cio2parquet");
    let names = [
        "cio2parquet.service",
        "cio2parquet.timer",
        "cio2parquet-schedule.service",
    ];
    let paths: Vec<PathBuf> = names.iter().map(|name| folder.path().join(name)).collect();
    for (name, path) in names.iter().zip(&paths) {
        let unit = file(name);
        assert!(unit.starts_with("[Unit]\n"), "{name}");
        if name.ends_with(".service") {
            for line in [
                "NoNewPrivileges=yes",
                "ProtectSystem=strict",
                "LoadCredential=token:/etc/cio2parquet/token",
            ] {
                assert!(unit.lines().any(|other| other == line), "{name} lacks {line}");
            }
            for hides in ["ProtectProc", "ProcSubset", "PrivatePIDs"] {
                assert!(
                    !unit.lines().any(|line| line.starts_with(hides)),
                    "{name}: a claim could not be judged"
                );
            }
            assert!(!unit.contains("CIO_TOKEN"), "{name}");
        }
        // systemd looks whether the program is there, and whether the page of the manual is.
        let unit: String = unit
            .lines()
            .filter(|line| !line.starts_with("Documentation="))
            .fold(String::new(), |all, line| all + line + "\n");
        fs::write(path, unit.replace("/usr/local/bin/cio2parquet", binary)).unwrap();
    }
    let Ok(verified) = Command::new("systemd-analyze").arg("verify").args(&paths).output() else {
        return;
    };
    let told = String::from_utf8_lossy(&verified.stderr);
    let ours: Vec<&str> = told.lines().filter(|line| line.contains("cio2parquet")).collect();
    assert!(verified.status.success() && ours.is_empty(), "{told}");
}

#[test]
fn the_line_for_cron_has_five_fields_a_user_and_a_command() {
    let cron = file("cio2parquet.cron");
    let line = cron
        .lines()
        .find(|line| line.starts_with(|c: char| c.is_ascii_digit()))
        .unwrap();
    let words: Vec<&str> = line.split_whitespace().collect();
    assert!(
        words[..5]
            .iter()
            .all(|field| field.chars().all(|c| c.is_ascii_digit() || c == '*')),
        "{line}"
    );
    assert_eq!(words[5..8], ["cio2parquet", "/usr/local/bin/cio2parquet", "export"]);
    assert!(!line.contains('%'), "cron takes a percent sign for a line break");
    assert!(cron.ends_with('\n'), "cron passes over a last line without an end");
}
