//! Nonce stores on the command line.

use std::env;
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, PoisonError};

use mcpid::block_on;
use mcpid::clock::{Clock as _, SystemClock};
use mcpid::nonce::memory::Memory;
use mcpid::nonce::redis::{self, Redis, Warning};
use mcpid::nonce::sqlite::{self, Sqlite, SqliteOptions};
use mcpid::nonce::url::{RedisUrl, StoreUrl};
use mcpid::nonce::{NonceStore, Retention, StoreError};
use rand::rngs::SysRng;
use zeroize::Zeroizing;

use crate::args::misplaced::check_path;
use crate::args::{ClaimingArgs, OpeningArgs};
use crate::input::files::{self, NamedBy};
use crate::output::exit::Exit;
use crate::output::failure::{Failure, chain};
use crate::output::ui::Ui;

/// Reads the name of a store, which `named` says where it stands.
///
/// # Errors
/// It names none.
pub(crate) fn url(text: &str, named: NamedBy, ui: &mut Ui) -> Result<StoreUrl, Failure> {
    let source = if named == NamedBy::Variable { "MCPID_NONCES" } else { "--nonces" };
    let url = StoreUrl::parse(text).map_err(|e| {
        let failure = Failure::usage(format!("{source}: {e}"));
        failure.hint("such as --nonces sqlite:nonces.db")
    })?;
    match &url {
        StoreUrl::Sqlite { path } => check_path(source, path)?,
        StoreUrl::Redis(RedisUrl { ca: Some(ca), .. }) => check_path("ca", ca)?,
        _ => {}
    }
    if named == NamedBy::Flag && url.holds_password() {
        ui.warning("other users of this machine can see a password that stands in a flag");
    }
    Ok(url)
}

/// The code of the failure to open a store that keeps nonces for less long than is needed.
pub(crate) const TOO_SHORT: &str = "retention";

/// That flags which say how a store is opened do not stand where none is.
///
/// # Errors
/// They do.
pub(crate) fn flags_need_a_store(
    store: Option<&str>,
    evicting: bool,
    raising: bool,
) -> Result<(), Failure> {
    let flags = [(evicting, "--allow-evicting-store"), (raising, "--raise-retention")];
    match flags.into_iter().find(|(given, _)| *given) {
        Some((_, flag)) if store.is_none() => {
            Err(Failure::usage(format!("{flag} says how a nonce store is used, and none is named"))
                .hint("name it: --nonces STORE"))
        }
        _ => Ok(()),
    }
}

/// That a flag which says how a store is opened fits the kind of store that it is.
///
/// # Errors
/// It would change nothing.
pub(crate) fn flags_fit(url: &StoreUrl, evicting: bool, raising: bool) -> Result<(), Failure> {
    let why = match url {
        StoreUrl::Redis(_) => return Ok(()),
        StoreUrl::Memory { .. } if raising => {
            ("--raise-retention", "a store in memory begins with what is needed")
        }
        _ if evicting => ("--allow-evicting-store", "only Redis servers evict"),
        _ => return Ok(()),
    };
    Err(Failure::usage(format!("{} would change nothing: {}", why.0, why.1))
        .hint(format!("leave {} out", why.0)))
}

/// Opens the store that `--nonces` names, for a user who claims in it and needs `retention`.
///
/// # Errors
/// It names none, or the store cannot be used; under [`TOO_SHORT`], since that would close it for
/// its other users.
pub(crate) fn open(
    text: &str,
    retention: Retention,
    allowed: ClaimingArgs,
    ui: &mut Ui,
) -> Result<Arc<dyn NonceStore>, Failure> {
    let url = url(text, NamedBy::Flag, ui)?;
    Ok(open_at(&url, retention, allowed, ui)?.store)
}

/// A store, and what its servers are warned about while it is used.
pub(crate) struct OpenedStore {
    pub(crate) store: Arc<dyn NonceStore>,
    warned: StoreWarnings,
}

impl OpenedStore {
    /// Says what there is to warn about since the last time.
    pub(crate) fn tell(&self, ui: &mut Ui) {
        tell(&self.warned, ui);
    }
}

