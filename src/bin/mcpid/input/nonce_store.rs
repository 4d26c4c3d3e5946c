//! Opens the nonce stores that `--nonces` and `MCPID_NONCES` name, and turns errors into messages
//! with hints.

use std::env;
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, PoisonError};

use mcpid::block_on;
use mcpid::clock::{Clock as _, SystemClock};
use mcpid::mcp::setting::SettingError;
use mcpid::nonce::open::StoreOptions;
use mcpid::nonce::url::{RedisUrl, StoreUrl};
use mcpid::nonce::{NonceStore, Retention, StoreAdmin, StoreError};
use rand::rngs::SysRng;
use zeroize::Zeroizing;

use crate::args::flag_syntax::FlagSyntax;
use crate::args::misplaced_secret::check_path;
use crate::args::{ClaimingArgs, OpeningArgs};
use crate::input::files::{self, NAME_THE_STORE, NamedBy};
use crate::output::exit::Exit;
use crate::output::failure::{Failure, chain};
use crate::output::ui::Ui;

/// Parses the URL of a store. `named` says where the user gave it.
///
/// # Errors
/// `text` is not the URL of a store.
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

/// The failure code for a store that keeps nonces for a shorter time than this command needs.
pub(crate) const TOO_SHORT: &str = "retention";

/// Checks that a store is named, if a flag about opening the store is given.
///
/// # Errors
/// No store is named.
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

/// Checks that a flag about opening a store applies to the kind of store.
///
/// # Errors
/// The flag would have no effect.
pub(crate) fn flags_fit(url: &StoreUrl, evicting: bool, raising: bool) -> Result<(), Failure> {
    let options = StoreOptions::new(url.clone()).allow_evicting(evicting).allow_raising(raising);
    match options.without_effect() {
        Some((flag, why)) => {
            Err(SettingError::switch_without_effect(&FlagSyntax, flag, why).into())
        }
        None => Ok(()),
    }
}

/// Opens the store that `--nonces` names, to claim nonces (store them if they are new) and keep
/// each for at least `retention`.
///
/// # Errors
/// `text` is not the URL of a store, or the store cannot be used. The code is [`TOO_SHORT`] if the
/// store would have to raise its retention, after which all its users refuse requests for a time.
pub(crate) fn open(
    text: &str,
    retention: Retention,
    allowed: ClaimingArgs,
    ui: &mut Ui,
) -> Result<Arc<dyn NonceStore>, Failure> {
    let url = url(text, NamedBy::Flag, ui)?;
    Ok(open_at(&url, retention, allowed, ui)?.store)
}

/// An open store, and the warnings about its servers that were not printed yet.
pub(crate) struct OpenedStore {
    pub(crate) store: Arc<dyn NonceStore>,
    warnings: StoreWarnings,
}

impl OpenedStore {
    /// Prints the warnings since the last call.
    pub(crate) fn print_warnings(&self, ui: &mut Ui) {
        print_warnings(&self.warnings, ui);
    }
}

/// Returns the URL of the store for a server: named by the flag, or else by the variable, or else
/// the default file. Nothing is opened or created.
///
/// # Errors
/// The flag or variable is not the URL of a store.
pub(crate) fn named_to_serve(flag: Option<&str>, ui: &mut Ui) -> Result<StoreUrl, Failure> {
    match files::nonces(flag)? {
        files::NonceStoreName::Named(text, named) => url(&text, named, ui),
        files::NonceStoreName::Default(place) => Ok(StoreUrl::Sqlite { path: place.path }),
    }
}

/// Opens the store for a server: named by the flag, or else by the variable, or else the default
/// file.
///
/// # Errors
/// As for [`open`].
pub(crate) fn open_to_serve(
    flag: Option<&str>,
    retention: Retention,
    allowed: ClaimingArgs,
    ui: &mut Ui,
) -> Result<OpenedStore, Failure> {
    let default = match files::nonces(flag)? {
        files::NonceStoreName::Default(place) => Some(place),
        files::NonceStoreName::Named(..) => None,
    };
    if let Some(place) = &default {
        place.make_default_folder(NAME_THE_STORE)?;
        files::check_folder(&place.path).map_err(|f| place.suggest(f, NAME_THE_STORE))?;
    }
    let url = named_to_serve(flag, ui)?;
    open_at(&url, retention, allowed, ui).map_err(|failure| match default {
        Some(place) if failure.code != TOO_SHORT => place.suggest(failure, NAME_THE_STORE),
        _ => failure,
    })
}

fn open_at(
    url: &StoreUrl,
    retention: Retention,
    allowed: ClaimingArgs,
    ui: &mut Ui,
) -> Result<OpenedStore, Failure> {
    flags_fit(url, allowed.opening.allow_evicting_store, allowed.raise_retention)?;
    let now = SystemClock.now();
    let (options, warnings) = options(url, allowed.opening)?;
    let opened =
        options.allow_raising(allowed.raise_retention).open_for_claims(now, retention, &mut SysRng);
    print_warnings(&warnings, ui);
    let failed = |error: StoreError| match error.retention_too_short() {
        Some(_) => Failure { code: TOO_SHORT, ..unavailable(url, &error) },
        None => unavailable(url, &error),
    };
    let store = opened.map_err(failed)?;
    block_on(store.register(now, retention)).map_err(failed)?;
    Ok(OpenedStore { store, warnings })
}

