//! Keys that a program hands out: the `credential_process` of an AWS profile.

use std::fmt;
use std::io::{IsTerminal, stderr};
use std::process::Stdio;
use std::sync::{Arc, PoisonError, RwLock};
use std::time::{Duration, Instant};

use async_trait::async_trait;
use jiff::{SignedDuration, Timestamp};
use object_store::aws::AwsCredential;
use object_store::{CredentialProvider, Error as StoreError};
use rustix::process::{Pid, Signal, kill_process_group};
use serde::Deserialize;
use tokio::process::{Child, Command};
use tokio::sync::Mutex;

use crate::error::{Error, Result};

/// A program answers within this, or it is ended: signing in anew on a cold machine takes seconds.
pub(in crate::storage) const LIMIT: Duration = Duration::from_secs(30);

/// Keys are asked for again when they have less than this left.
const MARGIN: SignedDuration = SignedDuration::from_mins(5);

/// While the old keys hold, new ones are not asked for more often than this.
const PAUSE: Duration = Duration::from_mins(1);

/// How much of what a failed program said is repeated, in characters.
const SAID: usize = 500;

/// Asks a program for keys, and again before they end. Nobody waits for it whose keys still hold, but the one who asks.
pub(in crate::storage) struct ProcessProvider {
    profile: String,
    command: String,
    limit: Duration,
    /// Whether what the program starts is ended with it. Before a terminal it is not: who is asked for a password there must be able to
    /// read it, and only one group of processes is.
    apart: bool,
    held: RwLock<Option<Held>>,
    /// Held by the one who asks.
    asked: Mutex<Option<Asked>>,
}

#[derive(Clone)]
struct Held {
    credential: Arc<AwsCredential>,
    until: Option<Timestamp>,
}

/// The last time that the program was asked.
struct Asked {
    ended: Instant,
    failure: Option<String>,
}

/// What the program prints; see AWS's page on sourcing credentials with an external process.
#[derive(Deserialize)]
#[serde(rename_all = "PascalCase")]
struct Printed {
    access_key_id: String,
    secret_access_key: String,
    session_token: Option<String>,
    expiration: Option<Timestamp>,
}

impl Held {
    fn lasts(&self, time: SignedDuration) -> bool {
        let then = Timestamp::now().saturating_add(time).unwrap_or(Timestamp::MAX);
        self.until.is_none_or(|until| until > then)
    }
}

impl From<Printed> for Held {
    fn from(printed: Printed) -> Self {
        Self {
            credential: Arc::new(AwsCredential {
                key_id: printed.access_key_id,
                secret_key: printed.secret_access_key,
                token: printed.session_token,
            }),
            until: printed.expiration,
        }
    }
}

impl fmt::Debug for ProcessProvider {
    /// A command may hold a password.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("ProcessProvider")
            .field("profile", &self.profile)
            .finish_non_exhaustive()
    }
}

#[async_trait]
impl CredentialProvider for ProcessProvider {
    type Credential = AwsCredential;

    async fn get_credential(&self) -> object_store::Result<Arc<AwsCredential>> {
        match self.held() {
            Some(held) if held.lasts(MARGIN) => Ok(held.credential),
            Some(held) => Ok(self.renewed(held.credential).await),
            None => self.first(Instant::now()).await,
        }
    }
}

impl ProcessProvider {
    /// `profile` stands for the command in messages.
    pub(in crate::storage) fn new(profile: String, command: String) -> Self {
        Self {
            profile,
            command,
            limit: LIMIT,
            apart: !stderr().is_terminal(),
            held: RwLock::default(),
            asked: Mutex::default(),
        }
    }

    /// The keys that still hold.
    fn held(&self) -> Option<Held> {
        let held = self.held.read().unwrap_or_else(PoisonError::into_inner).clone();
        held.filter(|held| held.lasts(SignedDuration::ZERO))
    }

    /// New keys in place of `old` ones, which will do where new ones cannot be had yet.
    async fn renewed(&self, old: Arc<AwsCredential>) -> Arc<AwsCredential> {
        let Ok(mut asked) = self.asked.try_lock() else {
            return old;
        };
        if asked.as_ref().is_some_and(|asked| asked.ended.elapsed() < PAUSE) {
            return old;
        }
        self.ask(&mut asked).await.unwrap_or_else(|error| {
            tracing::warn!(error = %error.chain(), "the old keys are used as long as they hold");
            old
        })
    }

