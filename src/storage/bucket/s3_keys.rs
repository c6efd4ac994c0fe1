//! Whose keys open a bucket that speaks S3.

use std::sync::Arc;
use std::time::Duration;

use object_store::aws::{AmazonS3Builder, AwsCredentialProvider};

use super::client::{brief, patient};
use super::credentials::{Origin, prove, without_secrets};
use super::process::{self, ProcessProvider};
use super::profile::{Keys, Profile};
use crate::error::{Error, Result};
use crate::storage::destination::Destination;

const NO_KEYS: &str = "set AWS_ACCESS_KEY_ID and AWS_SECRET_ACCESS_KEY, or AWS_PROFILE, or let the machine have a role";
const ID: &str = "AWS_ACCESS_KEY_ID";
const SECRET: &str = "AWS_SECRET_ACCESS_KEY";
const BY_TOKEN: [&str; 2] = ["AWS_WEB_IDENTITY_TOKEN_FILE", "AWS_ROLE_ARN"];
const BY_POD: [&str; 2] = [
    "AWS_CONTAINER_CREDENTIALS_FULL_URI",
    "AWS_CONTAINER_AUTHORIZATION_TOKEN_FILE",
];

/// Where keys are taken from.
enum Source {
    Stored(Keys, Origin),
    Program(ProcessProvider, Origin),
    /// One that the client finds by itself in the environment.
    Asked(Origin),
}

/// Takes the keys from where AWS's own tools would take them, and proves that there are any. `builder` has none yet.
///
/// # Errors
///
/// As for [`prove`]; Input too, for half a key and for a profile whose keys are left to AWS's tools.
pub(in crate::storage) async fn keys(
    builder: AmazonS3Builder,
    destination: &Destination,
    profile: Option<Profile>,
) -> Result<AwsCredentialProvider> {
    let (builder, origin) = match source(destination, profile)? {
        Source::Stored(keys, origin) => (with(builder, keys), origin),
        Source::Program(program, origin) => (builder.with_credentials(Arc::new(program)), origin),
        Source::Asked(origin) => (builder, origin),
    };
    let made = |retry| {
        let built = builder.clone().with_retry(retry).build();
        let built = built.map_err(|cause| {
            let text = format!("{} cannot be used: {NO_KEYS}", origin.from());
            without_secrets(Error::input(text), cause)
        })?;
        Ok(Arc::clone(built.credentials()))
    };
    // A person waits for the first answer. A run rather waits than ends.
    prove(&made(brief())?, &origin, NO_KEYS).await?;
    made(patient(destination.patience))
}

/// Whether the environment's keys go before those of `profile`.
pub(in crate::storage) fn in_environment(destination: &Destination, profile: Option<&Profile>) -> bool {
    let chosen = destination.profile.is_some()
        && profile.is_some_and(|profile| profile.keys.is_some() || profile.process.is_some());
    destination.variable(ID).is_some() && !chosen
}

/// The order of AWS's own tools; only a profile in this tool's own settings goes before the environment.
fn source(destination: &Destination, profile: Option<Profile>) -> Result<Source> {
    if in_environment(destination, profile.as_ref()) {
        return environment(destination);
    }
    let named = Profile::named(destination).is_some();
    let by_token = set(destination, &BY_TOKEN);
    let left = match profile.filter(|_| named || !by_token).map(of_profile) {
        Some(Ok(Some(source))) => return Ok(source),
        Some(Err(error)) if named => return Err(error),
        // Somebody else may have keys all the same.
        Some(Err(error)) => Some(error),
        Some(Ok(None)) | None => None,
    };
    if set(destination, &[SECRET]) {
        return environment(destination);
    }
    match (service(destination), left) {
        (Some(service), _) => Ok(Source::Asked(Origin::named(service))),
        (None, Some(error)) => Err(error),
        (None, None) => machine(destination),
    }
}