/// The store of something that serves, by name only: nothing is opened or made.
///
/// # Errors
/// What names it is no store's URL.
pub(crate) fn named_to_serve(flag: Option<&str>, ui: &mut Ui) -> Result<StoreUrl, Failure> {
    match files::nonces(flag)? {
        files::NonceStoreName::Named(text, named) => url(&text, named, ui),
        files::NonceStoreName::Default(place) => Ok(StoreUrl::Sqlite { path: place.path }),
    }
}

/// Opens the store of something that serves: the flag's, else the variable's, else the file that
/// nobody needs to name.
///
/// # Errors
/// As [`open`].
pub(crate) fn open_to_serve(
    flag: Option<&str>,
    retention: Retention,
    allowed: ClaimingArgs,
    ui: &mut Ui,
) -> Result<OpenedStore, Failure> {
    if let files::NonceStoreName::Default(place) = files::nonces(flag)? {
        place.make_default_folder()?;
    }
    let url = named_to_serve(flag, ui)?;
    open_at(&url, retention, allowed, ui)
}

/// The same for a store whose name is read already.
///
/// # Errors
/// As [`open`].
pub(crate) fn open_at(
    url: &StoreUrl,
    retention: Retention,
    allowed: ClaimingArgs,
    ui: &mut Ui,
) -> Result<OpenedStore, Failure> {
    flags_fit(url, allowed.opening.allow_evicting_store, allowed.raise_retention)?;
    let now = SystemClock.now();
    let warned = StoreWarnings::default();
    let failed = |error: StoreError| match error.would_close() {
        Some(_) => Failure { code: TOO_SHORT, ..unavailable(url, &error) },
        None => unavailable(url, &error),
    };
    let store: Arc<dyn NonceStore> = match url {
        StoreUrl::Memory { max } => memory(*max, retention)?,
        StoreUrl::Sqlite { path } => {
            let options = SqliteOptions::new(path, sqlite::boot_id());
            let options = options.allow_raising(allowed.raise_retention);
            Arc::new(options.open(now, retention).map_err(failed)?)
        }
        StoreUrl::Redis(servers) => {
            let options = servers_at(servers.clone(), allowed.opening, &warned)?;
            let opened = options.allow_raising(allowed.raise_retention).open(now, retention);
            tell(&warned, ui);
            Arc::new(opened.map_err(failed)?)
        }
        other => return Err(unknown(other)),
    };
    block_on(store.register(now, retention)).map_err(failed)?;
    Ok(OpenedStore { store, warned })
}

/// Opens the store that `--nonces` names, only to look into it: nothing in it changes, and none
/// is made.
///
/// # Errors
/// As [`open`].
pub(crate) fn look(
    text: &str,
    allowed: OpeningArgs,
    ui: &mut Ui,
) -> Result<Arc<dyn NonceStore>, Failure> {
    let url = url(text, NamedBy::Flag, ui)?;
    flags_fit(&url, allowed.allow_evicting_store, false)?;
    match url {
        // There is nothing to be seen in it, whatever its retention.
        StoreUrl::Memory { max } => memory(max, Retention::new(30, 5)),
        StoreUrl::Sqlite { path } => Ok(Arc::new(read(path)?)),
        StoreUrl::Redis(servers) => Ok(Arc::new(read_servers(&servers, allowed, ui)?)),
        other => Err(unknown(&other)),
    }
}

/// Connects to the servers only to look.
///
/// # Errors
/// They cannot be used.
pub(crate) fn read_servers(
    servers: &RedisUrl,
    allowed: OpeningArgs,
    ui: &mut Ui,
) -> Result<Redis, Failure> {
    let warned = Arc::default();
    let opened = servers_at(servers.clone(), allowed, &warned)?.read();
    tell(&warned, ui);
    opened.map_err(|e| unavailable(&StoreUrl::Redis(servers.clone()), &e))
}

type StoreWarnings = Arc<Mutex<Vec<Warning>>>;

/// The variable that holds the password of a Redis store; with `_FILE` behind it, the file's name.
const PASSWORD: &str = "MCPID_NONCES_PASSWORD";

