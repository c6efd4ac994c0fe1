//! `sandbox`: the simulated workspace as a server, until it is interrupted.

use std::net::{Ipv4Addr, SocketAddr};

use jiff::Timestamp;

use super::args::SandboxArgs;
use super::signals::signal;
use super::{out, parse};
use crate::error::{Error, Result};
use crate::sandbox::{Behaviour, Sandbox, Workspace};

/// Serves until Ctrl-C.
///
/// # Errors
/// Input, when a setting cannot be used or the port is taken.
pub async fn run(args: SandboxArgs) -> Result<u8> {
    let now: Timestamp = args
        .now
        .parse()
        .map_err(|e: jiff::Error| Error::input(format!("--now {:?} is no RFC 3339 instant", args.now)).caused_by(e))?;
    let workspace = Workspace {
        seed: args.seed,
        now,
        days: args.days,
        people: args.people,
        messages: args.messages,
        deliveries: args.deliveries,
        activities: args.activities,
    };
    let address = SocketAddr::from((Ipv4Addr::LOCALHOST, args.port));
    let mut sandbox = Sandbox::start(workspace, behaviour(&args)?, address)
        .await
        .map_err(|e| Error::input(format!("--port {} cannot be had", args.port)).caused_by(e))?;
    out::line(&format!("export CIO_API_URL={}", sandbox.url()))?;
    out::line(&format!("export CIO_TOKEN={}", sandbox.token()))?;
    out::tell(&format!(
        "a simulated workspace as of {now}; its clock moves with POST /_sandbox/clock; Ctrl-C ends it\n"
    ));
    tokio::select! {
        () = sandbox.finished() => Err(Error::internal("the sandbox's socket failed")),
        heard = signal() => heard.map(|()| 0).map_err(|e| Error::internal("cannot listen for signals").caused_by(e)),
    }
}

fn behaviour(args: &SandboxArgs) -> Result<Behaviour> {
    let base = Behaviour {
        rate: parse::rate("--rate", &args.rate)?,
        latency_ms: args.latency,
        jitter_ms: args.jitter,
        ..Behaviour::default()
    };
    let Some(text) = &args.behaviour else { return Ok(base) };
    let patch = serde_json::from_str(text).and_then(|patch: serde_json::Value| base.patched(&patch));
    patch.map_err(|e| Error::input(format!("--behaviour {text} cannot be used")).caused_by(e))
}
