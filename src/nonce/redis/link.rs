//! A connection to one primary server, and the identity of that server.

use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use redis::aio::MultiplexedConnection;
use redis::io::tcp::TcpSettings;
use redis::{
    AsyncConnectionConfig, Client, Cmd, ConnectionAddr, IntoConnectionInfo as _, Pipeline,
    RedisConnectionInfo, TlsCertificates, Value,
};

use super::fault::{FaultRemedy, RedisFault};
use super::primary::Primary;
use super::settings::RedisSettings;
use crate::nonce::url::{ServerAddress, Topology};

/// How long the identity of a server is used before `INFO` is sent again. This time is too short
/// for a server to be demoted, take over the data of another server, and be promoted again.
const IDENTITY_LIFETIME: Duration = Duration::from_secs(1);

/// A connection to a primary. Commands can be sent at any time; answers come in the order of the
/// commands.
pub(super) struct ServerLink {
    pub(super) place: ServerAddress,
    connection: MultiplexedConnection,
    state: Mutex<LinkState>,
    dead: AtomicBool,
}

struct LinkState {
    term: Arc<str>,
    /// When `INFO` was sent for the last time.
    identity_read_at: Instant,
}

impl ServerLink {
    /// Connects, and reads the identity of the server.
    pub(super) async fn connect(
        place: &ServerAddress,
        settings: &RedisSettings,
    ) -> Result<Self, RedisFault> {
        let connection = open(place, settings, true).await?;
        let asked = Instant::now();
        let mut pipeline = Pipeline::new();
        pipeline.add_command(info());
        let answers = ask(&connection, place, &pipeline).await?;
        let primary = answers.into_iter().next().unwrap_or_default();
        let primary = read_info(place, &primary, settings)?;
        primary.check_eviction(place, settings.evicting_allowed)?;
        let sentinel = matches!(settings.url.topology, Topology::Sentinel { .. });
        for warning in primary.warnings(place, sentinel) {
            (settings.warn)(warning);
        }
        let state = LinkState { term: primary.term.into(), identity_read_at: asked };
        let (state, dead) = (Mutex::new(state), AtomicBool::new(false));
        Ok(ServerLink { place: place.clone(), connection, state, dead })
    }

    /// Sends the commands of `pipeline`, and returns one answer for each; the answer may be an
    /// error of the server.
    pub(super) async fn ask(&self, pipeline: &Pipeline) -> Result<Vec<Value>, RedisFault> {
        let answers = ask(&self.connection, &self.place, pipeline).await;
        if answers.is_err() {
            self.mark_dead();
        }
        answers
    }

    /// Marks the connection as unusable. It must not be used after a missing answer, because later
    /// answers would be matched to the wrong commands, and because a server that did not answer in
    /// time may be gone.
    pub(super) fn mark_dead(&self) {
        self.dead.store(true, Ordering::SeqCst);
    }

    pub(super) fn is_dead(&self) -> bool {
        self.dead.load(Ordering::SeqCst)
    }

    /// Returns the text that changes whenever the primary may have lost keys (its term, see
    /// [`super::primary::Primary::term`]), as last read.
    pub(super) fn term(&self) -> Arc<str> {
        Arc::clone(&self.state().term)
    }

    /// Returns true if the server's identity was read within [`IDENTITY_LIFETIME`].
    pub(super) fn is_identity_fresh(&self) -> bool {
        self.state().identity_read_at.elapsed() < IDENTITY_LIFETIME
    }

    /// Returns true if the identity of the server is older than [`IDENTITY_LIFETIME`], and counts
    /// it as read from now on. The caller that gets true must send [`info`].
    pub(super) fn begin_identity_check(&self) -> bool {
        let mut state = self.state();
        let now = Instant::now();
        let due = now.saturating_duration_since(state.identity_read_at) >= IDENTITY_LIFETIME;
        if due {
            state.identity_read_at = now;
        }
        due
    }

    /// Updates the primary's term (a text that changes whenever it may have lost keys) from an
    /// answer to `INFO`, and checks that the store can still use the server.
    pub(super) fn apply_info(
        &self,
        info: &Value,
        settings: &RedisSettings,
    ) -> Result<(), RedisFault> {
        let primary = read_info(&self.place, info, settings)
            .and_then(|primary| {
                primary.check_eviction(&self.place, settings.evicting_allowed).map(|()| primary)
            })
            .inspect_err(|_| self.mark_dead())?;
        self.state().term = primary.term.into();
        Ok(())
    }