/// Bytes of a password in a file, so that a wrong file does not fill the memory.
const MOST_PASSWORD: u32 = 4096;

/// The store on the servers that `url` names, with its warnings kept for [`tell`]: each once,
/// however often a server is connected to anew.
///
/// # Errors
/// Two passwords are given, or one that is empty or cannot be read.
fn servers_at(
    url: RedisUrl,
    allowed: OpeningArgs,
    warned: &StoreWarnings,
) -> Result<redis::RedisOptions, Failure> {
    let warned = Arc::clone(warned);
    let password = password(url.password.is_some())?;
    let options = redis::RedisOptions::new(url).allow_evicting(allowed.allow_evicting_store);
    let options = options.on_warning(move |warning| {
        let mut warned = warned.lock().unwrap_or_else(PoisonError::into_inner);
        if !warned.contains(&warning) {
            warned.push(warning);
        }
    });
    Ok(match password {
        Some(password) => options.password(password),
        None => options,
    })
}

fn password(in_url: bool) -> Result<Option<Zeroizing<String>>, Failure> {
    let file = format!("{PASSWORD}_FILE");
    let (direct, path) = (env::var_os(PASSWORD), env::var_os(&file));
    let given: Vec<&str> = [
        (direct.is_some(), PASSWORD),
        (path.is_some(), file.as_str()),
        (in_url, "the store's own name"),
    ]
    .into_iter()
    .filter_map(|(there, name)| there.then_some(name))
    .collect();
    if let [one, other, ..] = given.as_slice() {
        return Err(Failure::usage(format!("{one} and {other} both give a password")));
    }
    let text = match (direct, path) {
        (Some(text), _) => text
            .into_string()
            .map(Zeroizing::new)
            .map_err(|_| Failure::usage(format!("{PASSWORD} is not UTF-8")))?,
        (None, Some(path)) => {
            let bytes = files::open_quietly(Some(Path::new(&path)))?.read_secret(MOST_PASSWORD)?;
            let text = std::str::from_utf8(&bytes)
                .map_err(|_| Failure::usage(format!("the file that {file} names is not UTF-8")))?;
            Zeroizing::new(text.strip_suffix('\n').unwrap_or(text).to_owned())
        }
        (None, None) => return Ok(None),
    };
    if text.is_empty() {
        let name = given.first().copied().unwrap_or(PASSWORD);
        return Err(Failure::usage(format!("{name} gives an empty password")));
    }
    Ok(Some(text))
}

/// Says what the servers are warned about when they are connected to.
fn tell(warned: &StoreWarnings, ui: &mut Ui) {
    for warning in warned.lock().unwrap_or_else(PoisonError::into_inner).drain(..) {
        ui.warning(&warning.to_string());
    }
}

/// Opens a file only to look into it.
///
/// # Errors
/// It cannot be used.
pub(crate) fn read(path: PathBuf) -> Result<Sqlite, Failure> {
    // Who only looks opens no new boot either.
    let opened = SqliteOptions::new(&path, None).read();
    opened.map_err(|e| unavailable(&StoreUrl::Sqlite { path }, &e))
}

fn memory(max: Option<usize>, retention: Retention) -> Result<Arc<dyn NonceStore>, Failure> {
    let (now, url) = (SystemClock.now(), StoreUrl::Memory { max });
    let store = Memory::new(now, retention, &mut SysRng).map_err(|e| unavailable(&url, &e))?;
    // A window that it cannot remember is refused here, not with every request.
    block_on(store.register(now, retention)).map_err(|e| unavailable(&url, &e))?;
    Ok(Arc::new(match max {
        Some(max) => store.bounded(max),
        None => store,
    }))
}

/// For a store that the library can name and this program cannot open.
pub(crate) fn unknown(url: &StoreUrl) -> Failure {
    let message = format!("this build cannot use the nonce store {url}");
    Failure::new(Exit::Unavailable, "unavailable", message)
}

/// What a store's error is to the caller.
pub(crate) fn unavailable(url: &StoreUrl, error: &dyn std::error::Error) -> Failure {
    let message = format!("the nonce store {url}: {}", chain(error));
    Failure::new(Exit::Unavailable, "unavailable", message)
}
