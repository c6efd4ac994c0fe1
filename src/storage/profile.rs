//! The profile files that AWS's own tools share: keys, or the program that hands them out.

use std::path::{Path, PathBuf};
use std::process::Command;
use std::sync::Arc;

use async_trait::async_trait;
use configparser::ini::Ini;
use jiff::{SignedDuration, Timestamp};
use object_store::aws::AwsCredential;
use object_store::{CredentialProvider, Error as StoreError};
use serde::Deserialize;
use tokio::sync::Mutex;

use super::destination::Destination;
use crate::error::{Error, Result};

/// Keys that a program handed out are asked for again when they have less than this left.
const MARGIN: SignedDuration = SignedDuration::from_mins(5);

/// What the files say of one profile.
#[derive(Debug, Default, PartialEq, Eq)]
pub(super) struct Profile {
    pub(super) name: String,
    pub(super) keys: Option<Keys>,
    pub(super) process: Option<String>,
    pub(super) region: Option<String>,
    pub(super) endpoint: Option<String>,
}

/// Keys that stand in a file.
#[derive(PartialEq, Eq)]
pub(super) struct Keys {
    pub(super) id: String,
    pub(super) secret: String,
    pub(super) token: Option<String>,
}

impl std::fmt::Debug for Keys {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("Keys(..)")
    }
}

impl Profile {
    /// Reads the profile that the settings name, or `default`; `None` when nobody named one and there is none.
    ///
    /// # Errors
    ///
    /// Input: a file that cannot be read, a named profile that is not there, and one that gets its keys in a way that is not
    /// supported.
    pub(super) fn read(destination: &Destination) -> Result<Option<Self>> {
        let named = destination.profile.as_deref().or(destination.variable("AWS_PROFILE"));
        let name = named.unwrap_or("default");
        let credentials = file(destination, "AWS_SHARED_CREDENTIALS_FILE", ".aws/credentials");
        let config = file(destination, "AWS_CONFIG_FILE", ".aws/config");
        let sections = [
            (&credentials, name.to_owned()),
            (
                &config,
                if name == "default" {
                    name.to_owned()
                } else {
                    format!("profile {name}")
                },
            ),
        ];
        let mut found = Vec::new();
        for (path, section) in sections {
            if let Some(path) = path
                && let Some(ini) = load(path)?
                && ini.sections().contains(&section)
            {
                found.push((ini, section));
            }
        }
        let get = |key: &str| {
            found
                .iter()
                .find_map(|(ini, section)| ini.get(section, key))
                .filter(|text| !text.is_empty())
        };
        if found.is_empty() {
            return match named {
                None => Ok(None),
                Some(name) => Err(Error::input(format!(
                    "the AWS profile {name:?} is neither in {} nor in {}: name another with AWS_PROFILE, or set AWS_ACCESS_KEY_ID and AWS_SECRET_ACCESS_KEY",
                    shown(credentials.as_deref()),
                    shown(config.as_deref())
                ))),
            };
        }
        let profile = Self {
            name: name.to_owned(),
            keys: get("aws_access_key_id")
                .zip(get("aws_secret_access_key"))
                .map(|(id, secret)| Keys {
                    id,
                    secret,
                    token: get("aws_session_token"),
                }),
            process: get("credential_process"),
            region: get("region"),
            endpoint: get("endpoint_url"),
        };
        let elsewhere = ["role_arn", "sso_session", "sso_start_url"]
            .into_iter()
            .find(|key| get(key).is_some());
        if let (None, None, Some(key)) = (&profile.keys, &profile.process, elsewhere) {
            return Err(Error::input(format!(
                "the AWS profile {name:?} gets its keys by {key}, which is left to AWS's own tools: run \
                 eval \"$(aws configure export-credentials --profile {name} --format env)\", or set in it \
                 credential_process = aws configure export-credentials --profile {name}"
            )));
        }
        Ok(Some(profile))
    }
}