fn service(destination: &Destination) -> Option<&'static str> {
    if set(destination, &BY_TOKEN) {
        Some("the role in AWS_ROLE_ARN")
    } else if set(destination, &["AWS_CONTAINER_CREDENTIALS_RELATIVE_URI"]) {
        Some("the container's role")
    } else if set(destination, &BY_POD) {
        Some("the pod's role")
    } else {
        None
    }
}

fn machine(destination: &Destination) -> Result<Source> {
    let disabled = destination.variable("AWS_EC2_METADATA_DISABLED");
    if disabled.is_some_and(|text| text.eq_ignore_ascii_case("true")) {
        return Err(Error::input(format!("there are no credentials for S3: {NO_KEYS}")));
    }
    Ok(Source::Asked(Origin::machine(
        "there are no credentials for S3 in the environment or the profile files, and the machine's role",
    )))
}

fn set(destination: &Destination, names: &[&str]) -> bool {
    names.iter().all(|name| destination.variable(name).is_some())
}

fn environment(destination: &Destination) -> Result<Source> {
    let half = |missing: &str| {
        Error::input(format!(
            "the environment gave no credentials, {missing} is missing: {NO_KEYS}"
        ))
    };
    let variable = |name: &str| destination.variable(name).map(ToOwned::to_owned);
    let keys = Keys {
        id: variable(ID).ok_or_else(|| half(ID))?,
        secret: variable(SECRET).ok_or_else(|| half(SECRET))?,
        token: variable("AWS_SESSION_TOKEN"),
    };
    Ok(Source::Stored(keys, Origin::named("the environment")))
}

/// What a profile gives by itself; `None` for one that says nothing of keys.
fn of_profile(profile: Profile) -> Result<Option<Source>> {
    let name = profile.name;
    let origin = Origin::named(format!("the AWS profile {name:?}"));
    match (profile.keys, profile.process, profile.elsewhere) {
        (Some(keys), _, _) => Ok(Some(Source::Stored(keys, origin))),
        (None, Some(command), _) => {
            // The program ends by itself before that, and its own limit is told with its name.
            let origin = origin.within(process::LIMIT + Duration::from_secs(1));
            Ok(Some(Source::Program(ProcessProvider::new(name, command), origin)))
        }
        (None, None, Some(key)) => Err(Error::input(format!(
            "the AWS profile {name:?} gets its keys by {key}, which is left to AWS's own tools: run \
             eval \"$(aws configure export-credentials --profile {name} --format env)\", or set in it \
             credential_process = aws configure export-credentials --profile {name}"
        ))),
        (None, None, None) => Ok(None),
    }
}

