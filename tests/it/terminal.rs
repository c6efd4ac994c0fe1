//! What a terminal is shown, and what it is spared: no colour and no progress lines where they are not wanted.

use std::fs::File;
use std::io::Read;
use std::os::fd::OwnedFd;
use std::process::{Command, Stdio};

use rustix::fs::{Mode, OFlags};
use rustix::pty::{OpenptFlags, grantpt, openpt, ptsname, unlockpt};

use crate::support::{Door, STREAMS, binary, small};

const ESCAPE: u8 = 0x1b;

/// Runs `command` on a terminal of its own; what it wrote there, and its exit code.
fn on_a_terminal(mut command: Command) -> (Vec<u8>, Option<i32>) {
    let master = openpt(OpenptFlags::RDWR | OpenptFlags::NOCTTY).unwrap();
    grantpt(&master).unwrap();
    unlockpt(&master).unwrap();
    let name = ptsname(&master, Vec::new()).unwrap();
    let slave: OwnedFd = rustix::fs::open(name.as_c_str(), OFlags::RDWR | OFlags::NOCTTY, Mode::empty()).unwrap();
    command
        .stdin(Stdio::null())
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
    }
    (shown, child.wait().unwrap().code())
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
