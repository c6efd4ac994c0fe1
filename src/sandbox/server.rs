//! The workspace as an HTTP server on a socket, and the handle that holds it.

use std::net::SocketAddr;
use std::sync::atomic::{AtomicI64, Ordering};
use std::sync::{Arc, Mutex, PoisonError, RwLock};
use std::{collections::BTreeMap, io};

use axum::Router;
use axum::routing::any;
use jiff::Timestamp;
use tokio::net::TcpListener;
use tokio::sync::oneshot;
use tokio::task::JoinHandle;

use super::behaviour::Behaviour;
use super::faults::FaultPlan;
use super::journal::{Journal, Requests};
use super::limit::Bucket;
use super::line::{Line, Lines};
use super::truth::{Stream, Truth};
use super::workspace::{Workspace, World};
use super::{api, control};

/// Why the sandbox could not be started.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum SandboxError {
    /// The address cannot be listened on.
    #[error("cannot listen on {address}: choose another address, or port 0 for any that is free")]
    Listen {
        /// The address asked for.
        address: SocketAddr,
        /// What the system said.
        source: io::Error,
    },
}

/// A running simulated workspace. Dropping it stops the server.
#[derive(Debug)]
pub struct Sandbox {
    address: SocketAddr,
    token: String,
    shared: Arc<Shared>,
    stop: Option<oneshot::Sender<()>>,
    server: JoinHandle<io::Result<()>>,
}

/// What all connections share.
#[derive(Debug)]
pub(super) struct Shared {
    pub(super) world: Arc<World>,
    pub(super) token: String,
    pub(super) journal: Journal,
    clock: AtomicI64,
    settings: RwLock<Arc<Settings>>,
}

/// A behaviour at work, with what it counts.
#[derive(Debug)]
pub(super) struct Settings {
    pub(super) behaviour: Behaviour,
    pub(super) bucket: Arc<Bucket>,
    pub(super) plan: FaultPlan,
    asked: Mutex<BTreeMap<u64, u64>>,
}

impl Sandbox {
    /// Serves `workspace` on `address`; port 0 takes any that is free.
    ///
    /// # Errors
    /// The address cannot be listened on.
    pub async fn start(workspace: Workspace, behaviour: Behaviour, address: SocketAddr) -> Result<Self, SandboxError> {
        let failed = |source| SandboxError::Listen { address, source };
        let listener = TcpListener::bind(address).await.map_err(failed)?;
        let address = listener.local_addr().map_err(failed)?;
        let shared = Arc::new(Shared::new(&workspace, behaviour));
        let (stop, stopped) = oneshot::channel::<()>();
        let router = Router::new()
            .nest("/_sandbox", control::router())
            .fallback(any(api::serve))
            .with_state(shared.clone());
        let router = router.into_make_service_with_connect_info::<Line>();
        let serving = axum::serve(Lines(listener), router).with_graceful_shutdown(async move { drop(stopped.await) });
        Ok(Self {
            address,
            token: workspace.token(),
            shared,
            stop: Some(stop),
            server: tokio::spawn(async move { serving.await }),
        })
    }

    /// The base URL, `http://127.0.0.1:PORT`.
    pub fn url(&self) -> String {
        format!("http://{}", self.address)
    }

    /// The App API key that is accepted.
    pub fn token(&self) -> String {
        self.token.clone()
    }

    /// The workspace's clock.
    pub fn now(&self) -> Timestamp {
        self.shared.now()
    }

    /// Moves the clock. The workspace is at once as it is at `now`; going back is allowed.
    pub fn set_now(&self, now: Timestamp) {
        self.shared.set_now(now);
    }

    /// How the API behaves.
    pub fn behaviour(&self) -> Behaviour {
        self.shared.settings().behaviour.clone()
    }

    /// Changes how the API behaves from the next request on. Faults and vanishing messages count from the beginning again.
    pub fn set_behaviour(&self, behaviour: Behaviour) {
        self.shared.set_behaviour(behaviour);
    }