fn file(destination: &Destination, variable: &str, below_home: &str) -> Option<PathBuf> {
    let named = destination.variable(variable).map(PathBuf::from);
    named.or_else(|| Some(Path::new(destination.variable("HOME")?).join(below_home)))
}

fn shown(path: Option<&Path>) -> String {
    path.map_or("the home folder".to_owned(), |path| path.display().to_string())
}

fn load(path: &Path) -> Result<Option<Ini>> {
    let text = match std::fs::read_to_string(path) {
        Ok(text) => text,
        Err(cause) if cause.kind() == std::io::ErrorKind::NotFound => return Ok(None),
        Err(cause) => {
            return Err(Error::input(format!("cannot read the AWS profiles in {}", path.display())).caused_by(cause));
        }
    };
    let mut ini = Ini::new_cs();
    // What stands in the file may be a key, so it is not repeated.
    ini.read(text).map_err(|_| {
        Error::input(format!(
            "{} is no file of AWS profiles, look at its form",
            path.display()
        ))
    })?;
    Ok(Some(ini))
}

/// Asks a program for keys, and again before they expire.
#[derive(Debug)]
pub(super) struct ProcessProvider {
    command: String,
    held: Mutex<Option<Held>>,
}

#[derive(Debug)]
struct Held {
    credential: Arc<AwsCredential>,
    until: Option<Timestamp>,
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

impl ProcessProvider {
    pub(super) fn new(command: String) -> Self {
        Self {
            command,
            held: Mutex::new(None),
        }
    }
}

#[async_trait]
impl CredentialProvider for ProcessProvider {
    type Credential = AwsCredential;

