//! The table row with the state of the store: boot id, retention, floor and horizon.
//!
//! The floor (the moment up to which nonces may be lost) is the later of two values: the column
//! `floor`, which openings and raised retentions set, and `horizon - length`, where the horizon is
//! the latest time at which nonces were removed. A removed nonce was kept until the horizon at
//! most, and for a full length after its request was created; so that request was created at least
//! one length before the horizon. Both values only grow.

use rusqlite::{Connection, OptionalExtension as _, TransactionBehavior, params};

use super::fault::SqliteFault;
use super::last_claim::Claimed;
use super::{MAX_SECONDS, Retention};
use crate::nonce::RetentionTooShort;

/// The schema of the file. `WITHOUT ROWID`: every search is by id, so the table is its own index.
/// The second index serves the removal of ended nonces; new entries are mostly added at its end,
/// where insertion costs least.
const TABLES: &str = "
    CREATE TABLE used (
        id BLOB PRIMARY KEY,
        first INTEGER NOT NULL,
        kept INTEGER NOT NULL
    ) STRICT, WITHOUT ROWID;
    CREATE INDEX used_by_end ON used (kept);
    CREATE TABLE state (
        one INTEGER PRIMARY KEY CHECK (one = 1),
        boot TEXT,
        window INTEGER NOT NULL,
        ahead INTEGER NOT NULL,
        length INTEGER NOT NULL,
        keep INTEGER NOT NULL,
        floor INTEGER NOT NULL,
        horizon INTEGER NOT NULL
    ) STRICT;";

/// The facts that decide whether nonces may be missing when a file is opened, so that earlier
/// requests must be refused (its floor rises).
pub(super) struct OpeningState<'a> {
    pub(super) now: i64,
    pub(super) boot: Option<&'a str>,
    /// Whether an equal boot id proves that no stored nonce was lost since the file was last open.
    pub(super) trusted: bool,
    /// The last stored nonce by `NAME-last`. If the store file does not have it, others may be
    /// missing too.
    pub(super) last: Option<Claimed>,
    /// The retention that a new file records from the start.
    pub(super) requested: Option<Retention>,
    /// The retention granted to users of this handle before. If the file records a shorter one, it
    /// is raised.
    pub(super) granted: Option<Retention>,
    pub(super) application: i64,
    pub(super) version: i64,
}

/// The columns of the table row with the state that Rust code reads.
struct StateRow {
    boot: Option<String>,
    retention: Retention,
    floor: i64,
    horizon: i64,
}

/// Creates the tables of a new file, and sets the floor if nonces may be missing: in a new file, in
/// a file that was last opened under another boot id or none, and in a file that does not match
/// `NAME-last`. All of this is one transaction.
pub(super) fn bring_up_to_date(
    connection: &Connection,
    opening: &OpeningState<'_>,
) -> Result<(), SqliteFault> {
    // An immediate transaction takes the write lock first, so no other writer comes between its
    // reads and its writes.
    let behaviour = TransactionBehavior::Immediate;
    let change = rusqlite::Transaction::new_unchecked(connection, behaviour)?;
    let made: i64 = change.query_row("SELECT count(*) FROM sqlite_schema", [], |row| row.get(0))?;
    if made == 0 {
        change.execute_batch(TABLES)?;
        change.pragma_update(None, "application_id", opening.application)?;
        change.pragma_update(None, "user_version", opening.version)?;
        let retention = opening.requested.unwrap_or(Retention::new(0, 0));
        let floor = opening.now.saturating_add(retention.ahead());
        let row = StateRow {
            boot: opening.boot.map(str::to_owned),
            retention,
            floor,
            horizon: -MAX_SECONDS,
        };
        row.write(&change)?;
    } else {
        let mut row = StateRow::read(&change)?;
        let known = opening.trusted
            && row.boot.is_some()
            && row.boot.as_deref() == opening.boot
            && row.has_claim(&change, opening.last)?;
        if !known {
            let ahead = opening.granted.map_or(0, Retention::ahead).max(row.retention.ahead());
            // The clock of a machine that has just booted may still be late. So the time is at
            // least that of the latest claim in the file.
            let latest = opening.now.max(row.latest(&change)?);
            row.floor = row.floor.max(latest.saturating_add(ahead));
            row.boot = opening.boot.map(str::to_owned);
        }
        let raised = match opening.granted {
            Some(retention) => row.raise(&change, opening.now, retention)?,
            None => false,
        };
        if !known || raised {
            row.write(&change)?;
        }
    }
    change.commit()?;
    Ok(())
}

