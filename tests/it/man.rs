//! `man`, `completions` and `--version`.

use std::fs;
use std::process::Command;

use crate::docs::verbs;
use crate::support::{Ran, binary};

fn run(args: &[&str]) -> Ran {
    binary().args(args).output().unwrap().into()
}

/// Whether `program` is installed.
fn installed(program: &str) -> bool {
    Command::new(program).arg("--version").output().is_ok()
}

#[test]
fn the_version_is_one_line_with_the_commit_where_there_is_one() {
    for flag in ["-V", "--version"] {
        let ran = run(&[flag]);
        assert_eq!((ran.code, ran.stdout.lines().count()), (0, 1));
        let start = format!("cio2parquet {}", env!("CARGO_PKG_VERSION"));
        let rest = ran.stdout.trim_end().strip_prefix(&start).unwrap();
        let git = Command::new("git")
            .args([
                "-C",
                env!("CARGO_MANIFEST_DIR"),
                "log",
                "-1",
                "--abbrev=7",
                "--format= (%h %cs)",
            ])
            .output();
        // Sources that were unpacked without their history have none.
        let commit = git.ok().filter(|git| git.status.success());
        let commit = commit.map_or(String::new(), |git| String::from_utf8(git.stdout).unwrap());
        assert_eq!(rest, commit.trim_end());
    }
}

#[test]
fn the_main_page_is_printed_or_all_are_written() {
    let page = run(&["man"]);
    assert_eq!(page.code, 0);
    assert!(page.stdout.contains(".TH cio2parquet 1"), "{}", page.stdout);
    let folder = tempfile::tempdir().unwrap();
    let inside = folder.path().join("man1");
    let ran = run(&["man", "--dir", inside.to_str().unwrap()]);
    assert_eq!((ran.code, ran.stdout.as_str()), (0, ""), "{}", ran.stderr);
    let export = fs::read_to_string(inside.join("cio2parquet-export.1")).unwrap();
    assert!(export.contains("max\\-duration"), "{export}");
    let file = folder.path().join("file");
    fs::write(&file, "").unwrap();
    let ran = run(&["man", "--dir", file.to_str().unwrap()]);
    assert_eq!(ran.code, 2);
    assert!(
        ran.stderr.contains("--dir") && ran.stderr.contains(file.to_str().unwrap()),
        "{}",
        ran.stderr
    );
}

#[test]
fn completion_scripts_know_every_command() {
    let folder = tempfile::tempdir().unwrap();
    for shell in ["bash", "zsh", "fish", "elvish", "powershell"] {
        let script = run(&["completions", shell]).stdout;
        for verb in verbs() {
            assert!(script.contains(&verb), "{shell} does not complete {verb}");
        }
        let file = folder.path().join(shell);
        fs::write(&file, &script).unwrap();
        if ["bash", "zsh", "fish"].contains(&shell) && installed(shell) {
            let parsed = Command::new(shell).arg("-n").arg(&file).output().unwrap();
            assert!(
                parsed.status.success(),
                "{shell}: {}",
                String::from_utf8_lossy(&parsed.stderr)
            );
        }
    }
}

/// As the shell does it: the words, the one the cursor is in, and what comes back.
#[test]
fn bash_completes() {
    let folder = tempfile::tempdir().unwrap();
    let script = folder.path().join("completions");
    fs::write(&script, run(&["completions", "bash"]).stdout).unwrap();
    let complete = |words: &str, at: usize| {
        let ask = format!(
            "source {}; COMP_WORDS=({words}); COMP_CWORD={at}; w=${{COMP_WORDS[{at}]}}; _cio2parquet cio2parquet \"$w\" x; echo \"${{COMPREPLY[@]}}\"",
            script.display()
        );
        let answer = Command::new("bash").args(["-c", &ask]).output().unwrap();
        String::from_utf8(answer.stdout).unwrap().trim().to_owned()
    };
    assert_eq!(complete("cio2parquet exp", 1), "export");
    assert_eq!(complete("cio2parquet export --max", 2), "--max-duration");
    assert_eq!(complete("cio2parquet man --m", 2), "--markdown");
}
