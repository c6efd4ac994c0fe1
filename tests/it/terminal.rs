//! What a terminal is shown, and what it is spared: no colour and no progress lines where they are not wanted.

use std::fs::File;
use std::io::{Read, Write};
use std::os::fd::OwnedFd;
use std::process::Command;

use cio2parquet::sandbox::{Endpoint, Fault, FaultRule};
use rustix::fs::{Mode, OFlags};
use rustix::pty::{OpenptFlags, grantpt, openpt, ptsname, unlockpt};

use crate::support::{Door, STREAMS, binary, small};

const ESCAPE: u8 = 0x1b;

/// Runs `command` on a terminal of its own; what it wrote there, and its exit code.
fn on_a_terminal(command: Command) -> (Vec<u8>, Option<i32>) {
    typing(command, |_| ())
}

/// The same, with somebody who sees what is shown and types.
fn typing(mut command: Command, mut type_into: impl FnMut(&mut Typist<'_>)) -> (Vec<u8>, Option<i32>) {
    let master = openpt(OpenptFlags::RDWR | OpenptFlags::NOCTTY).unwrap();
    grantpt(&master).unwrap();
    unlockpt(&master).unwrap();
    let name = ptsname(&master, Vec::new()).unwrap();
    let slave: OwnedFd = rustix::fs::open(name.as_c_str(), OFlags::RDWR | OFlags::NOCTTY, Mode::empty()).unwrap();
    command
        .stdin(slave.try_clone().unwrap())
        .stdout(slave.try_clone().unwrap())
        .stderr(slave);
    let mut child = command.spawn().unwrap();
    // The command holds the other end open until it is dropped.
    drop(command);
    let mut shown = Vec::new();
    let mut master = File::from(master);
    let mut piece = [0; 4096];
    // A terminal whose last writer is gone answers an error, not an end.
    while let Ok(read @ 1..) = master.read(&mut piece) {
        shown.extend_from_slice(&piece[..read]);
        let mut typist = Typist {
            shown: &shown,
            keys: &mut master,
        };
        type_into(&mut typist);
    }
    (shown, child.wait().unwrap().code())
}

struct Typist<'a> {
    shown: &'a [u8],
    keys: &'a mut File,
}

/// What stands on a terminal of eighty columns after all of that was written to it.
fn screen(written: &[u8]) -> Vec<String> {
    let mut lines: Vec<Vec<char>> = vec![Vec::new()];
    let (mut row, mut column) = (0, 0);
    let text = String::from_utf8_lossy(written).into_owned();
    let mut rest = text.chars().peekable();
    while let Some(char) = rest.next() {
        match char {
            '\x1b' if rest.next_if_eq(&'[').is_some() => {
                let mut count = String::new();
                let end = rest.by_ref().find(|c| match c.is_ascii_digit() || *c == '?' {
                    true => {
                        count.push(*c);
                        false
                    }
                    false => true,
                });
                let count = count.parse().unwrap_or(1);
                match end.unwrap() {
                    'A' => row -= count.min(row),
                    'B' => row += count,
                    'C' => column += count,
                    'K' => lines[row].clear(),
                    _ => {}
                }
            }
            '\r' => column = 0,
            '\n' => row += 1,
            _ => {
                if column == 80 {
                    (row, column) = (row + 1, 0);
                }
                lines.resize(lines.len().max(row + 1), Vec::new());
                let line = &mut lines[row];
                line.resize(line.len().max(column + 1), ' ');
                line[column] = char;
                column += 1;
            }
        }
        lines.resize(lines.len().max(row + 1), Vec::new());
    }
    let text = lines.into_iter().map(|line| line.into_iter().collect::<String>());
    text.map(|line| line.trim_end().to_owned()).collect()
}

fn export(door: &Door, variables: &[(&str, &str)]) -> Vec<u8> {
    let mut command = binary();
    command
        .env("CIO_TOKEN", door.sandbox.token())
        .env("CIO_API_URL", door.sandbox.url())
        .env_remove("NO_COLOR")
        .env("TERM", "xterm-256color")
        .args(["export", "customers", "--to", door.lake().to_str().unwrap()])
        .envs(variables.iter().copied());
    let (shown, code) = on_a_terminal(command);
    assert_eq!(code, Some(0));
    assert!(String::from_utf8_lossy(&shown).contains("complete (exit code 0)"));
    shown
}

