//! Which host is asked.

use std::fmt;
use std::net::IpAddr;
use std::str::FromStr;

use url::{Host, Url};

use crate::error::{Error, Result};

/// Where Customer.io keeps a workspace.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Region {
    /// United States.
    Us,
    /// European Union.
    Eu,
}

impl Region {
    /// The one that is not this one.
    pub fn other(self) -> Self {
        match self {
            Self::Us => Self::Eu,
            Self::Eu => Self::Us,
        }
    }

    /// The region whose host `url` names, if it is Customer.io's own.
    pub(super) fn of(url: &Url) -> Option<Self> {
        [Self::Us, Self::Eu]
            .into_iter()
            .find(|region| region.url().is_ok_and(|own| own.host() == url.host()))
    }

    fn url(self) -> Result<Url> {
        let text = match self {
            Self::Us => "https://api.customer.io",
            Self::Eu => "https://api-eu.customer.io",
        };
        parse_api_url(text)
    }
}

impl FromStr for Region {
    type Err = Error;

    fn from_str(text: &str) -> Result<Self> {
        match text.trim().to_ascii_lowercase().as_str() {
            "us" => Ok(Self::Us),
            "eu" => Ok(Self::Eu),
            _ => Err(Error::input(format!(
                "unknown region {text:?}; CIO_REGION and --region are us or eu"
            ))),
        }
    }
}

impl fmt::Display for Region {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Us => "us",
            Self::Eu => "eu",
        })
    }
}

/// How the host is chosen.
#[derive(Debug, Clone)]
pub enum Base {
    /// This one; see [`parse_api_url`] for what it may be.
    Url(Url),
    /// The host of a region.
    Region(Region),
    /// The host of the region that knows the key.
    Probe,
}

impl Base {
    /// The hosts that come into question; more than one has to be probed.
    pub(super) fn candidates(&self) -> Result<Vec<Url>> {
        match self {
            Self::Url(url) => check(url).map(|()| vec![url.clone()]),
            Self::Region(region) => Ok(vec![region.url()?]),
            Self::Probe => [Region::Us, Region::Eu].into_iter().map(Region::url).collect(),
        }
    }
}

/// The base URL in `text`, e.g. `https://api.customer.io` or `http://127.0.0.1:8080`.
///
/// # Errors
/// Input, when it is no http(s) URL, would send the key in the clear to another machine, or holds credentials, a query
/// or a fragment.
pub fn parse_api_url(text: &str) -> Result<Url> {
    let url = Url::parse(text.trim()).map_err(|e| {
        Error::input("cannot read the API URL; write it like https://api.customer.io in CIO_API_URL or --api-url")
            .caused_by(e)
    })?;
    check(&url)?;
    Ok(url)
}

fn check(url: &Url) -> Result<()> {
    let fault = match url.scheme() {
        // The URL itself is not printed here: it may hold a password.
        _ if !url.username().is_empty() || url.password().is_some() => {
            "must not hold credentials; the key belongs in CIO_TOKEN or --token-file"
        }
        "https" | "http" if url.query().is_some() || url.fragment().is_some() => {
            "must end with its path, without a query or fragment"
        }
        "https" => return Ok(()),
        "http" if is_loopback(url) => return Ok(()),
        "http" => {
            "would send the key in the clear; use https, plain http is only for this machine (127.0.0.1, localhost)"
        }
        _ => "must begin with https://",
    };
    let place = url.host_str().unwrap_or("without a host");
    Err(Error::input(format!("the API URL ({}, {place}) {fault}", url.scheme())))
}

/// Whether what is sent to `url` stays on this machine.
fn is_loopback(url: &Url) -> bool {
    match url.host() {
        Some(Host::Ipv4(address)) => IpAddr::V4(address).is_loopback(),
        Some(Host::Ipv6(address)) => IpAddr::V6(address).is_loopback(),
        // The resolver of this machine answers for `localhost` and nothing else is taken on trust.
        Some(Host::Domain(name)) => name == "localhost",
        None => false,
    }
}

/// How a base URL reads in errors: without the slash that the parser puts at its end.
pub(super) fn shown(base: &Url) -> &str {
    base.as_str().trim_end_matches('/')
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_key_is_never_sent_in_the_clear_to_another_machine() {
        for text in [
            "http://api.customer.io",
            "http://192.168.1.7:8080",
            "http://localhost.example.com",
            "http://127.0.0.1.example.com",
            "http://0.0.0.0:80",
        ] {
            let error = parse_api_url(text).unwrap_err();
            assert_eq!(error.kind().exit_code(), 2, "{text}");
            assert!(error.to_string().contains("in the clear"), "{error}");
        }
    }

    #[test]
    fn https_and_this_machine_are_taken() {
        for text in [
            "https://api.customer.io",
            "https://proxy.example.com/cio/",
            "http://127.0.0.1:8080",
            "http://127.8.0.1:8080",
            "http://localhost:8080",
            "http://[::1]:8080/",
        ] {
            assert!(parse_api_url(text).is_ok(), "{text}");
        }
    }

    #[test]
    fn credentials_queries_and_other_schemes_are_refused() {
        for text in [
            "https://me:pa55word@api.customer.io",
            "https://pa55word@api.customer.io",
            "https://api.customer.io?key=pa55word",
            "https://api.customer.io#pa55word",
            "ftp://127.0.0.1",
            "api.customer.io",
            "",
        ] {
            let error = parse_api_url(text).unwrap_err();
            assert_eq!(error.kind().exit_code(), 2, "{text}");
            assert!(!error.chain().contains("pa55word"), "{}", error.chain());
        }
    }

    #[test]
    fn regions_round_trip_and_have_hosts() {
        for (region, host) in [(Region::Us, "api.customer.io"), (Region::Eu, "api-eu.customer.io")] {
            assert_eq!(region.to_string().parse::<Region>().unwrap(), region);
            assert_eq!(region.url().unwrap().host_str(), Some(host));
            assert_eq!(Region::of(&region.url().unwrap()), Some(region));
            assert_eq!(region.other().other(), region);
        }
        assert!("asia".parse::<Region>().is_err());
    }

    #[test]
    fn an_unchecked_url_is_checked_before_it_is_used() {
        let base = Base::Url(Url::parse("http://example.com").unwrap());
        assert!(base.candidates().is_err());
    }
}