/// Opens the store that `--nonces` names, to look up nonces. Nothing in it changes, and a missing
/// store is not created.
///
/// # Errors
/// As for [`open`].
pub(crate) fn open_to_read(
    text: &str,
    allowed: OpeningArgs,
    ui: &mut Ui,
) -> Result<Arc<dyn NonceStore>, Failure> {
    let url = url(text, NamedBy::Flag, ui)?;
    flags_fit(&url, allowed.allow_evicting_store, false)?;
    let (options, warnings) = options(&url, allowed)?;
    let opened = options.open_read_only(SystemClock.now(), &mut SysRng);
    print_warnings(&warnings, ui);
    opened.map_err(|e| unavailable(&url, &e))
}

/// Opens the store at `url` to list its nonces, or, if `prune` is true, to remove ended ones.
///
/// # Errors
/// The store cannot be used.
pub(crate) fn open_for_operator(
    url: &StoreUrl,
    allowed: OpeningArgs,
    prune: bool,
    ui: &mut Ui,
) -> Result<Box<dyn StoreAdmin>, Failure> {
    let (options, warnings) = options(url, allowed)?;
    let opened = options.open_for_operator(SystemClock.now(), prune);
    print_warnings(&warnings, ui);
    opened.map_err(|e| unavailable(url, &e))
}

type StoreWarnings = Arc<Mutex<Vec<String>>>;

/// Returns the options for the store at `url`, and the list that collects its warnings. Each
/// warning is listed once, even if the store connects to a server several times.
///
/// # Errors
/// Two passwords are given, or a password is empty or cannot be read.
fn options(url: &StoreUrl, allowed: OpeningArgs) -> Result<(StoreOptions, StoreWarnings), Failure> {
    let warnings = StoreWarnings::default();
    let list = Arc::clone(&warnings);
    let options = StoreOptions::new(url.clone())
        .allow_evicting(allowed.allow_evicting_store)
        .on_warning(move |warning| {
            let mut list = list.lock().unwrap_or_else(PoisonError::into_inner);
            if !list.contains(&warning) {
                list.push(warning);
            }
        });
    let password = match url {
        StoreUrl::Redis(servers) => password(servers.password.is_some())?,
        _ => None,
    };
    Ok(match password {
        Some(password) => (options.password(password), warnings),
        None => (options, warnings),
    })
}

/// The environment variable with the password of a Redis store. The variable of the same name with
/// `_FILE` at its end names a file with the password.
const PASSWORD: &str = "MCPID_NONCES_PASSWORD";

/// The credential of a systemd service (`LoadCredential=`) with the password of a Redis store, if it
/// is given nowhere else: a file in the folder that `CREDENTIALS_DIRECTORY` names.
const CREDENTIAL: &str = "nonces-password";

/// The maximum length of a password in a file, in bytes. A longer file cannot be the right one.
const MAX_PASSWORD_BYTES: u32 = 4096;

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
    let path = path.map(PathBuf::from).or_else(|| {
        let folder = env::var_os("CREDENTIALS_DIRECTORY").filter(|_| given.is_empty())?;
        Some(Path::new(&folder).join(CREDENTIAL)).filter(|path| path.exists())
    });
    let text = match (direct, path) {
        (Some(text), _) => text
            .into_string()
            .map(Zeroizing::new)
            .map_err(|_| Failure::usage(format!("{PASSWORD} is not UTF-8")))?,
        (None, Some(path)) => {
            let bytes = files::open_quietly(Some(&path))?.read_secret(MAX_PASSWORD_BYTES)?;
            let text = std::str::from_utf8(&bytes)
                .map_err(|_| Failure::usage("the file with the password is not UTF-8"))?;
            Zeroizing::new(text.strip_suffix('\n').unwrap_or(text).to_owned())
        }
        (None, None) => return Ok(None),
    };
    if text.is_empty() {
        let name = given.first().copied().unwrap_or(CREDENTIAL);
        return Err(Failure::usage(format!("{name} gives an empty password")));
    }
    Ok(Some(text))
}

/// Prints the warnings, and empties the list. The lock is released before the first one is printed.
fn print_warnings(warnings: &StoreWarnings, ui: &mut Ui) {
    let list = std::mem::take(&mut *warnings.lock().unwrap_or_else(PoisonError::into_inner));
    for warning in list {
        ui.warning(&warning);
    }
}

/// Returns the failure for an error of the store.
pub(crate) fn unavailable(url: &StoreUrl, error: &dyn std::error::Error) -> Failure {
    let message = format!("the nonce store {url}: {}", chain(error));
    Failure::new(Exit::Unavailable, "unavailable", message)
}