    /// What a lake must hold of `stream` at the present clock, one JSON object a line; none for a stream that is not known.
    pub fn truth(&self, stream: &str) -> Option<impl Iterator<Item = String> + Send + use<>> {
        let truth = self.shared.truth(Stream::parse(stream)?);
        Some(truth.flat_map(|piece| {
            let text = String::from_utf8_lossy(&piece);
            text.lines().map(str::to_owned).collect::<Vec<_>>()
        }))
    }

    /// What was asked for since the start or the last reset.
    pub fn requests(&self) -> Requests {
        self.shared.journal.requests()
    }

    /// Forgets what was asked for.
    pub fn reset_requests(&self) {
        self.shared.journal.reset();
    }

    /// Stops the server. Open connections are closed once they have been answered, at the latest after a second.
    pub async fn stop(mut self) {
        if let Some(stop) = self.stop.take() {
            // It fails only when the server has ended already.
            let _ = stop.send(());
        }
        let patience = std::time::Duration::from_secs(1);
        if tokio::time::timeout(patience, &mut self.server).await.is_err() {
            self.server.abort();
        }
    }

    /// Waits until the server ends by itself, which it does only when its socket fails.
    pub async fn finished(&mut self) {
        drop((&mut self.server).await);
    }
}

impl Shared {
    fn new(workspace: &Workspace, behaviour: Behaviour) -> Self {
        let settings = Settings::new(behaviour, workspace.seed, None);
        Self {
            world: Arc::new(World::new(workspace)),
            token: workspace.token(),
            journal: Journal::new(),
            clock: AtomicI64::new(workspace.now.as_millisecond()),
            settings: RwLock::new(Arc::new(settings)),
        }
    }

    pub(super) fn now_ms(&self) -> i64 {
        self.clock.load(Ordering::Relaxed)
    }

    pub(super) fn now(&self) -> Timestamp {
        Timestamp::from_millisecond(self.now_ms()).unwrap_or(Timestamp::UNIX_EPOCH)
    }

    pub(super) fn set_now(&self, now: Timestamp) {
        self.clock.store(now.as_millisecond(), Ordering::Relaxed);
    }

    /// Moves the clock on by so many milliseconds.
    pub(super) fn pass(&self, milliseconds: u32) {
        self.clock.fetch_add(i64::from(milliseconds), Ordering::Relaxed);
    }

    pub(super) fn settings(&self) -> Arc<Settings> {
        self.settings.read().unwrap_or_else(PoisonError::into_inner).clone()
    }

    pub(super) fn set_behaviour(&self, behaviour: Behaviour) {
        let mut settings = self.settings.write().unwrap_or_else(PoisonError::into_inner);
        *settings = Arc::new(Settings::new(behaviour, self.world.seed, Some(&settings)));
    }

    pub(super) fn truth(&self, stream: Stream) -> Truth {
        let behaviour = self.settings().behaviour.clone();
        Truth::new(self.world.clone(), behaviour, self.now_ms(), stream)
    }
}

impl Settings {
    /// The bucket of `before` is kept unless its size changes: a change of behaviour gives no free tokens.
    fn new(behaviour: Behaviour, seed: u64, before: Option<&Self>) -> Self {
        let same =
            |before: &&Self| before.behaviour.rate == behaviour.rate && before.behaviour.burst == behaviour.burst;
        let bucket = before.filter(same).map(|before| before.bucket.clone());
        Self {
            bucket: bucket.unwrap_or_else(|| Arc::new(Bucket::new(behaviour.rate, behaviour.burst))),
            plan: FaultPlan::new(&behaviour.faults, seed),
            asked: Mutex::default(),
            behaviour,
        }
    }

    /// Counts a request about message `id`; true once it has been asked for as often as it may be.
    pub(super) fn has_vanished(&self, id: u64) -> bool {
        let Some(most) = self.behaviour.vanish_after.get(&id) else {
            return false;
        };
        let mut asked = self.asked.lock().unwrap_or_else(PoisonError::into_inner);
        let count = asked.entry(id).or_default();
        *count += 1;
        *count > *most
    }
}