/// Records that a user needs `retention`, inside a transaction. If that is longer than before and
/// `raising` allows it, the floor is raised so that it excludes every request whose nonce was kept
/// for the shorter time. Otherwise a longer retention is an error, and nothing changes.
pub(super) fn register(
    connection: &Connection,
    now: i64,
    retention: Retention,
    raising: bool,
) -> Result<Result<(), RetentionTooShort>, SqliteFault> {
    let mut row = StateRow::read(connection)?;
    let recorded = row.retention;
    if recorded.united(retention) != recorded && !raising {
        return Ok(Err(RetentionTooShort { recorded: Some(recorded), wanted: retention }));
    }
    if row.raise(connection, now, retention)? {
        row.write(connection)?;
    }
    Ok(Ok(()))
}

/// Returns the longest retention that any user asked for.
pub(super) fn retention(connection: &Connection) -> Result<Retention, SqliteFault> {
    Ok(StateRow::read(connection)?.retention)
}

/// Returns the current floor: the moment up to which nonces may be lost.
pub(super) fn floor(connection: &Connection) -> Result<i64, SqliteFault> {
    let row = StateRow::read(connection)?;
    Ok(row.floor.max(row.horizon.saturating_sub(row.retention.length())))
}

impl StateRow {
    fn read(connection: &Connection) -> Result<Self, SqliteFault> {
        let sql = "SELECT boot, window, ahead, floor, horizon FROM state WHERE one = 1";
        let row = connection.query_row(sql, [], |row| {
            Ok(StateRow {
                boot: row.get(0)?,
                retention: Retention::new(row.get(1)?, row.get(2)?),
                floor: row.get(3)?,
                horizon: row.get(4)?,
            })
        });
        row.optional()?.ok_or(SqliteFault::new("the file is damaged"))
    }

    fn write(&self, connection: &Connection) -> Result<(), SqliteFault> {
        let retention = self.retention;
        connection.execute(
            "INSERT OR REPLACE INTO state
             (one, boot, window, ahead, length, keep, floor, horizon)
             VALUES (1, ?1, ?2, ?3, ?4, ?5, ?6, ?7)",
            params![
                self.boot,
                retention.window(),
                retention.ahead(),
                retention.length(),
                retention.keep(),
                self.floor,
                self.horizon
            ],
        )?;
        Ok(())
    }

    /// Returns true if `last` is in the file, or was removed after its end.
    fn has_claim(
        &self,
        connection: &Connection,
        last: Option<Claimed>,
    ) -> Result<bool, SqliteFault> {
        let Some((id, until)) = last else { return Ok(true) };
        let sql = "SELECT count(*) FROM used WHERE id = ?1";
        let found: i64 = connection.query_row(sql, params![id], |row| row.get(0))?;
        Ok(found > 0 || until <= self.horizon)
    }

    /// Returns a time that is not before the storing of any nonce in the file. It is computed from
    /// the nonce that expires last: it is kept for at least one full retention.
    fn latest(&self, connection: &Connection) -> Result<i64, SqliteFault> {
        let last: Option<i64> =
            connection.query_row("SELECT max(kept) FROM used", [], |row| row.get(0))?;
        let claimed = last.map_or(-MAX_SECONDS, |kept| kept.saturating_sub(self.retention.keep()));
        Ok(claimed.max(self.horizon))
    }

    /// Extends the recorded retention so that it covers `more`; returns true if the retention
    /// changed.
    fn raise(
        &mut self,
        connection: &Connection,
        now: i64,
        more: Retention,
    ) -> Result<bool, SqliteFault> {
        let united = self.retention.united(more);
        if united == self.retention {
            return Ok(false);
        }
        // The clock may have been set back since the latest claims. The floor that follows from
        // removed nonces is kept too, because it would fall when the retention length grows.
        let latest = now.max(self.latest(connection)?);
        self.floor = self
            .floor
            .max(latest.saturating_add(united.ahead()).saturating_add(united.margin()))
            .max(self.horizon.saturating_sub(self.retention.length()));
        self.retention = united;
        Ok(true)
    }
}
