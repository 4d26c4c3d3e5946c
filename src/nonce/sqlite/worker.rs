//! The thread that owns the connection.

use std::sync::Arc;
use std::thread;

use super::desk::{Answer, Ask, Desk, Job};
use super::fault::Fault;
use super::file::{OpenFile, Place};
use super::statements::Statements;
use super::{Claim, StoreError};

/// Nonces that are removed behind a batch of claims, at most: some milliseconds.
const SWEPT: u32 = 256;

/// Claims after which the worker sweeps, if a second does not pass before. A quarter of what it
/// can sweep, so that it always keeps up.
const CLAIMS_PER_SWEEP: usize = 64;

/// Starts the worker and the watch.
pub(super) fn start(desk: &Arc<Desk>, place: Place) -> Result<(), StoreError> {
    let failed = |e: std::io::Error| StoreError::because("no thread for the store", e);
    let watching = Arc::clone(desk);
    let named = |name: &str| thread::Builder::new().name(name.to_owned());
    let leaving = Leaving(Arc::clone(desk));
    named("nonces-watch").spawn(move || watching.keep_watch()).map_err(failed)?;
    named("nonces").spawn(move || work(&leaving.0, place)).map_err(failed)?;
    Ok(())
}

/// Lets everybody know that nobody works any more, also if that is by a panic.
struct Leaving(Arc<Desk>);

impl Drop for Leaving {
    fn drop(&mut self) {
        self.0.leave();
    }
}

/// Opens the file for what is asked, and again whenever it could not be used. Trying anew for
/// every batch is what makes the store recover by itself.
fn work(desk: &Desk, mut place: Place) {
    while let Some(jobs) = desk.take() {
        // What a file that is made now has to know from the start.
        let asked = jobs.iter().fold(place.granted, |asked, job| match job.ask {
            Ask::Register { retention, .. } => {
                Some(asked.map_or(retention, |asked| asked.united(retention)))
            }
            _ => asked,
        });
        // A new file gets its floor by the time, so it is only made for somebody who knows it.
        let opened = match latest(&jobs) {
            Some(now) => place.open(now, asked),
            None if place.read_only => place.open(0, asked),
            None => Err(Fault::new("the file is not open")),
        };
        match opened {
            Ok(file) => {
                let ended = serve(desk, &file, &mut place, jobs).is_none();
                file.close();
                if ended {
                    return;
                }
            }
            Err(fault) => refuse(desk, &jobs, &fault),
        }
    }
}

/// Answers until the file cannot be used any more, or, with none, until the desk is closed.
fn serve(desk: &Desk, file: &OpenFile, place: &mut Place, first: Vec<Arc<Job>>) -> Option<()> {
    let mut statements = match Statements::new(&file.connection) {
        Ok(statements) => statements,
        Err(fault) => {
            refuse(desk, &first, &fault);
            return Some(());
        }
    };
    let mut sweeping = Sweeping { claims: 0, second: i64::MIN, behind: true };
    let mut jobs = first;
    loop {
        let done = batch(&mut statements, file, &jobs);
        let broken = match done {
            Ok(answers) => {
                desk.ended(None);
                for (job, answer) in jobs.iter().zip(answers) {
                    if let (Ask::Register { retention, .. }, Ok(_)) = (&job.ask, &answer) {
                        place.grant(*retention);
                    }
                    job.answer(answer);
                }
                false
            }
            Err(fault) => {
                refuse(desk, &jobs, &fault);
                // A change that could not be taken back would swallow what comes next.
                fault.reopen || !file.connection.is_autocommit()
            }
        };
        if broken {
            return Some(());
        }
        // A full store may have room once something is swept, so also after a failure.
        let claims = jobs.iter().filter(|job| matches!(job.ask, Ask::Claim { .. })).count();
        if let Some(now) = latest(&jobs)
            && claims > 0
            && !place.read_only
            && sweeping.is_due(claims, now)
        {
            match sweeping.step(&mut statements, file, now) {
                Err(fault) if fault.reopen => return Some(()),
                _ if !file.connection.is_autocommit() => return Some(()),
                _ => {}
            }
        }
        jobs = desk.take()?;
    }
}

