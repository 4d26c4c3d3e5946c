//! The worker thread, which owns the connection to the SQLite file.

use std::sync::Arc;

use super::fault::SqliteFault;
use super::file::{FileOpener, OpenFile};
use super::question::{StoreAnswer, StoreQuestion, StoreQueue, StoreWork};
use super::statements::Statements;
use super::{Claim, StoreError};
use crate::work_queue::{QueueWorker, QueuedTask, Taken};

type Question = Arc<QueuedTask<StoreWork>>;

/// Maximum number of expired nonces that are removed after a batch of new ones. This takes some
/// milliseconds.
const MAX_SWEPT_PER_BATCH: u32 = 256;

/// Number of claims after which the worker removes ended nonces, if a second has not passed before.
/// One removal can remove four times as many, so that it keeps up.
const CLAIMS_PER_SWEEP: usize = 64;

/// Starts the worker thread.
pub(super) fn start(queue: &Arc<StoreQueue>, opener: FileOpener) -> Result<(), StoreError> {
    let started = queue.start("nonces", move |worker| work(worker, opener));
    started.map_err(|error| StoreError::because("no thread for the store", error))
}

/// Returns the next calls, or `None` once the store is closed.
fn take(worker: &mut QueueWorker<StoreWork>) -> Option<Vec<Question>> {
    loop {
        match worker.take(None) {
            Taken::Batch(questions) => return Some(questions),
            Taken::Idle => {}
            Taken::Closed => return None,
        }
    }
}

/// Opens the file when a call comes, and answers calls. After a fault, the file is opened again for
/// every batch, so that the store recovers without a restart.
fn work(worker: &mut QueueWorker<StoreWork>, mut opener: FileOpener) {
    while let Some(questions) = take(worker) {
        // A new file records the retention of the calls that are waiting, right from its creation.
        let asked = questions.iter().fold(opener.granted, |asked, question| match question.task {
            StoreQuestion::Register { retention, .. } => {
                Some(asked.map_or(retention, |asked| asked.united(retention)))
            }
            _ => asked,
        });
        // The state of a new file depends on the time: earlier requests are refused. So only a call
        // that passes a time creates the file.
        let opened = match latest(&questions) {
            Some(now) => opener.open(now, asked),
            None if opener.read_only => opener.open(0, asked),
            None => Err(SqliteFault::new("the file is not open")),
        };
        match opened {
            Ok(file) => {
                let ended = serve(worker, &file, &mut opener, questions).is_none();
                file.close();
                if ended {
                    return;
                }
            }
            Err(fault) => refuse(worker, questions, &fault),
        }
    }
}

/// Answers calls from the open file. Returns `Some` when the file has to be opened again, and
/// `None` when the store is closed.
fn serve(
    worker: &mut QueueWorker<StoreWork>,
    file: &OpenFile,
    opener: &mut FileOpener,
    first: Vec<Question>,
) -> Option<()> {
    let mut statements = match Statements::new(&file.connection) {
        Ok(statements) => statements,
        Err(fault) => {
            refuse(worker, first, &fault);
            return Some(());
        }
    };
    let mut sweeping = SweepState { claims: 0, second: i64::MIN, behind: true };
    let mut questions = first;
    loop {
        let claims = questions.iter().filter(|question| is_claim(question)).count();
        let now = latest(&questions);
        let done = batch(&mut statements, file, &questions);
        let broken = match done {
            Ok(answers) => {
                worker.work().set_failed(None);
                for (question, answer) in questions.iter().zip(&answers) {
                    if let (StoreQuestion::Register { retention, .. }, Ok(_)) =
                        (&question.task, answer)
                    {
                        opener.grant(*retention);
                    }
                }
                worker.answer(questions, answers);
                false
            }
            Err(fault) => {
                refuse(worker, questions, &fault);
                // If the rollback failed, the transaction is still open, and later statements would
                // be part of it.
                fault.reopen || !file.connection.is_autocommit()
            }
        };
        if broken {
            return Some(());
        }
        // Ended nonces are removed even after a failure, because a full store then has room again.
        if let Some(now) = now
            && claims > 0
            && !opener.read_only
            && sweeping.is_due(claims, now)
        {
            match sweeping.step(&mut statements, file, now) {
                Err(fault) if fault.reopen => return Some(()),
                _ if !file.connection.is_autocommit() => return Some(()),
                _ => {}
            }
        }
        questions = take(worker)?;
    }
}

