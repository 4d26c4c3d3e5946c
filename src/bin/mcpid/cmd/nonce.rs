//! `mcpid nonce`: lists the nonces in a store, and removes ended ones.

use std::fs;

use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use mcpid::block_on;
use mcpid::clock::{Clock as _, SystemClock, Timestamp};
use mcpid::nonce::url::StoreUrl;
use mcpid::nonce::{KeptNonce, Retention, StoreAdmin};

use crate::args::{NonceAct, NonceArgs, NonceStoreArgs};
use crate::input::files;
use crate::input::nonce_store::{self, unavailable};
use crate::output::exit::Exit;
use crate::output::failure::Failure;
use crate::output::ui::Ui;

/// Number of nonces that are read at a time. Reading more at once would delay other processes that
/// use the store.
const PAGE_SIZE: u32 = 1_000;

/// Runs the subcommand.
pub(crate) fn run(args: &NonceArgs, ui: &mut Ui) -> Result<Exit, Failure> {
    let (store, act, prunes) = match &args.act {
        NonceAct::List(store) => (store, "list", false),
        NonceAct::Prune(store) => (store, "prune", true),
    };
    let url = url(store, act, ui)?;
    let admin = nonce_store::open_for_operator(&url, store.opening, prunes, ui)?;
    match prunes {
        false => list(&*admin, &url, ui),
        true => prune(&*admin, &url, ui),
    }
}

/// Returns the store that the flags name. An SQLite file must exist already, because creating an
/// empty one would hide a mistyped name.
fn url(store: &NonceStoreArgs, act: &str, ui: &mut Ui) -> Result<StoreUrl, Failure> {
    let url = match files::nonces(store.nonces.as_deref())? {
        files::NonceStoreName::Default(place) => StoreUrl::Sqlite { path: place.path },
        files::NonceStoreName::Named(text, named) => nonce_store::url(&text, named, ui)?,
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

/// Calls `show` for every nonce that the store must still keep at `now`. Returns the number of
/// these nonces, and the number of ended nonces that the store has not removed yet.
fn each(
    store: &dyn StoreAdmin,
    url: &StoreUrl,
    now: Timestamp,
    show: &mut dyn FnMut(&KeptNonce) -> Result<(), Failure>,
) -> Result<(u64, u64), Failure> {
    let (mut kept, mut ended, mut from) = (0_u64, 0_u64, None);
    loop {
        let page = block_on(store.list(now, from, PAGE_SIZE));
        let page = page.map_err(|error| unavailable(url, &error))?;
        for one in &page.kept {
            if one.until > now {
                kept = kept.saturating_add(1);
                show(one)?;
            } else {
                ended = ended.saturating_add(1);
            }
        }
        match page.next {
            Some(next) => from = Some(next),
            None => return Ok((kept, ended)),
        }
    }
}

fn list(store: &dyn StoreAdmin, url: &StoreUrl, ui: &mut Ui) -> Result<Exit, Failure> {
    let now = SystemClock.now();
    let about = block_on(store.state(now)).map_err(|e| unavailable(url, &e))?;
    let retention = about.retention.unwrap_or(Retention::new(0, 0));
    if ui.json() {
        let head = ListHeader {
            version: 1,
            store: url.to_string(),
            now: now.unix(),
            floor: about.floor.unix(),
            window: retention.window(),
            ahead: retention.ahead(),
            margin: retention.margin(),
        };
        // The output is one JSON object. It is written while the store is read, so that it is never
        // in memory as a whole.
        let head = json(&head);
        ui.data(format!("{},\"nonces\":[", head.trim_end_matches('}')).as_bytes())?;
        let mut first = true;
        let (kept, ended) = each(store, url, now, &mut |one| {
            let comma = if std::mem::take(&mut first) { "" } else { "," };
            ui.data(format!("{comma}{}", json(&ListedNonce::of(one))).as_bytes())
        })?;
        ui.data(format!("],\"kept\":{kept},\"ended\":{ended}}}\n").as_bytes())?;
        return Ok(Exit::Ok);
    }
    let mut first = true;
    let (kept, ended) = each(store, url, now, &mut |one| {
        if std::mem::take(&mut first) {
            ui.line(&format!("{:43}  {:20}  UNTIL", "ID", "FIRST USED"))?;
        }
        let ListedNonce { id, .. } = ListedNonce::of(one);
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

fn prune(store: &dyn StoreAdmin, url: &StoreUrl, ui: &mut Ui) -> Result<Exit, Failure> {
    let now = SystemClock.now();
    let removed = block_on(store.prune(now)).map_err(|error| unavailable(url, &error))?;
    // Redis removes ended nonces itself. The number of kept nonces is printed instead, to show that
    // the servers answer.
    let kept = match removed {
        Some(_) => None,
        None => Some(each(store, url, now, &mut |_| Ok(()))?.0),
    };
    let removed = removed.unwrap_or(0);
    if ui.json() {
        ui.json_line(&PruneResult { version: 1, store: url.to_string(), removed, kept })?;
        return Ok(Exit::Ok);
    }
    ui.line(&format!("removed {removed}"))?;
    if let Some(kept) = kept {
        ui.note(&format!("a Redis server removes by itself what has ended; {kept} are still kept"));
    }
    Ok(Exit::Ok)
}

#[derive(serde::Serialize)]
struct ListHeader {
    version: u8,
    store: String,
    now: i64,
    floor: i64,
    window: i64,
    ahead: i64,
    margin: i64,
}

#[derive(serde::Serialize)]
struct ListedNonce {
    id: String,
    first: Option<i64>,
    until: i64,
}

impl ListedNonce {
    fn of(kept: &KeptNonce) -> Self {
        let id = URL_SAFE_NO_PAD.encode(kept.id);
        ListedNonce { id, first: kept.first.map(Timestamp::unix), until: kept.until.unix() }
    }
}

#[derive(serde::Serialize)]
struct PruneResult {
    version: u8,
    store: String,
    removed: u64,
    /// The number of kept nonces, if they were counted.
    kept: Option<u64>,
}

/// Returns the value as JSON. This cannot fail for strings and numbers.
fn json(value: &impl serde::Serialize) -> String {
    serde_json::to_string(value).unwrap_or_default()
}