    /// Keys where there are none, wanted since `arrived`. Who has waited for another's question takes its answer.
    async fn first(&self, arrived: Instant) -> object_store::Result<Arc<AwsCredential>> {
        let mut asked = self.asked.lock().await;
        if let Some(held) = self.held() {
            return Ok(held.credential);
        }
        if let Some(Asked {
            ended,
            failure: Some(text),
        }) = &*asked
            && *ended > arrived
        {
            return Err(refused(Error::storage(text.clone())));
        }
        self.ask(&mut asked).await.map_err(refused)
    }

    async fn ask(&self, asked: &mut Option<Asked>) -> Result<Arc<AwsCredential>> {
        let printed = self.run().await;
        *asked = Some(Asked {
            ended: Instant::now(),
            failure: printed.as_ref().err().map(Error::chain),
        });
        let held = Held::from(printed?);
        *self.held.write().unwrap_or_else(PoisonError::into_inner) = Some(held.clone());
        Ok(held.credential)
    }

    /// Runs the program; one that takes too long, or that nobody waits for any more, is ended.
    async fn run(&self) -> Result<Printed> {
        let mut program = Command::new("sh");
        program.arg("-c").arg(&self.command).stdin(Stdio::null());
        program.stdout(Stdio::piped()).stderr(Stdio::piped()).kill_on_drop(true);
        if self.apart {
            program.process_group(0);
        }
        let unstarted = |cause| Error::input(self.text("cannot be started")).caused_by(cause);
        let program = program.spawn().map_err(unstarted)?;
        let mut group = Group::of(&program, self.apart);
        let Ok(output) = tokio::time::timeout(self.limit, program.wait_with_output()).await else {
            let seconds = self.limit.as_secs();
            return Err(Error::storage(
                self.text(&format!("did not end within {seconds} seconds")),
            ));
        };
        group.0 = None;
        let output = output.map_err(unstarted)?;
        if !output.status.success() {
            let said = self.text(&format!("failed: {}", self.said(&output.stderr)));
            // What the shell answers for a program that is not there, or is none.
            let absent = matches!(output.status.code(), Some(126 | 127));
            return Err(if absent {
                Error::input(said)
            } else {
                Error::storage(said)
            });
        }
        // The cause could repeat what was printed, which is a key.
        let printed: Printed = serde_json::from_slice(&output.stdout)
            .map_err(|_| Error::input(self.text("did not print credentials as JSON")))?;
        match printed.expiration {
            Some(until) if until <= Timestamp::now() => {
                let text = format!("printed keys that have ended at {until}, look at the clock and sign in anew");
                Err(Error::storage(self.text(&text)))
            }
            _ => Ok(printed),
        }
    }

    fn text(&self, what: &str) -> String {
        format!("the credential_process of the AWS profile {:?} {what}", self.profile)
    }

    /// What the program said of its failure. Shells may repeat the command.
    fn said(&self, stderr: &[u8]) -> String {
        let said = String::from_utf8_lossy(stderr).replace(&self.command, "...");
        said.trim().chars().take(SAID).collect()
    }
}

/// A group of processes that ends when nobody waits for it any more.
struct Group(Option<Pid>);

impl Group {
    fn of(leader: &Child, apart: bool) -> Self {
        let pid = leader.id().and_then(|id| Pid::from_raw(id.cast_signed()));
        Self(pid.filter(|_| apart))
    }
}

impl Drop for Group {
    fn drop(&mut self) {
        if let Some(pid) = self.0 {
            kill_process_group(pid, Signal::KILL).ok();
        }
    }
}

