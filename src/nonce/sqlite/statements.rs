//! The SQL statements for claiming, looking up and removing nonces, each prepared once.

use rusqlite::{Connection, OptionalExtension as _, Row, Statement, params};

use super::fault::SqliteFault;
use super::question::{StoreAnswer, StoreQuestion};
use super::{Claim, KeptNonce, KnownNonce, StoreError, StoreState, state};
use crate::clock::Timestamp;

/// The SQL statement that claims a nonce. It uses the retention that the file records at that
/// moment, and returns the time up to which nonces may be lost (the floor) after the write.
pub(super) const CLAIM: &str = "
    INSERT INTO used (id, first, kept)
    SELECT ?1, ?2, max(?3, ?2 + keep) FROM state WHERE one = 1
    ON CONFLICT (id) DO NOTHING
    RETURNING (SELECT max(floor, horizon - length) FROM state WHERE one = 1)";

pub(super) struct Statements<'c> {
    connection: &'c Connection,
    claim: Statement<'c>,
    find: Statement<'c>,
    passed: Statement<'c>,
    sweep: Statement<'c>,
}

impl<'c> Statements<'c> {
    pub(super) fn new(connection: &'c Connection) -> Result<Self, SqliteFault> {
        Ok(Statements {
            connection,
            claim: connection.prepare(CLAIM)?,
            find: connection.prepare("SELECT first, kept FROM used WHERE id = ?1")?,
            passed: connection.prepare("SELECT 1 FROM used WHERE kept <= ?1 LIMIT 1")?,
            sweep: connection.prepare(
                "DELETE FROM used WHERE id IN
                 (SELECT id FROM used WHERE kept <= ?1 ORDER BY kept LIMIT ?2)",
            )?,
        })
    }

    /// Answers one call, inside the open transaction if there is one. A refused call does not
    /// affect the other calls of the batch.
    pub(super) fn answer(
        &mut self,
        question: &StoreQuestion,
    ) -> Result<Result<StoreAnswer, StoreError>, SqliteFault> {
        Ok(Ok(match question {
            StoreQuestion::Register { now, retention, raising } => {
                match state::register(self.connection, *now, *retention, *raising)? {
                    Ok(()) => StoreAnswer::Done,
                    Err(retention_too_short) => return Ok(Err(retention_too_short.into())),
                }
            }
            StoreQuestion::Claim { now, id, until } => {
                StoreAnswer::Claim(self.claim(*now, id, *until)?)
            }
            StoreQuestion::Peek { now, id } => StoreAnswer::Seen(
                self.find(id)?
                    .filter(|(_, kept)| kept > now)
                    .map(|(first, kept)| KnownNonce::new(Some(time(first)), time(kept))),
            ),
            StoreQuestion::Floor => StoreAnswer::Floor(time(state::floor(self.connection)?)),
            StoreQuestion::State => StoreAnswer::State(StoreState {
                floor: time(state::floor(self.connection)?),
                retention: Some(state::retention(self.connection)?),
            }),
            StoreQuestion::Prune { now, limit } => StoreAnswer::Swept(self.sweep(*now, *limit)?),
            StoreQuestion::List { after, limit } => {
                StoreAnswer::List(self.list(after.as_ref(), *limit)?)
            }
        }))
    }

    fn claim(&mut self, now: i64, id: &[u8; 32], until: i64) -> Result<Claim, SqliteFault> {
        if let Some(floor) = self.insert(now, id, until)? {
            return Ok(Claim::Fresh { floor: time(floor) });
        }
        match self.find(id)? {
            Some((first, kept)) if kept > now => Ok(Claim::Replayed { first: Some(time(first)) }),
            Some(_) => self.claim_again(now, id, until),
            // The statement inserted nothing, although the nonce is not in the table. So the row
            // with the retention is missing.
            None => Err(SqliteFault::new("the file is damaged")),
        }
    }

