//! `mcpid nonce`: what a store of used nonces holds, and clearing out what has passed.

use std::fs;
use std::path::PathBuf;

use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use mcpid::clock::{Clock as _, SystemClock, Timestamp};
use mcpid::nonce::redis::Redis;
use mcpid::nonce::sqlite::{self, Options, Sqlite};
use mcpid::nonce::url::StoreUrl;
use mcpid::nonce::{About, Kept, Retention, StoreError};

use crate::args::{NonceAct, NonceArgs, NonceStoreArgs};
use crate::input::files;
use crate::input::nonce_store::{self, unavailable, wait};
use crate::output::exit::Exit;
use crate::output::failure::Failure;
use crate::output::ui::Ui;

/// Nonces that are fetched at once: enough to be quick, few enough to hold up no claim.
const PAGE: u32 = 1_000;

/// Does one of the two acts.
pub(crate) fn run(args: &NonceArgs, ui: &mut Ui) -> Result<Exit, Failure> {
    match &args.act {
        NonceAct::List(store) => {
            let url = url(store, "list", ui)?;
            list(&Held::open(&url, store, ui)?, &url, ui)
        }
        NonceAct::Prune(store) => match url(store, "prune", ui)? {
            StoreUrl::Sqlite { path } => prune(path, ui),
            url => prune_nothing(&Held::open(&url, store, ui)?, &url, ui),
        },
    }
}

/// The store that is meant. A file must be there: an empty one that is made by looking at it would
/// only hide that the name is wrong.
fn url(store: &NonceStoreArgs, act: &str, ui: &mut Ui) -> Result<StoreUrl, Failure> {
    let url = match files::nonces(store.nonces.as_deref())? {
        files::Nonces::Default(place) => StoreUrl::Sqlite { path: place.path },
        files::Nonces::Named(text, named) => nonce_store::url(&text, named, ui)?,
    };
    nonce_store::flags_fit(&url, store.opening.allow_evicting_store, false)?;
    match &url {
        StoreUrl::Sqlite { path } => {
            fs::metadata(path).map_err(|e| Failure::read(path, &e))?;
        }
        StoreUrl::Memory { .. } => {
            return Err(Failure::usage(format!(
                "memory: ends with its process, so there is nothing to {act}"
            )));
        }
        _ => {}
    }
    Ok(url)
}

/// A store that is looked into.
enum Held {
    File(Sqlite),
    Servers(Redis),
}

impl Held {
    fn open(url: &StoreUrl, store: &NonceStoreArgs, ui: &mut Ui) -> Result<Self, Failure> {
        match url {
            StoreUrl::Sqlite { path } => Ok(Held::File(nonce_store::read(path.clone())?)),
            StoreUrl::Redis(servers) => {
                Ok(Held::Servers(nonce_store::read_servers(servers, store.opening, ui)?))
            }
            other => Err(nonce_store::unknown(other)),
        }
    }

    fn about(&self, now: Timestamp) -> Result<About, StoreError> {
        match self {
            Held::File(file) => wait(file.about()),
            Held::Servers(servers) => wait(servers.about(now)),
        }
    }

    /// Shows every nonce that is kept at `now`, a page at a time, and counts those and the ones
    /// that have ended.
    fn each(
        &self,
        url: &StoreUrl,
        now: Timestamp,
        show: &mut dyn FnMut(&Kept) -> Result<(), Failure>,
    ) -> Result<(u64, u64), Failure> {
        let failed = |e: StoreError| unavailable(url, &e);
        let (mut kept, mut ended) = (0_u64, 0_u64);
        let mut take = |page: &[Kept]| {
            for one in page {
                if one.until > now {
                    kept = kept.saturating_add(1);
                    show(one)?;
                } else {
                    ended = ended.saturating_add(1);
                }
            }
            Ok::<(), Failure>(())
        };
        match self {
            Held::File(file) => {
                let mut page = wait(file.list(None, PAGE)).map_err(failed)?;
                while let Some(last) = page.last() {
                    take(&page)?;
                    page = wait(file.list(Some(*last), PAGE)).map_err(failed)?;
                }
            }
            Held::Servers(servers) => {
                let mut page = wait(servers.list(now, None, PAGE)).map_err(failed)?;
                take(&page.kept)?;
                while let Some(next) = page.next {
                    page = wait(servers.list(now, Some(next), PAGE)).map_err(failed)?;
                    take(&page.kept)?;
                }
            }
        }
        Ok((kept, ended))
    }
}

