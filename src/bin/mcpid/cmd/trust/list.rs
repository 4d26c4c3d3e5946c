//! `mcpid trust list`: prints the keys of a trust file, as a table or as JSON.

use mcpid::clock::{Clock as _, SystemClock, Timestamp};
use mcpid::key::trust::{SecurityKeyRules, TrustEntry};

use crate::args::TrustListArgs;
use crate::input::files;
use crate::keys::trust_file;
use crate::output::exit::Exit;
use crate::output::failure::Failure;
use crate::output::ui::Ui;

/// The index of the column with the `kid`s.
const KIDS: usize = 2;

/// Prints the keys in the order of the file.
pub(crate) fn run(args: &TrustListArgs, ui: &mut Ui) -> Result<Exit, Failure> {
    let place = files::trust(args.trust.as_deref())?;
    let file = trust_file::load(&place, ui)?;
    let now = SystemClock.now();
    let keys: Vec<TrustedKeyJson> =
        file.entries().iter().map(|entry| TrustedKeyJson::of(entry, now)).collect();
    if ui.json() {
        ui.json_line(&TrustListJson { version: 1, file: place.name(), keys })?;
        return Ok(Exit::Ok);
    }
    if keys.is_empty() {
        // A note about the file has already said that it contains no keys.
        return Ok(Exit::Ok);
    }
    let mut rows =
        vec![["NAME", "KEY ID", "KIDS", "STATUS", "CLIENT IDS", "MAY"].map(str::to_owned).to_vec()];
    rows.extend(keys.iter().map(|key| key.row(ui)));
    // If no key has a `kid` other than its id, that column is left out.
    if keys.iter().all(|key| key.other_kids().is_empty()) {
        for row in &mut rows {
            row.remove(KIDS);
        }
    }
    for line in aligned(&rows) {
        ui.line(&line)?;
    }
    Ok(Exit::Ok)
}

#[derive(serde::Serialize)]
struct TrustListJson {
    version: u8,
    file: String,
    keys: Vec<TrustedKeyJson>,
}

/// One key, as `--json` prints it.
#[derive(serde::Serialize)]
pub(super) struct TrustedKeyJson {
    #[serde(skip_serializing_if = "Option::is_none")]
    version: Option<u8>,
    id: String,
    algorithm: &'static str,
    name: Option<String>,
    kids: Vec<String>,
    client_ids: Vec<String>,
    not_before: Option<String>,
    not_after: Option<String>,
    revoked_at: Option<String>,
    allow: Option<Vec<String>>,
    #[serde(skip_serializing_if = "Option::is_none")]
    security_key: Option<SecurityKeyRules>,
    status: &'static str,
}

impl TrustedKeyJson {
    pub(super) fn of(entry: &TrustEntry, now: Timestamp) -> Self {
        let time = |time: Option<Timestamp>| time.map(|time| time.to_string());
        let allow = entry.allow().iter().flatten().map(ToString::to_string).collect();
        TrustedKeyJson {
            version: None,
            id: entry.key().id().to_string(),
            algorithm: entry.key().kind().as_str(),
            name: entry.name().map(str::to_owned),
            kids: entry.kids().to_vec(),
            client_ids: entry.client_ids().to_vec(),
            not_before: time(entry.not_before()),
            not_after: time(entry.not_after()),
            revoked_at: time(entry.revoked_at()),
            allow: entry.is_limited().then_some(allow),
            security_key: entry.security_key().cloned(),
            status: status(entry, now),
        }
    }

    /// Adds the format version, for output that consists of this key only.
    pub(super) fn with_version(mut self) -> Self {
        self.version = Some(1);
        self
    }

    /// Returns the `kid`s of the key that are not its id.
    fn other_kids(&self) -> Vec<&str> {
        self.kids.iter().map(String::as_str).filter(|kid| *kid != self.id).collect()
    }

    fn row(&self, ui: &Ui) -> Vec<String> {
        let or_dash = |text: String| if text.is_empty() { "-".to_owned() } else { text };
        let since = |word: &str, time: &Option<String>| {
            time.as_ref().map_or_else(|| word.to_owned(), |time| format!("{word} {time}"))
        };
        let status = match self.status {
            "revoked" => since("revoked", &self.revoked_at),
            "not_yet_valid" => since("valid from", &self.not_before),
            "ended" => since("ended", &self.not_after),
            // A revocation in the future is shown like an end of validity.
            "valid" => match self.revoked_at.iter().chain(&self.not_after).min() {
                Some(end) => format!("valid until {end}"),
                None => "valid".to_owned(),
            },
            other => other.to_owned(),
        };
        let status = match self.algorithm {
            "ed25519" => status,
            other => format!("{status} ({other})"),
        };
        let status = match &self.security_key {
            None => status,
            Some(rules) => {
                let signers = rules.signers().join(" ");
                let alone = if rules.may_sign_alone() { ", alone" } else { "" };
                ui.shown(&format!("{status} (security key for {}{alone})", or_dash(signers)))
                    .into_owned()
            }
        };
        let may = match &self.allow {
            None => "anything".to_owned(),
            Some(patterns) => or_dash(patterns.join(" ")),
        };
        vec![
            or_dash(ui.shown(self.name.as_deref().unwrap_or_default()).into_owned()),
            self.id.clone(),
            or_dash(ui.shown(&self.other_kids().join(" ")).into_owned()),
            status,
            or_dash(ui.shown(&self.client_ids.join(" ")).into_owned()),
            ui.shown(&may).into_owned(),
        ]
    }
}

fn status(entry: &TrustEntry, now: Timestamp) -> &'static str {
    match () {
        () if entry.key().is_weak() => "weak",
        () if entry.key().is_published() => "published",
        () if entry.is_revoked_at(now) => "revoked",
        () if entry.not_before().is_some_and(|start| now < start) => "not_yet_valid",
        () if !entry.is_valid_at(now) => "ended",
        () => "valid",
    }
}

/// Returns the rows with aligned columns, two spaces apart. All rows are equally long.
fn aligned(rows: &[Vec<String>]) -> Vec<String> {
    let mut widths = vec![0; rows.first().map_or(0, Vec::len)];
    for row in rows {
        for (width, cell) in widths.iter_mut().zip(row) {
            *width = cell.chars().count().max(*width);
        }
    }
    let line = |row: &Vec<String>| {
        let cells = row.iter().zip(&widths).map(|(cell, width)| format!("{cell:width$}"));
        cells.collect::<Vec<_>>().join("  ").trim_end().to_owned()
    };
    rows.iter().map(line).collect()
}