#[test]
fn progress_is_drawn_on_a_terminal_only_where_it_is_wanted() {
    let door = Door::open(small());
    assert!(export(&door, &[]).contains(&ESCAPE), "nothing is drawn at all");
    for spared in [[("NO_COLOR", "1")], [("TERM", "dumb")]] {
        let shown = export(&door, &spared);
        assert!(
            !shown.contains(&ESCAPE),
            "{spared:?}: {}",
            String::from_utf8_lossy(&shown)
        );
    }
}

/// The command has the terminal for its own, as in a shell, so that the key becomes a signal, and shows up.
#[test]
fn an_interrupted_run_leaves_no_progress_behind() {
    let door = Door::open(small());
    let (code, retry_after) = (503, None);
    door.fail([FaultRule::at(
        Endpoint::Activities,
        [3],
        Fault::Status { code, retry_after },
    )]);
    door.change(|behaviour| behaviour.latency_ms = 150);
    let mut command = Command::new("setsid");
    let set = binary();
    let binary = set.get_program().to_owned();
    command.args(["--ctty", "--wait"]).arg(binary);
    command
        .current_dir(set.get_current_dir().unwrap())
        .env("CIO_TOKEN", door.sandbox.token())
        .env("CIO_API_URL", door.sandbox.url())
        .env_remove("NO_COLOR")
        .env("TERM", "xterm-256color")
        .args(["export", "--rate", "5", "--no-config", "--to"])
        .arg(door.lake());
    let mut interrupted = false;
    let (shown, code) = typing(command, |typist| {
        let text = String::from_utf8_lossy(typist.shown);
        if !interrupted && text.contains(" left, ") && text.contains("asking again") {
            typist.keys.write_all(&[0x03]).unwrap();
            interrupted = true;
        }
    });
    let screen = screen(&shown);
    assert_eq!(code, Some(130), "{screen:#?}");
    let before = screen.iter().take_while(|line| !line.starts_with("stream "));
    let before: Vec<&String> = before.collect();
    assert!(before[0].starts_with(" WARN "), "{screen:#?}");
    let progress = ["complete", " request, ", " requests, "];
    let left = before
        .iter()
        .filter(|line| progress.iter().any(|part| line.contains(part)));
    assert_eq!(left.count(), 0, "{screen:#?}");
}

#[test]
fn help_and_mistakes_are_coloured_only_where_it_is_wanted() {
    for args in [&["--help"][..], &["export", "--nonsense"]] {
        let shown = |variables: &[(&str, &str)]| {
            let mut command = binary();
            command
                .env_remove("NO_COLOR")
                .env("TERM", "xterm-256color")
                .envs(variables.iter().copied())
                .args(args);
            on_a_terminal(command).0
        };
        assert!(shown(&[]).contains(&ESCAPE), "{args:?} has no colour anywhere");
        assert!(!shown(&[("NO_COLOR", "1")]).contains(&ESCAPE), "{args:?}");
        for spared in [&[("TERM", "dumb")][..], &[("TERM", "dumb"), ("CI", "true")]] {
            assert!(!shown(spared).contains(&ESCAPE), "{args:?} with {spared:?}");
        }
    }
}

#[test]
fn the_columns_of_a_stream_keep_to_the_terminal() {
    for name in STREAMS {
        let mut command = binary();
        command.args(["streams", name]);
        let piped = String::from_utf8(command.output().unwrap().stdout).unwrap();
        let (shown, code) = on_a_terminal(command);
        let shown = String::from_utf8(shown).unwrap();
        assert_eq!(code, Some(0));
        let wide: Vec<&str> = shown.lines().filter(|line| line.chars().count() > 80).collect();
        assert!(wide.is_empty(), "{wide:#?}");
        let words = |text: &str| text.split_whitespace().map(str::to_owned).collect::<Vec<_>>();
        assert_eq!(words(&shown), words(&piped));
        assert!(shown.lines().count() > piped.lines().count(), "{name}");
    }
}

#[test]
fn without_a_terminal_nothing_is_drawn() {
    let door = Door::open(small());
    let mut command = binary();
    command
        .env("CIO_TOKEN", door.sandbox.token())
        .env("CIO_API_URL", door.sandbox.url())
        .env("TERM", "xterm-256color")
        .args(["export", "customers", "-v", "--to", door.lake().to_str().unwrap()]);
    let ran = command.output().unwrap();
    assert!(!ran.stdout.contains(&ESCAPE) && !ran.stderr.contains(&ESCAPE));
    assert!(String::from_utf8_lossy(&ran.stderr).contains("customers: complete"));
}
