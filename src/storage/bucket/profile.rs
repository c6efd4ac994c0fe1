//! The profile files that AWS's own tools share: keys, or who hands them out, and where the bucket is.

use std::io::ErrorKind;
use std::path::{Path, PathBuf};

use configparser::ini::Ini;

use crate::error::{Error, Result};
use crate::storage::destination::Destination;

/// What the files say of one profile.
#[derive(Default, PartialEq, Eq)]
pub(in crate::storage) struct Profile {
    pub(in crate::storage) name: String,
    pub(in crate::storage) keys: Option<Keys>,
    /// The command that prints keys. It may hold a password.
    pub(in crate::storage) process: Option<String>,
    /// The setting by which AWS's own tools would get keys, where there are no others.
    pub(in crate::storage) elsewhere: Option<&'static str>,
    pub(in crate::storage) region: Option<String>,
    pub(in crate::storage) endpoint: Option<String>,
}

/// Keys that stand in a file.
#[derive(PartialEq, Eq)]
pub(in crate::storage) struct Keys {
    pub(in crate::storage) id: String,
    pub(in crate::storage) secret: String,
    pub(in crate::storage) token: Option<String>,
}

impl Profile {
    /// Reads the profile that the settings name, or `default`; `None` when nobody named one and there is none.
    ///
    /// # Errors
    ///
    /// Input: a file that cannot be read, and a named profile that is not there.
    pub(in crate::storage) fn read(destination: &Destination) -> Result<Option<Self>> {
        let named = Self::named(destination);
        let name = named.unwrap_or("default");
        let credentials = file(destination, "AWS_SHARED_CREDENTIALS_FILE", ".aws/credentials");
        let config = file(destination, "AWS_CONFIG_FILE", ".aws/config");
        let mut found = Vec::new();
        for (path, sections) in [(&credentials, vec![name.to_owned()]), (&config, in_config(name))] {
            let Some(ini) = path.as_deref().map(load).transpose()?.flatten() else {
                continue;
            };
            let headers = ini.sections();
            // The first form that is there counts, and hides the others.
            let header = sections
                .iter()
                .find_map(|section| headers.iter().find(|header| normal(header) == *section));
            if let Some(header) = header {
                found.push((ini, header.clone()));
            }
        }
        match named {
            None if found.is_empty() => Ok(None),
            Some(name) if found.is_empty() => Err(Error::input(format!(
                "the AWS profile {name:?} is neither in {} nor in {}: name another with AWS_PROFILE, or none",
                shown(credentials.as_deref()),
                shown(config.as_deref())
            ))),
            _ => Ok(Some(Self::of(name, &found))),
        }
    }

    /// The name that the settings give, if any.
    pub(in crate::storage) fn named(destination: &Destination) -> Option<&str> {
        destination.profile.as_deref().or(destination.variable("AWS_PROFILE"))
    }

    fn of(name: &str, found: &[(Ini, String)]) -> Self {
        let whole = |key: &str| {
            let mut values = found.iter().filter_map(|(ini, section)| ini.get(section, key));
            values.find(|text| !text.is_empty())
        };
        let get = |key: &str| whole(key).map(without_comment).filter(|text| !text.is_empty());
        let keys = get("aws_access_key_id").zip(get("aws_secret_access_key"));
        Self {
            name: name.to_owned(),
            keys: keys.map(|(id, secret)| Keys {
                id,
                secret,
                token: get("aws_session_token"),
            }),
            // The shell knows what is a comment there.
            process: whole("credential_process"),
            elsewhere: ["role_arn", "sso_session", "sso_start_url"]
                .into_iter()
                .find(|key| get(key).is_some()),
            region: get("region"),
            endpoint: get("endpoint_url"),
        }
    }
}

/// The sections of the config file that may hold a profile, the strongest first.
fn in_config(name: &str) -> Vec<String> {
    let section = format!("profile {name}");
    match name {
        "default" => vec![section, name.to_owned()],
        _ => vec![section],
    }
}

/// A section's name as it is written without need: `profile  "a b"` is `profile a b`.
fn normal(header: &str) -> String {
    match header.split_once(char::is_whitespace) {
        Some(("profile", name)) => format!("profile {}", name.trim().trim_matches(['"', '\''])),
        _ => header.to_owned(),
    }
}