    fn state(&self) -> MutexGuard<'_, LinkState> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// Returns the command that reads all facts about a primary that the store needs, including
/// [`counters`].
pub(super) fn info() -> Cmd {
    let mut info = redis::cmd("INFO");
    info.arg("server").arg("replication").arg("memory").arg("persistence").arg("stats");
    info
}

/// Returns the command that is sent after the storing of every nonce. The server does a third of
/// the work for it that it does for [`info`].
pub(super) fn counters() -> Cmd {
    let mut info = redis::cmd("INFO");
    info.arg("stats");
    info
}

fn read_info(
    place: &ServerAddress,
    info: &Value,
    settings: &RedisSettings,
) -> Result<Primary, RedisFault> {
    match info {
        Value::BulkString(text) => match std::str::from_utf8(text) {
            Ok(text) => Primary::read(place, text, settings.url.database),
            Err(_) => Err(RedisFault::malformed(place, "INFO that is no text")),
        },
        Value::ServerError(error) => Err(RedisFault::refused(place, error)),
        _ => Err(RedisFault::malformed(place, "no INFO")),
    }
}

/// Sends one command on a new connection. Used to ask Sentinels and cluster nodes for the addresses
/// of the servers.
pub(super) async fn ask_once(
    place: &ServerAddress,
    settings: &RedisSettings,
    known: bool,
    command: &Cmd,
) -> Result<Value, RedisFault> {
    let connection = open(place, settings, known).await?;
    let mut pipeline = Pipeline::new();
    pipeline.add_command(command.clone());
    let answers = ask(&connection, place, &pipeline).await?;
    match answers.into_iter().next() {
        Some(Value::ServerError(error)) => Err(RedisFault::refused(place, &error)),
        Some(value) => Ok(value),
        None => Err(RedisFault::malformed(place, "nothing")),
    }
}

async fn ask(
    connection: &MultiplexedConnection,
    place: &ServerAddress,
    pipeline: &Pipeline,
) -> Result<Vec<Value>, RedisFault> {
    // Each clone of the connection is a further handle on it.
    let mut connection = connection.clone();
    let count = pipeline.len();
    let answers = connection.send_packed_commands(pipeline, 0, count).await;
    let answers = answers.map_err(|e| RedisFault::unreachable(place, e))?;
    if answers.len() == count {
        Ok(answers)
    } else {
        Err(RedisFault::malformed(place, "another number of answers than of questions"))
    }
}

/// Opens a connection. The user name and password are sent only if `known` is true.
async fn open(
    place: &ServerAddress,
    settings: &RedisSettings,
    known: bool,
) -> Result<MultiplexedConnection, RedisFault> {
    let lost = |e| RedisFault::unreachable(place, e);
    let (host, port) = (place.host.clone(), place.port);
    let address = if settings.url.tls {
        ConnectionAddr::TcpTls { host, port, insecure: false, tls_params: None }
    } else {
        ConnectionAddr::Tcp(host, port)
    };
    let mut who = RedisConnectionInfo::default().set_skip_set_lib_name();
    if known {
        who = who.set_db(i64::from(settings.url.database));
        if let Some(user) = &settings.url.user {
            who = who.set_username(user);
        }
        if let Some(password) = &settings.url.password {
            who = who.set_password(password.as_str());
        }
    }
    // `TCP_NODELAY`: storing a nonce is one small packet, and its caller waits for the answer.
    let tcp = TcpSettings::default().set_nodelay(true);
    let info = address.into_connection_info().map_err(lost)?;
    let info = info.set_redis_settings(who).set_tcp_settings(tcp);
    let client = if settings.url.tls {
        let root_cert = settings.ca.clone();
        Client::build_with_tls(info, TlsCertificates { client_tls: None, root_cert })
    } else {
        Client::open(info)
    };
    // Callers have their own timeout, which covers connecting too.
    let config =
        AsyncConnectionConfig::new().set_connection_timeout(None).set_response_timeout(None);
    let client = client.map_err(|e| {
        RedisFault::new(FaultRemedy::GiveUp, "the servers cannot be named so").because(e)
    })?;
    client.get_multiplexed_async_connection_with_config(&config).await.map_err(lost)
}
