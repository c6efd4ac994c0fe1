//! Which process stands behind a run, so that a claim of a process that is gone need not be waited for.

use std::fs;

use rustix::io::Errno;
use rustix::process::{Pid, test_kill_process};
use serde::{Deserialize, Serialize};

/// A process on a machine since a boot. Two owners are compared only when host and boot agree.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Owner {
    /// The machine's name.
    pub host: String,
    /// The boot id and the process namespace (containers of one machine share the boot); empty where unknown.
    pub boot: String,
    /// `<process id>:<start time in clock ticks since boot>`: process ids are used again, the pair is not.
    pub process: String,
}

impl Owner {
    /// This process. Where `/proc` does not exist `boot` is empty, and nobody will ever judge it dead.
    pub fn current() -> Self {
        let host = rustix::system::uname().nodename().to_string_lossy().into_owned();
        let id = std::process::id();
        let start = started(id).map(|start| start.ticks);
        Self {
            host,
            boot: boot().filter(|_| start.is_some()).unwrap_or_default(),
            process: format!("{id}:{}", start.unwrap_or_default()),
        }
    }

    /// Whether that process is known to be gone: it ran on this machine since this boot, and its id is free or in other hands.
    /// `false` when it lives and when nobody can tell.
    pub fn is_dead(&self) -> bool {
        let ours = Self::current();
        if self.boot.is_empty() || self.host != ours.host || self.boot != ours.boot {
            return false;
        }
        let Some((id, ticks)) = self.process.split_once(':') else {
            return false;
        };
        match (id.parse(), ticks.parse()) {
            (Ok(id), Ok(ticks)) => is_gone(id, ticks),
            _ => false,
        }
    }
}

/// What `/proc/<id>/stat` says.
struct Started {
    ticks: u64,
    /// Ended, and not yet collected by its parent.
    ended: bool,
}

fn is_gone(id: u32, ticks: u64) -> bool {
    if let Some(found) = started(id) {
        return found.ended || found.ticks != ticks;
    }
    // `/proc` may hide the processes of others (hidepid), so an entry that is missing proves nothing.
    let Some(pid) = i32::try_from(id).ok().and_then(Pid::from_raw) else {
        return false;
    };
    test_kill_process(pid) == Err(Errno::SRCH)
}

fn started(id: u32) -> Option<Started> {
    parse_stat(&fs::read_to_string(format!("/proc/{id}/stat")).ok()?)
}

/// The name in parentheses may hold anything, parentheses included: fields are counted from the last one.
fn parse_stat(stat: &str) -> Option<Started> {
    let (_, rest) = stat.rsplit_once(')')?;
    let mut fields = rest.split_ascii_whitespace();
    let state = fields.next()?;
    // Field 22 of proc_pid_stat(5); the state is field 3.
    let ticks = fields.nth(18)?.parse().ok()?;
    Some(Started {
        ticks,
        ended: matches!(state, "Z" | "X"),
    })
}

fn boot() -> Option<String> {
    let id = fs::read_to_string("/proc/sys/kernel/random/boot_id").ok()?;
    let namespace = fs::read_link("/proc/self/ns/pid").ok()?;
    Some(format!("{} {}", id.trim(), namespace.display()))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn this_process_lives() {
        assert!(!Owner::current().is_dead());
    }

    #[test]
    fn a_process_that_ended_is_dead_before_its_parent_collects_it_and_after() {
        let mut child = std::process::Command::new("sleep").arg("60").spawn().unwrap();
        let ticks = started(child.id()).unwrap().ticks;
        let owner = Owner {
            process: format!("{}:{ticks}", child.id()),
            ..Owner::current()
        };
        assert!(!owner.is_dead());
        child.kill().unwrap();
        while !started(child.id()).unwrap().ended {
            std::thread::yield_now();
        }
        assert!(owner.is_dead());
        child.wait().unwrap();
        assert!(owner.is_dead());
    }

    #[test]
    fn a_reused_process_id_is_another_process() {
        let owner = Owner {
            process: format!("{}:1", std::process::id()),
            ..Owner::current()
        };
        assert!(owner.is_dead());
    }

    #[test]
    fn nobody_elsewhere_is_judged() {
        let dead = Owner {
            process: format!("{}:1", std::process::id()),
            ..Owner::current()
        };
        for owner in [
            Owner {
                host: "elsewhere".into(),
                ..dead.clone()
            },
            Owner {
                boot: "another".into(),
                ..dead.clone()
            },
            Owner {
                boot: String::new(),
                ..dead.clone()
            },
            Owner {
                process: "nonsense".into(),
                ..dead
            },
        ] {
            assert!(!owner.is_dead(), "{owner:?}");
        }
    }

    #[test]
    fn a_process_name_may_hold_parentheses() {
        let stat = "7 (a) b) S 1 1 1 0 -1 4194560 1 2 3 4 5 6 7 8 20 0 1 0 4242 9 9";
        assert_eq!(parse_stat(stat).unwrap().ticks, 4242);
    }
}