fn refused(cause: Error) -> StoreError {
    StoreError::Generic {
        store: "S3",
        source: cause.into(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn provider(command: &str) -> ProcessProvider {
        ProcessProvider::new("night".to_owned(), command.to_owned())
    }

    /// A command that prints keys which last so long, or for ever, and leaves an `x` in the file each time.
    fn printing(count: &tempfile::NamedTempFile, lasting: Option<SignedDuration>) -> String {
        let until = lasting.map(|time| Timestamp::now().saturating_add(time).unwrap());
        let until = until.map_or(String::new(), |until| format!(",\"Expiration\":\"{until}\""));
        let path = count.path().display();
        format!("printf x >> {path}; echo '{{\"Version\":1,\"AccessKeyId\":\"PK\",\"SecretAccessKey\":\"PS\"{until}}}'")
    }

    fn times(count: &tempfile::NamedTempFile) -> usize {
        std::fs::read_to_string(count.path()).unwrap().len()
    }

    #[tokio::test]
    async fn a_program_is_asked_again_only_when_its_keys_end_and_not_for_every_request() {
        for lasting in [
            None,
            Some(SignedDuration::from_mins(2)),
            Some(SignedDuration::from_hours(1)),
        ] {
            let count = tempfile::NamedTempFile::new().unwrap();
            let provider = provider(&printing(&count, lasting));
            for _ in 0..3 {
                assert_eq!(provider.get_credential().await.unwrap().key_id, "PK");
            }
            assert_eq!(times(&count), 1, "{lasting:?}");
            provider.asked.lock().await.as_mut().unwrap().ended = Instant::now().checked_sub(PAUSE).unwrap();
            provider.get_credential().await.unwrap();
            let again = usize::from(lasting.is_some_and(|time| time < MARGIN));
            assert_eq!(times(&count), 1 + again, "{lasting:?}");
        }
    }

    #[tokio::test]
    async fn old_keys_do_while_the_program_hangs_or_fails() {
        let count = tempfile::NamedTempFile::new().unwrap();
        let mut provider = provider(&printing(&count, Some(SignedDuration::from_mins(2))));
        provider.get_credential().await.unwrap();
        for (command, limit) in [("sleep 60", Duration::from_secs(1)), ("false", LIMIT)] {
            provider.command = command.to_owned();
            provider.limit = limit;
            provider.asked.get_mut().as_mut().unwrap().ended = Instant::now().checked_sub(PAUSE).unwrap();
            let began = Instant::now();
            let one = provider.get_credential();
            let other = async {
                tokio::task::yield_now().await;
                let credential = provider.get_credential().await;
                assert!(began.elapsed() < Duration::from_millis(900), "{:?}", began.elapsed());
                credential
            };
            let (one, other) = tokio::join!(one, other);
            assert_eq!(
                (one.unwrap().key_id.as_str(), other.unwrap().key_id.as_str()),
                ("PK", "PK")
            );
        }
    }

    #[tokio::test]
    async fn a_program_that_hangs_is_ended_with_what_it_started() {
        let pid = tempfile::NamedTempFile::new().unwrap();
        let file = pid.path().display();
        for (command, apart) in [
            (format!("echo $$ > {file}; exec sleep 60"), false),
            (format!("sleep 60 & echo $! > {file}; wait"), true),
        ] {
            let mut provider = provider(&command);
            (provider.limit, provider.apart) = (Duration::from_millis(500), apart);
            let began = Instant::now();
            let (one, other) = tokio::join!(provider.get_credential(), provider.get_credential());
            // Who waited for the one who asked does not ask again.
            assert!(began.elapsed() < Duration::from_millis(950), "{:?}", began.elapsed());
            for error in [one.unwrap_err(), other.unwrap_err()] {
                assert!(error.to_string().contains("did not end within"), "{error}");
            }
            let id = std::fs::read_to_string(pid.path()).unwrap();
            assert!(ends(&format!("/proc/{}/stat", id.trim())).await, "{command}");
        }
    }

    /// Whether a process is dead soon, whether or not somebody has asked for its status yet.
    async fn ends(process: &str) -> bool {
        for _ in 0..100 {
            match std::fs::read_to_string(process) {
                Ok(stat) if !stat.contains(") Z ") => tokio::time::sleep(Duration::from_millis(20)).await,
                _ => return true,
            }
        }
        false
    }

    #[tokio::test]
    async fn a_failure_names_the_profile_and_not_the_command() {
        for (command, part) in [
            ("echo no such role >&2; false --password geheim", "no such role"),
            ("echo 'x geheim", "failed: "),
            ("/nonexistent/program --password geheim", "failed: "),
            ("echo geheim", "did not print credentials as JSON"),
            (
                "printf '{\"AccessKeyId\":\"geheim\",\"SecretAccessKey\":7}'",
                "did not print",
            ),
            (
                "echo '{\"AccessKeyId\":\"a\",\"SecretAccessKey\":\"geheim\",\"Expiration\":\"2020-01-01T00:00:00Z\"}'",
                "ended at 2020-01-01",
            ),
        ] {
            let provider = provider(command);
            let error = provider.get_credential().await.unwrap_err();
            let text = format!("{error} {error:?} {provider:?}");
            assert!(text.contains("profile \"night\"") && text.contains(part), "{text}");
            assert!(!text.contains("geheim"), "{text}");
        }
    }
}