type Answers = Vec<Result<StoreAnswer, StoreError>>;

fn is_claim(question: &Question) -> bool {
    matches!(question.task, StoreQuestion::Claim { .. })
}

fn writes(question: &Question) -> bool {
    use StoreQuestion as Q;
    !matches!(question.task, Q::Peek { .. } | Q::Floor | Q::State | Q::List { .. })
}

/// Answers several calls with one commit. A single call needs no transaction, because one statement
/// commits by itself.
fn batch(
    statements: &mut Statements<'_>,
    file: &OpenFile,
    questions: &[Question],
) -> Result<Answers, SqliteFault> {
    let writing = questions.iter().any(writes);
    if file.is_read_only() && writing {
        return Err(SqliteFault::passing("the store was opened for reading only"));
    }
    let alone = matches!(questions, [question] if is_claim(question));
    file.check_version()?;
    let together = !alone && writing;
    let connection = &file.connection;
    if together {
        connection.execute_batch("BEGIN IMMEDIATE")?;
    }
    let answers: Result<Answers, SqliteFault> =
        questions.iter().map(|question| statements.answer(&question.task)).collect();
    if together {
        let ended = match &answers {
            Ok(_) => connection.execute_batch("COMMIT"),
            Err(_) => Ok(()),
        };
        if !connection.is_autocommit() {
            // If the rollback fails, the caller sees it by `is_autocommit`.
            let _ = connection.execute_batch("ROLLBACK");
        }
        ended?;
    }
    let answers = answers?;
    // The check comes after the commit, because a file that was deleted before the commit has lost
    // the claims.
    file.check()?;
    let both = questions.iter().zip(&answers).rev();
    let claimed = both.into_iter().find_map(|(question, answer)| match (&question.task, answer) {
        (StoreQuestion::Claim { id, until, .. }, Ok(StoreAnswer::Claim(Claim::Fresh { .. }))) => {
            Some((*id, *until))
        }
        _ => None,
    });
    file.note(claimed)?;
    Ok(answers)
}

fn refuse(worker: &mut QueueWorker<StoreWork>, questions: Vec<Question>, fault: &SqliteFault) {
    worker.work().set_failed(Some(fault.clone()));
    worker.answer(questions, std::iter::repeat_with(|| Err(fault.error())));
}

/// Returns the time of a batch: the latest time of the calls that change the store. Calls that only
/// look up something do not count.
fn latest(questions: &[Question]) -> Option<i64> {
    use StoreQuestion as Q;
    let times = questions.iter().filter_map(|question| match question.task {
        Q::Register { now, .. } | Q::Claim { now, .. } | Q::Prune { now, .. } => Some(now),
        _ => None,
    });
    times.max()
}

/// Decides when ended nonces are removed: once a second, after [`CLAIMS_PER_SWEEP`] claims, and
/// after every batch while ended nonces are left.
struct SweepState {
    claims: usize,
    second: i64,
    behind: bool,
}

impl SweepState {
    fn is_due(&mut self, claims: usize, now: i64) -> bool {
        self.claims = self.claims.saturating_add(claims);
        self.behind || self.claims >= CLAIMS_PER_SWEEP || now != self.second
    }

    fn step(
        &mut self,
        statements: &mut Statements<'_>,
        file: &OpenFile,
        now: i64,
    ) -> Result<(), SqliteFault> {
        *self = SweepState { claims: 0, second: now, behind: false };
        if !statements.has_passed(now)? {
            return Ok(());
        }
        file.connection.execute_batch("BEGIN IMMEDIATE")?;
        let swept = statements.sweep(now, MAX_SWEPT_PER_BATCH);
        let ended = match &swept {
            Ok(_) => file.connection.execute_batch("COMMIT"),
            Err(_) => Ok(()),
        };
        if !file.connection.is_autocommit() {
            let _ = file.connection.execute_batch("ROLLBACK");
        }
        ended?;
        self.behind = swept? >= u64::from(MAX_SWEPT_PER_BATCH);
        file.note(None)
    }
}