type Answers = Vec<Result<Answer, StoreError>>;

/// Answers several questions with one commit. A single one is one statement and commits itself.
fn batch(
    statements: &mut Statements<'_>,
    file: &OpenFile,
    jobs: &[Arc<Job>],
) -> Result<Answers, Fault> {
    let writes =
        |ask: &Ask| !matches!(ask, Ask::Peek { .. } | Ask::Floor | Ask::About | Ask::List { .. });
    if file.is_read_only() && jobs.iter().any(|job| writes(&job.ask)) {
        return Err(Fault::passing("the store was opened for reading only"));
    }
    let alone = matches!(jobs, [job] if matches!(job.ask, Ask::Claim { .. }));
    file.check_version()?;
    let together = !alone && jobs.iter().any(|job| writes(&job.ask));
    let connection = &file.connection;
    if together {
        connection.execute_batch("BEGIN IMMEDIATE")?;
    }
    let answers: Result<Answers, Fault> =
        jobs.iter().map(|job| statements.answer(&job.ask)).collect();
    if together {
        let ended = match &answers {
            Ok(_) => connection.execute_batch("COMMIT"),
            Err(_) => Ok(()),
        };
        if !connection.is_autocommit() {
            // Its own failure is seen by what it leaves behind.
            let _ = connection.execute_batch("ROLLBACK");
        }
        ended?;
    }
    let answers = answers?;
    // After the commit: a file that was deleted before it has taken the claims along.
    file.check()?;
    let claimed =
        jobs.iter().zip(&answers).rev().find_map(|(job, answer)| match (&job.ask, answer) {
            (Ask::Claim { id, until, .. }, Ok(Answer::Claim(Claim::Fresh { .. }))) => {
                Some((*id, *until))
            }
            _ => None,
        });
    file.note(claimed)?;
    Ok(answers)
}

fn refuse(desk: &Desk, jobs: &[Arc<Job>], fault: &Fault) {
    desk.ended(Some(fault.clone()));
    jobs.iter().for_each(|job| job.answer(Err(fault.error())));
}

/// The time that goes for a batch: the latest that anybody in it has seen. Who only looks may
/// look from any time.
fn latest(jobs: &[Arc<Job>]) -> Option<i64> {
    let times = jobs.iter().filter_map(|job| match job.ask {
        Ask::Register { now, .. } | Ask::Claim { now, .. } | Ask::Prune { now, .. } => Some(now),
        _ => None,
    });
    times.max()
}

/// When to sweep: every second or every few claims, and on and on while there is more.
struct Sweeping {
    claims: usize,
    second: i64,
    behind: bool,
}

impl Sweeping {
    fn is_due(&mut self, claims: usize, now: i64) -> bool {
        self.claims = self.claims.saturating_add(claims);
        self.behind || self.claims >= CLAIMS_PER_SWEEP || now != self.second
    }

    fn step(
        &mut self,
        statements: &mut Statements<'_>,
        file: &OpenFile,
        now: i64,
    ) -> Result<(), Fault> {
        *self = Sweeping { claims: 0, second: now, behind: false };
        if !statements.has_passed(now)? {
            return Ok(());
        }
        file.connection.execute_batch("BEGIN IMMEDIATE")?;
        let swept = statements.sweep(now, SWEPT);
        let ended = match &swept {
            Ok(_) => file.connection.execute_batch("COMMIT"),
            Err(_) => Ok(()),
        };
        if !file.connection.is_autocommit() {
            let _ = file.connection.execute_batch("ROLLBACK");
        }
        ended?;
        self.behind = swept? >= u64::from(SWEPT);
        file.note(None)
    }
}
