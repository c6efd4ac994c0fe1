//! How Customer.io is reached: the key, and the region or another address.

use std::path::{Path, PathBuf};

use clap::Args as ClapArgs;

use super::config::Config;
use super::parse;
use super::settings::{Environment, PATIENCE};
use crate::error::{Error, Result};
use crate::source::{Base, Region, SourceSettings, Token, parse_api_url};

/// The flags of every command that asks Customer.io.
#[derive(Debug, Default, Clone, ClapArgs)]
pub struct AccessArgs {
    /// A file that holds the App API key, instead of CIO_TOKEN
    #[arg(long, value_name = "FILE")]
    pub token_file: Option<PathBuf>,
    /// The workspace's region, us or eu; both are tried when it is not given [env: CIO_REGION]
    #[arg(long, value_name = "REGION")]
    pub region: Option<String>,
    /// Another address of the API; plain http only on this machine [env: CIO_API_URL]
    #[arg(long, value_name = "URL")]
    pub api_url: Option<String>,
}

/// How fast Customer.io may be asked.
#[derive(Debug, Clone, Default, ClapArgs)]
pub struct PaceArgs {
    /// Requests a second, 0.01 at least; 0 is unlimited
    #[arg(long, value_name = "N", default_value = "10", allow_hyphen_values = true)]
    pub rate: String,
}

impl PaceArgs {
    /// In requests a second.
    ///
    /// # Errors
    /// Input, naming the flag.
    pub fn rate(&self) -> Result<f64> {
        parse::rate("--rate", &self.rate)
    }
}

impl AccessArgs {
    /// What the flags, else the environment, else the config file say; `rate` is in requests a second.
    ///
    /// # Errors
    /// Input, naming the flag or variable and the remedy.
    pub fn source(&self, config: &Config, environment: &Environment, rate: f64) -> Result<SourceSettings> {
        let token = match (&self.token_file, environment.get("CIO_TOKEN")) {
            (Some(path), _) => Token::new(read_token(path)?)?,
            (None, Some(text)) => Token::new(text)?,
            (None, None) => {
                return Err(Error::input(
                    "no key; set CIO_TOKEN to an App API key, or name a file that holds it with --token-file",
                ));
            }
        };
        Ok(SourceSettings {
            token,
            base: self.base(config, environment)?,
            rate,
            patience: environment.seconds("CIO2PARQUET_PATIENCE_SECONDS", PATIENCE)?,
            user_agent: concat!("cio2parquet/", env!("CARGO_PKG_VERSION")).to_owned(),
        })
    }

    fn base(&self, config: &Config, environment: &Environment) -> Result<Base> {
        // A region on the command line is meant, whatever address the environment names.
        let named = self.region.is_none().then(|| environment.get("CIO_API_URL")).flatten();
        let url = self.api_url.as_deref().or(named);
        let region = self
            .region
            .as_deref()
            .or(environment.get("CIO_REGION"))
            .or(config.region.as_deref());
        Ok(match (url, region) {
            (Some(url), _) => Base::Url(parse_api_url(url)?),
            (None, Some(region)) => Base::Region(region.parse::<Region>()?),
            (None, None) => Base::Probe,
        })
    }
}

fn read_token(path: &Path) -> Result<String> {
    let text = std::fs::read_to_string(path);
    text.map_err(|e| Error::input(format!("cannot read the key from --token-file {}", path.display())).caused_by(e))
}