/// A comment begins after white space; a key may have both signs inside.
fn without_comment(text: String) -> String {
    let begins = |(at, sign): (usize, char)| {
        let before = text[..at].chars().next_back();
        matches!(sign, '#' | ';') && before.is_none_or(char::is_whitespace)
    };
    match text.char_indices().find(|each| begins(*each)) {
        Some((at, _)) => text[..at].trim_end().to_owned(),
        None => text,
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
        // Users without a home have a file or a device for one.
        Err(cause) if matches!(cause.kind(), ErrorKind::NotFound | ErrorKind::NotADirectory) => return Ok(None),
        Err(cause) => {
            return Err(Error::input(format!("cannot read the AWS profiles in {}", path.display())).caused_by(cause));
        }
    };
    let mut ini = Ini::new_cs();
    let mut form = ini.defaults();
    form.enable_inline_comments = false;
    ini.load_defaults(form);
    // What stands in the file may be a key, so it is not repeated.
    ini.read(text).map_err(|_| {
        Error::input(format!(
            "{} is no file of AWS profiles, look at its form",
            path.display()
        ))
    })?;
    Ok(Some(ini))
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
    fn a_profile_that_is_not_there_is_told_with_where_it_was_looked_for() {
        let (_home, mut destination) = home(CREDENTIALS, CONFIG);
        destination.environment.insert("AWS_PROFILE".into(), "role".into());
        let role = Profile::read(&destination).unwrap().unwrap();
        assert_eq!((role.elsewhere, role.keys.is_none()), (Some("role_arn"), true));
        destination.profile = Some("gone".into());
        let text = Profile::read(&destination).err().unwrap().chain();
        assert!(
            text.contains("\"gone\" is neither in") && text.contains(".aws/config"),
            "{text}"
        );
    }

    #[test]
    fn no_files_are_no_mistake_unless_a_profile_is_named() {
        let mut destination = Destination::new("s3://b");
        assert!(Profile::read(&destination).unwrap().is_none());
        for home in ["/nonexistent", "/dev/null"] {
            destination.environment.insert("HOME".into(), home.into());
            assert!(Profile::read(&destination).unwrap().is_none());
        }
        destination.environment.insert("AWS_PROFILE".into(), "x".into());
        assert!(Profile::read(&destination).is_err());
    }

    #[test]
    fn a_damaged_file_does_not_repeat_its_keys() {
        let (_home, destination) = home("[default\naws_secret_access_key = geheim\n", "");
        let text = Profile::read(&destination).err().unwrap().chain();
        assert!(
            text.contains("no file of AWS profiles") && !text.contains("geheim"),
            "{text}"
        );
    }

    #[test]
    fn a_value_ends_where_aws_ends_it() {
        let config = "[default] # ours\ncredential_process = sh -c 'a; b#c'\nregion = eu-west-1 # Paris\nendpoint_url = https://h/#a;b ; old\naws_access_key_id = A#;B\naws_secret_access_key = # none\n";
        let (_home, destination) = home("", config);
        let profile = Profile::read(&destination).unwrap().unwrap();
        assert_eq!(profile.process.as_deref(), Some("sh -c 'a; b#c'"));
        assert_eq!(profile.region.as_deref(), Some("eu-west-1"));
        assert_eq!(profile.endpoint.as_deref(), Some("https://h/#a;b"));
        assert!(profile.keys.is_none());
    }

    #[test]
    fn every_way_to_write_a_section_is_understood() {
        for (config, name, region) in [
            ("[profile default]\nregion = a\n", "default", "a"),
            ("[default]\nregion = b\n[profile default]\nregion = a\n", "default", "a"),
            ("[profile \"two words\"]\nregion = a\n", "two words", "a"),
            ("[profile\tnight]\nregion = a\n", "night", "a"),
        ] {
            let (_home, mut destination) = home("[default]\noutput = json\n", config);
            destination.profile = (name != "default").then(|| name.to_owned());
            let profile = Profile::read(&destination).unwrap().unwrap();
            assert_eq!(profile.region.as_deref(), Some(region), "{config}");
        }
    }
}