    /// Claims a nonce whose retention has ended but which is still in the table. In one
    /// transaction, the horizon is raised (see [`Statements::move_horizon`]), and the old claim is
    /// replaced.
    fn claim_again(&mut self, now: i64, id: &[u8; 32], until: i64) -> Result<Claim, SqliteFault> {
        if self.connection.is_autocommit() {
            self.connection.execute_batch("BEGIN IMMEDIATE")?;
            let claim = self.claim(now, id, until);
            let end = if claim.is_ok() { "COMMIT" } else { "ROLLBACK" };
            self.connection.execute_batch(end)?;
            return claim;
        }
        self.move_horizon(now)?;
        let sql = "DELETE FROM used WHERE id = ?1 AND kept <= ?2";
        self.connection.execute(sql, params![id, now])?;
        match self.insert(now, id, until)? {
            Some(floor) => Ok(Claim::Fresh { floor: time(floor) }),
            None => Err(SqliteFault::new("the file is damaged")),
        }
    }

    /// Inserts a nonce. Returns the floor of the store (the moment up to which nonces may be lost),
    /// or `None` if the nonce is in the table already.
    fn insert(&mut self, now: i64, id: &[u8; 32], until: i64) -> Result<Option<i64>, SqliteFault> {
        let mut rows = self.claim.query(params![id, now, until])?;
        let floor = match rows.next()? {
            Some(row) => Some(row.get(0)?),
            None => None,
        };
        // All rows are read to the end. Outside of a transaction, SQLite commits at the last one,
        // and the error of the commit would be lost if the rows were dropped before.
        while rows.next()?.is_some() {}
        Ok(floor)
    }

    fn find(&mut self, id: &[u8; 32]) -> Result<Option<(i64, i64)>, SqliteFault> {
        let pair = |row: &Row<'_>| Ok((row.get(0)?, row.get(1)?));
        Ok(self.find.query_row(params![id], pair).optional()?)
    }

    /// Returns true if the retention of the nonce `id` has ended, so that it may be removed.
    pub(super) fn has_passed(&mut self, now: i64) -> Result<bool, SqliteFault> {
        Ok(self.passed.exists(params![now])?)
    }

    /// Removes up to `limit` ended nonces. Must run in a transaction.
    pub(super) fn sweep(&mut self, now: i64, limit: u32) -> Result<u64, SqliteFault> {
        if !self.has_passed(now)? {
            return Ok(0);
        }
        self.move_horizon(now)?;
        let swept = self.sweep.execute(params![now, limit])?;
        Ok(u64::try_from(swept).unwrap_or(u64::MAX))
    }

    /// Sets the horizon, the latest time at which nonces were removed, to `now`. Called before a
    /// nonce is removed, so that a claim that does not find this nonce also sees the higher floor.
    fn move_horizon(&self, now: i64) -> Result<(), SqliteFault> {
        let sql = "UPDATE state SET horizon = ?1 WHERE one = 1 AND horizon < ?1";
        self.connection.execute(sql, params![now])?;
        Ok(())
    }

    fn list(&self, after: Option<&KeptNonce>, limit: u32) -> Result<Vec<KeptNonce>, SqliteFault> {
        let sql = "SELECT id, first, kept FROM used WHERE (kept, id) > (?1, ?2)
                   ORDER BY kept, id LIMIT ?3";
        let (kept, id) = after.map_or((i64::MIN, &[][..]), |k| (k.until.unix(), &k.id[..]));
        let mut statement = self.connection.prepare(sql)?;
        let rows = statement.query_map(params![kept, id, limit], |row| {
            Ok(KeptNonce {
                id: row.get(0)?,
                first: Some(time(row.get(1)?)),
                until: time(row.get(2)?),
            })
        })?;
        Ok(rows.collect::<Result<_, _>>()?)
    }
}

fn time(seconds: i64) -> Timestamp {
    Timestamp::from_unix(seconds)
}