    async fn get_credential(&self) -> object_store::Result<Arc<AwsCredential>> {
        let mut held = self.held.lock().await;
        let soon = Timestamp::now().saturating_add(MARGIN).unwrap_or(Timestamp::MAX);
        if let Some(held) = &*held
            && held.until.is_none_or(|until| until > soon)
        {
            return Ok(Arc::clone(&held.credential));
        }
        let command = self.command.clone();
        let asked = tokio::task::spawn_blocking(move || ask(&command)).await;
        let printed = asked.map_err(refused)?.map_err(refused)?;
        let credential = Arc::new(AwsCredential {
            key_id: printed.access_key_id,
            secret_key: printed.secret_access_key,
            token: printed.session_token,
        });
        *held = Some(Held {
            credential: Arc::clone(&credential),
            until: printed.expiration,
        });
        Ok(credential)
    }
}

fn ask(command: &str) -> Result<Printed> {
    let wrong = |what: &str| Error::input(format!("the credential_process `{command}` {what}"));
    let output = Command::new("sh").arg("-c").arg(command).output();
    let output = output.map_err(|cause| wrong("cannot be started").caused_by(cause))?;
    if !output.status.success() {
        let said = String::from_utf8_lossy(&output.stderr);
        return Err(wrong(&format!("failed: {}", said.trim())));
    }
    // The cause could repeat what was printed, which is a key.
    serde_json::from_slice(&output.stdout).map_err(|_| wrong("did not print credentials as JSON"))
}

fn refused(cause: impl Into<Box<dyn std::error::Error + Send + Sync>>) -> StoreError {
    StoreError::Generic {
        store: "S3",
        source: cause.into(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn home(credentials: &str, config: &str) -> (tempfile::TempDir, Destination) {
        let home = tempfile::tempdir().unwrap();
        std::fs::create_dir(home.path().join(".aws")).unwrap();
        for (name, text) in [("credentials", credentials), ("config", config)] {
            std::fs::write(home.path().join(".aws").join(name), text).unwrap();
        }
        let mut destination = Destination::new("s3://b");
        let folder = home.path().to_str().unwrap().to_owned();
        destination.environment.insert("HOME".into(), folder);
        (home, destination)
    }

    const CREDENTIALS: &str = "[default]\naws_access_key_id = AK\naws_secret_access_key = se/cr+et=\n\n[night]\naws_access_key_id=NK\naws_secret_access_key=NS\naws_session_token=NT\n";
    const CONFIG: &str = "[default]\nregion = eu-west-1\n[profile night]\nregion=us-east-2\nendpoint_url = https://s3.example\ns3 =\n  addressing_style = path\n[profile role]\nrole_arn = arn:aws:iam::1:role/x\nsource_profile = default\n[profile asks]\ncredential_process = printf '{\"Version\":1,\"AccessKeyId\":\"PK\",\"SecretAccessKey\":\"PS\"}'\n";

    #[test]
    fn both_files_make_one_profile() {
        let (_home, mut destination) = home(CREDENTIALS, CONFIG);
        let default = Profile::read(&destination).unwrap().unwrap();
        assert_eq!(default.region.as_deref(), Some("eu-west-1"));
        assert_eq!(default.keys.unwrap().secret, "se/cr+et=");

        destination.profile = Some("night".into());
        let night = Profile::read(&destination).unwrap().unwrap();
        let keys = night.keys.unwrap();
        assert_eq!((keys.id.as_str(), keys.token.as_deref()), ("NK", Some("NT")));
        assert_eq!(night.endpoint.as_deref(), Some("https://s3.example"));
    }

    #[test]
    fn what_cannot_be_used_is_told_with_what_can() {
        let (_home, mut destination) = home(CREDENTIALS, CONFIG);
        destination.environment.insert("AWS_PROFILE".into(), "role".into());
        let text = Profile::read(&destination).unwrap_err().chain();
        assert!(
            text.contains("role_arn") && text.contains("export-credentials --profile role"),
            "{text}"
        );
        destination.profile = Some("gone".into());
        let text = Profile::read(&destination).unwrap_err().chain();
        assert!(
            text.contains("\"gone\" is neither in") && text.contains(".aws/config"),
            "{text}"
        );
    }

    #[test]
    fn no_files_are_no_mistake_unless_a_profile_is_named() {
        let mut destination = Destination::new("s3://b");
        assert_eq!(Profile::read(&destination).unwrap(), None);
        destination.environment.insert("HOME".into(), "/nonexistent".into());
        assert_eq!(Profile::read(&destination).unwrap(), None);
        destination.environment.insert("AWS_PROFILE".into(), "x".into());
        assert!(Profile::read(&destination).is_err());
    }

    #[test]
    fn a_damaged_file_does_not_repeat_its_keys() {
        let (_home, destination) = home("[default\naws_secret_access_key = geheim\n", "");
        let text = Profile::read(&destination).unwrap_err().chain();
        assert!(
            text.contains("no file of AWS profiles") && !text.contains("geheim"),
            "{text}"
        );
    }

    #[tokio::test]
    async fn a_program_is_asked_again_only_when_its_keys_end() {
        let count = tempfile::NamedTempFile::new().unwrap();
        let soon = Timestamp::now().saturating_add(SignedDuration::from_mins(2)).unwrap();
        let command = |until: &str| {
            let path = count.path().display();
            format!(
                "echo x >> {path}; echo '{{\"Version\":1,\"AccessKeyId\":\"PK\",\"SecretAccessKey\":\"PS\"{until}}}'"
            )
        };
        let asked = || std::fs::read_to_string(count.path()).unwrap().len() / 2;
        let lasting = ProcessProvider::new(command(""));
        for _ in 0..3 {
            assert_eq!(lasting.get_credential().await.unwrap().key_id, "PK");
        }
        assert_eq!(asked(), 1);
        let short = ProcessProvider::new(command(&format!(",\"Expiration\":\"{soon}\"")));
        for _ in 0..2 {
            short.get_credential().await.unwrap();
        }
        assert_eq!(asked(), 3);
        let failing = ProcessProvider::new("echo no such role >&2; false".to_owned());
        let error = failing.get_credential().await.unwrap_err().to_string();
        assert!(error.contains("no such role"), "{error}");
    }
}