fn list(store: &Held, url: &StoreUrl, ui: &mut Ui) -> Result<Exit, Failure> {
    let now = SystemClock.now();
    let about = store.about(now).map_err(|e| unavailable(url, &e))?;
    let retention = about.retention.unwrap_or(Retention::new(0, 0));
    if ui.json() {
        let head = Head {
            version: 1,
            store: url.to_string(),
            now: now.unix(),
            floor: about.floor.unix(),
            window: retention.window(),
            ahead: retention.ahead(),
            margin: retention.margin(),
        };
        // One object, however many there are, and never all of them in memory.
        let head = json(&head);
        ui.data(format!("{},\"nonces\":[", head.trim_end_matches('}')).as_bytes())?;
        let mut first = true;
        let (kept, ended) = store.each(url, now, &mut |one| {
            let comma = if std::mem::take(&mut first) { "" } else { "," };
            ui.data(format!("{comma}{}", json(&One::of(one))).as_bytes())
        })?;
        ui.data(format!("],\"kept\":{kept},\"ended\":{ended}}}\n").as_bytes())?;
        return Ok(Exit::Ok);
    }
    let mut first = true;
    let (kept, ended) = store.each(url, now, &mut |one| {
        if std::mem::take(&mut first) {
            ui.line(&format!("{:43}  {:20}  UNTIL", "ID", "FIRST USED"))?;
        }
        let One { id, .. } = One::of(one);
        let used = one.first.map_or_else(|| "unknown".to_owned(), |first| first.to_string());
        ui.line(&format!("{id}  {used:20}  {}", one.until))
    })?;
    let ended = if ended > 0 { format!(", {ended} more have ended") } else { String::new() };
    ui.note(&match about.retention {
        Some(retention) => format!(
            "{kept} kept{ended}; window {} s; what was made until {} may be forgotten",
            retention.window(),
            about.floor
        ),
        None => format!("{kept} kept; no verifier has used this store, or it has forgotten that"),
    });
    Ok(Exit::Ok)
}

fn prune(path: PathBuf, ui: &mut Ui) -> Result<Exit, Failure> {
    let now = SystemClock.now();
    // It claims nothing, so it needs no retention of its own.
    let opened = Options::new(&path, sqlite::boot_id()).open(now, Retention::new(0, 0));
    let url = StoreUrl::Sqlite { path };
    let store = opened.map_err(|e| unavailable(&url, &e))?;
    let removed = wait(store.prune(now)).map_err(|e| unavailable(&url, &e))?;
    if ui.json() {
        ui.json_line(&Pruned { version: 1, store: url.to_string(), removed, kept: None })?;
    } else {
        ui.line(&format!("removed {removed}"))?;
    }
    Ok(Exit::Ok)
}

/// Where the servers themselves remove what has ended, there is never anything to do. What is left
/// is counted, so that nobody wonders.
fn prune_nothing(store: &Held, url: &StoreUrl, ui: &mut Ui) -> Result<Exit, Failure> {
    let (kept, _) = store.each(url, SystemClock.now(), &mut |_| Ok(()))?;
    if ui.json() {
        let pruned = Pruned { version: 1, store: url.to_string(), removed: 0, kept: Some(kept) };
        ui.json_line(&pruned)?;
    } else {
        ui.line("removed 0")?;
        ui.note(&format!("a Redis server removes by itself what has ended; {kept} are still kept"));
    }
    Ok(Exit::Ok)
}

#[derive(serde::Serialize)]
struct Head {
    version: u8,
    store: String,
    now: i64,
    floor: i64,
    window: i64,
    ahead: i64,
    margin: i64,
}

#[derive(serde::Serialize)]
struct One {
    id: String,
    first: Option<i64>,
    until: i64,
}

impl One {
    fn of(kept: &Kept) -> Self {
        let id = URL_SAFE_NO_PAD.encode(kept.id);
        One { id, first: kept.first.map(Timestamp::unix), until: kept.until.unix() }
    }
}

#[derive(serde::Serialize)]
struct Pruned {
    version: u8,
    store: String,
    removed: u64,
    /// Where they were counted.
    kept: Option<u64>,
}

/// Strings and numbers always make JSON.
fn json(value: &impl serde::Serialize) -> String {
    serde_json::to_string(value).unwrap_or_default()
}
