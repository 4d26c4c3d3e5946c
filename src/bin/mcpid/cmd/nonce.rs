//! `mcpid nonce`: what a store of used nonces holds, and clearing out what has passed.

use std::fs;
use std::path::{Path, PathBuf};

use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use mcpid::clock::{Clock as _, SystemClock, Timestamp};
use mcpid::nonce::Retention;
use mcpid::nonce::sqlite::{self, Kept, Options, Sqlite};
use mcpid::nonce::url::StoreUrl;

use crate::args::{NonceAct, NonceArgs};
use crate::exit::Exit;
use crate::failure::Failure;
use crate::files;
use crate::nonces::{self, unavailable, wait};
use crate::ui::Ui;

/// Nonces that are fetched at once: enough to be quick, few enough to hold up no claim.
const PAGE: u32 = 1_000;

/// Does one of the two acts.
pub(crate) fn run(args: &NonceArgs, ui: &mut Ui) -> Result<Exit, Failure> {
    match &args.act {
        NonceAct::List(store) => list(&file(store.nonces.as_deref(), "list", ui)?, ui),
        NonceAct::Prune(store) => prune(&file(store.nonces.as_deref(), "prune", ui)?, ui),
    }
}

/// The file that is meant, which must be there: an empty one that is made by looking at it would
/// only hide that the name is wrong.
fn file(flag: Option<&str>, act: &str, ui: &mut Ui) -> Result<PathBuf, Failure> {
    let path = match files::nonces(flag)? {
        files::Nonces::Default(place) => place.path,
        files::Nonces::Named(text, named) => match nonces::url(&text, named, ui)? {
            StoreUrl::Sqlite { path } => path,
            StoreUrl::Memory { .. } => {
                return Err(Failure::usage(format!(
                    "memory: ends with its process, so there is nothing to {act}"
                )));
            }
            other => return Err(nonces::unknown(&other)),
        },
    };
    fs::metadata(&path).map_err(|e| Failure::read(&path, &e))?;
    Ok(path)
}

fn list(path: &Path, ui: &mut Ui) -> Result<Exit, Failure> {
    let url = StoreUrl::Sqlite { path: path.to_owned() };
    let store = nonces::read(path.to_owned())?;
    let about = wait(store.about()).map_err(|e| unavailable(&url, &e))?;
    let now = SystemClock.now();
    if ui.json() {
        let head = Head {
            version: 1,
            store: url.to_string(),
            now: now.unix(),
            floor: about.floor.unix(),
            window: about.retention.window(),
            ahead: about.retention.ahead(),
            margin: about.retention.margin(),
        };
        // One object, however many there are, and never all of them in memory.
        let head = json(&head);
        ui.data(format!("{},\"nonces\":[", head.trim_end_matches('}')).as_bytes())?;
        let mut first = true;
        let (kept, ended) = each(&store, &url, now, &mut |one| {
            let comma = if std::mem::take(&mut first) { "" } else { "," };
            ui.data(format!("{comma}{}", json(&One::of(one))).as_bytes())
        })?;
        ui.data(format!("],\"kept\":{kept},\"ended\":{ended}}}\n").as_bytes())?;
        return Ok(Exit::Ok);
    }
    let mut first = true;
    let (kept, ended) = each(&store, &url, now, &mut |one| {
        if std::mem::take(&mut first) {
            ui.line(&format!("{:43}  {:20}  UNTIL", "ID", "FIRST USED"))?;
        }
        let One { id, .. } = One::of(one);
        ui.line(&format!("{id}  {}  {}", one.first, one.until))
    })?;
    let ended = if ended > 0 { format!(", {ended} more have ended") } else { String::new() };
    let (window, floor) = (about.retention.window(), about.floor);
    ui.note(&format!(
        "{kept} kept{ended}; window {window} s; what was made until {floor} may be forgotten"
    ));
    Ok(Exit::Ok)
}

/// Shows every nonce that is kept at `now`, and counts those and the ones that have ended.
fn each(
    store: &Sqlite,
    url: &StoreUrl,
    now: Timestamp,
    show: &mut dyn FnMut(&Kept) -> Result<(), Failure>,
) -> Result<(u64, u64), Failure> {
    let (mut kept, mut ended, mut after) = (0_u64, 0_u64, None);
    loop {
        let page = wait(store.list(after, PAGE)).map_err(|e| unavailable(url, &e))?;
        let Some(last) = page.last() else { return Ok((kept, ended)) };
        after = Some(*last);
        for one in &page {
            if one.until > now {
                kept = kept.saturating_add(1);
                show(one)?;
            } else {
                ended = ended.saturating_add(1);
            }
        }
    }
}

fn prune(path: &Path, ui: &mut Ui) -> Result<Exit, Failure> {
    let now = SystemClock.now();
    // It claims nothing, so it needs no retention of its own.
    let url = StoreUrl::Sqlite { path: path.to_owned() };
    let opened = Options::new(path, sqlite::boot_id()).open(now, Retention::new(0, 0));
    let store = opened.map_err(|e| unavailable(&url, &e))?;
    let removed = wait(store.prune(now)).map_err(|e| unavailable(&url, &e))?;
    if ui.json() {
        ui.json_line(&Pruned { version: 1, store: url.to_string(), removed })?;
    } else {
        ui.line(&format!("removed {removed}"))?;
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
    first: i64,
    until: i64,
}

impl One {
    fn of(kept: &Kept) -> Self {
        let id = URL_SAFE_NO_PAD.encode(kept.id);
        One { id, first: kept.first.unix(), until: kept.until.unix() }
    }
}

#[derive(serde::Serialize)]
struct Pruned {
    version: u8,
    store: String,
    removed: u64,
}

/// Strings and numbers always make JSON.
fn json(value: &impl serde::Serialize) -> String {
    serde_json::to_string(value).unwrap_or_default()
}