fn with(builder: AmazonS3Builder, keys: Keys) -> AmazonS3Builder {
    let builder = builder.with_access_key_id(keys.id).with_secret_access_key(keys.secret);
    match keys.token {
        Some(token) => builder.with_token(token),
        None => builder,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::error::ErrorKind;
    use crate::storage::bucket::s3::tests::{KEYS, opened};

    /// A file of profiles, and the variable that names it.
    fn profiles(text: &str) -> (tempfile::NamedTempFile, String) {
        let file = tempfile::NamedTempFile::new().unwrap();
        std::fs::write(file.path(), text).unwrap();
        let path = file.path().to_str().unwrap().to_owned();
        (file, path)
    }

    const NIGHT: &str =
        "[night]\naws_access_key_id=NK\naws_secret_access_key=NS\nregion=x\nendpoint_url=https://minio.example\n";
    const TOKEN: (&str, &str) = ("AWS_SESSION_TOKEN", "OTHERS");

    #[tokio::test]
    async fn a_profiles_keys_go_alone_even_beside_the_environments() {
        let (_file, path) = profiles(NIGHT);
        let path = ("AWS_SHARED_CREDENTIALS_FILE", path.as_str());
        let [id, secret] = KEYS;
        let url = opened("s3://b", &[id, secret, TOKEN, path], |to| {
            to.profile = Some("night".into())
        })
        .await;
        let url = url.unwrap();
        assert!(url.contains("NK%2F") && !url.contains("OTHERS"), "{url}");
        let url = opened("s3://b", &[TOKEN, path, ("AWS_PROFILE", "night")], |_| {})
            .await
            .unwrap();
        assert!(url.contains("NK%2F") && !url.contains("OTHERS"), "{url}");
    }

    #[tokio::test]
    async fn beside_keys_in_the_environment_a_profile_says_where_the_store_is() {
        let [id, secret] = KEYS;
        for (text, name) in [
            (NIGHT.to_owned(), Some("night")),
            (NIGHT.replace("night", "default"), None),
        ] {
            let (_file, path) = profiles(&text);
            let mut variables = vec![id, secret, TOKEN, ("AWS_SHARED_CREDENTIALS_FILE", path.as_str())];
            variables.extend(name.map(|name| ("AWS_PROFILE", name)));
            let url = opened("s3://b", &variables, |_| {}).await.unwrap();
            assert!(
                url.starts_with("https://minio.example/b/x?") && url.contains("%2Fx%2Fs3"),
                "{url}"
            );
            assert!(url.contains("AK%2F") && url.contains("OTHERS"), "{url}");
        }
        // The way that is told for a profile of this kind: its keys exported, its name still set.
        let (_file, path) = profiles("[profile sso]\nsso_session = x\nregion = eu-west-3\n");
        let variables = [id, secret, ("AWS_CONFIG_FILE", path.as_str()), ("AWS_PROFILE", "sso")];
        let url = opened("s3://b", &variables, |_| {}).await.unwrap();
        assert!(url.contains("eu-west-3") && url.contains("AK%2F"), "{url}");
        // Files that nobody named are spare then.
        let (_file, path) = profiles("[default\n");
        let variables = [id, secret, ("AWS_REGION", "x"), ("AWS_CONFIG_FILE", path.as_str())];
        assert!(opened("s3://b", &variables, |_| {}).await.is_ok());
    }

    #[tokio::test]
    async fn half_a_key_and_no_key_are_told_before_anything_is_asked() {
        for (half, missing) in [(0, SECRET), (1, ID)] {
            let half = opened("s3://b", &KEYS[half..=half], |_| {}).await.unwrap_err();
            assert_eq!(half.kind(), ErrorKind::Input);
            let text = half.chain();
            assert!(
                text.contains("the environment gave no credentials") && text.contains(missing),
                "{text}"
            );
        }
        for disabled in ["true", "True", "TRUE"] {
            let none = opened("s3://b", &[("AWS_EC2_METADATA_DISABLED", disabled)], |_| {}).await;
            let none = none.unwrap_err();
            assert_eq!(none.kind(), ErrorKind::Input);
            let text = none.chain();
            assert!(
                text.contains("no credentials for S3") && text.contains("AWS_PROFILE"),
                "{text}"
            );
        }
    }

    #[tokio::test]
    async fn a_profile_that_is_left_to_others_is_a_mistake_only_where_nobody_else_has_keys() {
        let (_file, path) = profiles("[default]\nsso_session = x\n[profile role]\nrole_arn = x\n");
        let file = ("AWS_CONFIG_FILE", path.as_str());
        let text = opened("s3://b", &[file], |_| {}).await.unwrap_err().chain();
        assert!(
            text.contains("sso_session") && text.contains("--profile default"),
            "{text}"
        );
        let service = [
            file,
            ("AWS_WEB_IDENTITY_TOKEN_FILE", "/nonexistent"),
            ("AWS_ROLE_ARN", "x"),
        ];
        let text = opened("s3://b", &service, |_| {}).await.unwrap_err().chain();
        assert!(text.starts_with("the role in AWS_ROLE_ARN"), "{text}");
        let named = [&service[..], &[("AWS_PROFILE", "role")]].concat();
        let text = opened("s3://b", &named, |_| {}).await.unwrap_err().chain();
        assert!(
            text.contains("role_arn") && text.contains("export-credentials --profile role"),
            "{text}"
        );
    }

    /// A service that answers these statuses, one a request and the last one for ever: keys with 200, which end in two minutes.
    async fn service(statuses: &'static [u16]) -> String {
        use tokio::io::{AsyncReadExt, AsyncWriteExt};
        let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
        let address = listener.local_addr().unwrap();
        let until = jiff::Timestamp::now() + jiff::SignedDuration::from_mins(2);
        let keys = format!(
            "{{\"AccessKeyId\":\"CK\",\"SecretAccessKey\":\"CS\",\"Token\":\"CT\",\"Expiration\":\"{until}\"}}"
        );
        tokio::spawn(async move {
            for at in 0.. {
                let (mut socket, _) = listener.accept().await.unwrap();
                let mut request = [0; 4096];
                let _ = socket.read(&mut request).await.unwrap();
                let status = statuses[at.min(statuses.len() - 1)];
                let body = if status == 200 { keys.as_str() } else { "geheim" };
                let head = format!(
                    "HTTP/1.1 {status} X\r\nconnection: close\r\ncontent-length: {}\r\n\r\n",
                    body.len()
                );
                socket.write_all((head + body).as_bytes()).await.unwrap();
            }
        });
        format!("http://{address}")
    }

    #[tokio::test]
    async fn a_run_waits_longer_for_its_next_keys_than_a_person_for_the_first() {
        let uri = service(&[200, 503, 503, 503, 200]).await;
        let (_file, token) = profiles("token");
        let pod = [
            (BY_POD[0], uri.as_str()),
            (BY_POD[1], token.as_str()),
            ("AWS_REGION", "x"),
        ];
        let url = opened("s3://b", &pod, |_| {}).await.unwrap();
        assert!(url.contains("CK%2F"), "{url}");
    }

    #[tokio::test]
    async fn who_is_named_and_gives_nothing_has_failed_and_a_machine_without_a_role_has_none() {
        let (_file, token) = profiles("token");
        let named = |uri: String| vec![(BY_POD[0], uri), (BY_POD[1], token.clone())];
        let machine = |uri: String| vec![("AWS_METADATA_ENDPOINT", uri)];
        let nobody = || "http://127.0.0.1:1".to_owned();
        for (variables, kind, part) in [
            (
                named(service(&[503]).await),
                ErrorKind::Storage,
                "the pod's role gave no credentials",
            ),
            (
                named(service(&[403]).await),
                ErrorKind::Storage,
                "give the same command again",
            ),
            (named(nobody()), ErrorKind::Storage, "the pod's role"),
            (machine(service(&[503]).await), ErrorKind::Storage, "the machine's role"),
            (machine(service(&[404]).await), ErrorKind::Input, "AWS_PROFILE"),
            (machine(nobody()), ErrorKind::Input, "AWS_PROFILE"),
        ] {
            let variables: Vec<_> = variables.iter().map(|(name, value)| (*name, value.as_str())).collect();
            let error = opened("s3://b", &variables, |_| {}).await.unwrap_err();
            let text = error.chain();
            assert_eq!(error.kind(), kind, "{variables:?}: {text}");
            assert!(text.contains(part), "{text}");
        }
    }

    #[tokio::test]
    async fn a_program_that_fails_may_succeed_later_and_one_that_is_not_there_never_does() {
        for (command, kind) in [
            ("echo expired >&2; exit 1", ErrorKind::Storage),
            ("/nonexistent/program", ErrorKind::Input),
        ] {
            let (_file, path) = profiles(&format!("[default]\ncredential_process = {command}\n"));
            let error = opened("s3://b", &[("AWS_CONFIG_FILE", path.as_str())], |_| {})
                .await
                .unwrap_err();
            assert_eq!(error.kind(), kind, "{}", error.chain());
            assert!(
                error
                    .chain()
                    .starts_with("the AWS profile \"default\" gave no credentials"),
                "{}",
                error.chain()
            );
        }
    }
}
