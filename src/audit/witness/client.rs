//! Asks witnesses to cosign the checkpoints of a log (C2SP `tlog-witness`), and stores their
//! cosignatures.
//!
//! ```text
//! old 20            the size that the witness signed last
//! BASE64            the proof that the log has only grown since, at most 63 hashes
//!
//! example.com/audit the checkpoint
//! …
//! ```

use std::fmt;
use std::path::PathBuf;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Instant;

use http::Uri;
use rustls::ClientConfig;

use super::super::checkpoint::Checkpoint;
use super::super::fault::LogError;
use super::super::folder::Folder;
use super::super::growth;
use super::super::note::NoteKey;
use super::super::segment::TreeFile;
use super::super::tree;
use super::answer::{self, SubmissionAnswer};
use super::contradiction;
use super::disputes::{DisputeOutcome, Disputes};
use super::http::{SubmissionUrl, WitnessHttp};
use super::ledger::{self, SignedTree, WitnessLedger};
use super::policy::{PolicyError, WitnessPolicy};
use super::status::WitnessStatus;
use super::submission::{Cosigned, Submission, WitnessOutcome, WitnessReply};
use crate::clock::{Clock, Timestamp};
use crate::message::error_chain::chain;
use crate::net::{DialRoute, ProxyError};

/// Why witnesses cannot be asked.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum WitnessError {
    /// The log cannot be used.
    #[error(transparent)]
    Log(#[from] LogError),
    /// The policy does not apply to this log, or the witnesses that can be asked cannot make a
    /// quorum.
    #[error(transparent)]
    Policy(#[from] PolicyError),
    /// The latest checkpoint was not signed by the log's key.
    #[error("the latest checkpoint is {0}")]
    Checkpoint(String),
    /// The HTTP proxy for the connection cannot be used.
    #[error(transparent)]
    Proxy(#[from] ProxyError),
}

/// Asks the witnesses of one log to sign its checkpoints.
pub struct WitnessClient {
    folder: Folder,
    log_key: NoteKey,
    policy: Arc<WitnessPolicy>,
    clock: Arc<dyn Clock>,
    /// The HTTP client for each witness, by its index in the policy; `None` if the witness cannot
    /// be asked.
    ways: Vec<Option<WitnessHttp>>,
    ledger: Arc<Mutex<WitnessLedger>>,
    status: Arc<WitnessStatus>,
    disputes: Mutex<Disputes>,
}

impl fmt::Debug for WitnessClient {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("WitnessClient").field("log_key", &self.log_key).finish_non_exhaustive()
    }
}

impl WitnessClient {
    /// Opens the file in `folder` that records what witnesses have signed, and locks it for this
    /// process. `route` chooses how to connect to a URL.
    ///
    /// # Errors
    /// [`WitnessError`] if the log, the policy or a proxy cannot be used.
    pub fn open(
        folder: Folder,
        policy: Arc<WitnessPolicy>,
        clock: Arc<dyn Clock>,
        tls: &ClientConfig,
        route: impl Fn(&Uri) -> Result<DialRoute, ProxyError>,
    ) -> Result<Self, WitnessError> {
        let log_key = folder.public()?;
        let ways = ways(&policy, &log_key, tls, route)?;
        let ledger = Arc::new(Mutex::new(WitnessLedger::open(&folder)?));
        let (status, disputes) = (Arc::new(WitnessStatus::default()), Mutex::default());
        let client =
            WitnessClient { folder, log_key, policy, clock, ways, ledger, status, disputes };
        client.load_last_quorum();
        Ok(client)
    }

    /// Returns a client of the same log, with the same records and the same status, for another
    /// policy. The counts of the status stay; its last quorum is read anew for the new policy.
    ///
    /// # Errors
    /// [`WitnessError`]; then nothing has changed.
    pub fn with_policy(
        &self,
        policy: Arc<WitnessPolicy>,
        tls: &ClientConfig,
        route: impl Fn(&Uri) -> Result<DialRoute, ProxyError>,
    ) -> Result<Self, WitnessError> {
        let client = WitnessClient {
            folder: self.folder.clone(),
            log_key: self.log_key.clone(),
            ways: ways(&policy, &self.log_key, tls, route)?,
            policy,
            clock: Arc::clone(&self.clock),
            ledger: Arc::clone(&self.ledger),
            status: Arc::clone(&self.status),
            disputes: Mutex::default(),
        };
        Ok(client)
    }

    /// Returns the policy.
    pub fn policy(&self) -> &WitnessPolicy {
        &self.policy
    }

    /// Returns the record of how well the witnesses sign the checkpoints.
    pub fn status(&self) -> &Arc<WitnessStatus> {
        &self.status
    }

    /// Returns the current time of the clock.
    pub(super) fn now(&self) -> Timestamp {
        self.clock.now()
    }

    /// Decides whether to believe unsigned answers of witnesses that contradict the log, and
    /// returns the decisions. If an answer is believed, the status reports a contradiction from
    /// then on. If `at_once` is true, no more signatures of witnesses will come, so all answers are
    /// decided now.
    pub fn settle(&self, at_once: bool) -> Vec<DisputeOutcome> {
        let can_ask = |place| self.can_ask(place);
        let mut disputes = self.disputes.lock().unwrap_or_else(PoisonError::into_inner);
        let outcomes = disputes.settle(self.policy.quorum(), can_ask, Instant::now(), at_once);
        drop(disputes);
        for outcome in &outcomes {
            if let DisputeOutcome::Upheld(why) = outcome {
                self.status.update(|figures| {
                    figures.contradiction.get_or_insert_with(|| why.clone());
                });
            }
        }
        outcomes
    }

    /// Returns true if the witness at index `place` of the policy has a key and a URL, so that it
    /// can be asked.
    pub fn can_ask(&self, place: usize) -> bool {
        self.ways.get(place).is_some_and(Option::is_some)
    }

    /// Returns how many times the witness at index `place` of the policy stated fewer entries than
    /// it had signed before, which means that it lost its state.
    pub fn rollbacks(&self, place: usize) -> u64 {
        let key = self.policy.witnesses().get(place).and_then(|witness| witness.key.as_ref());
        key.map_or(0, |key| self.ledger().rollbacks(key))
    }

    /// Returns the latest checkpoint of the log, for sending to witnesses.
    ///
    /// # Errors
    /// [`WitnessError`] if there is no checkpoint, or if the log's key did not sign it.
    pub fn latest(&self) -> Result<Submission, WitnessError> {
        let bytes = self.folder.latest()?;
        let bytes = bytes.ok_or_else(|| WitnessError::Checkpoint("missing".to_owned()))?;
        let (checkpoint, note) = Checkpoint::signed(&bytes, &self.log_key)
            .map_err(|e| WitnessError::Checkpoint(chain(&e)))?;
        let text = String::from_utf8_lossy(&bytes).into_owned();
        Ok(Submission { checkpoint, note, text, gathered: Mutex::default() })
    }

    /// Returns true if the checkpoint in `submission` is still the latest of the log.
    pub(super) fn is_latest(&self, submission: &Submission) -> bool {
        let latest = self.folder.latest().ok().flatten();
        latest.is_some_and(|bytes| bytes == submission.text.as_bytes())
    }

    /// Returns the path of the newest checkpoint that enough witnesses have signed, with their
    /// signatures.
    pub fn cosigned(&self) -> PathBuf {
        self.folder.cosigned()
    }

    /// Checks, without asking witnesses, that this log agrees with the checkpoints that they have
    /// signed. Returns the contradiction, if there is one.
    ///
    /// # Errors
    /// [`WitnessError`] if the log cannot be read.
    pub fn contradiction(&self) -> Result<Option<String>, WitnessError> {
        let latest = self.latest()?;
        let nodes = TreeFile::open(&self.folder)?;
        let new = (latest.checkpoint.size, latest.checkpoint.root);
        for witness in self.policy.witnesses() {
            let last = witness.key.as_ref().and_then(|key| self.ledger().last(key));
            let Some(last) = last else { continue };
            if let Some(why) = contradiction::find(&nodes, &witness.name, &last, new)? {
                self.status.update(|figures| figures.contradiction = Some(why.clone()));
                return Ok(Some(why));
            }
        }
        Ok(None)
    }

    /// Asks the witness at index `place` of the policy to sign the checkpoint. If it answers that
    /// it last signed another number of entries, asks once more with a proof that begins there.
    pub async fn ask(&self, place: usize, submission: &Submission) -> WitnessReply {
        let mut forgot = None;
        let asked = self.try_ask(place, submission, &mut forgot).await;
        let outcome = asked.unwrap_or_else(|error| WitnessOutcome::Failed(chain(&error)));
        let size = submission.checkpoint.size;
        let mut disputes = self.disputes.lock().unwrap_or_else(PoisonError::into_inner);
        match &outcome {
            WitnessOutcome::Cosigned(_) => disputes.note_cosigned(place, size),
            WitnessOutcome::Disputed(why) => {
                disputes.add(place, size, why.clone(), Instant::now());
            }
            _ => {}
        }
        drop(disputes);
        self.status.update(|figures| {
            match &outcome {
                WitnessOutcome::Cosigned(_) => figures.cosignatures += 1,
                WitnessOutcome::Superseded => {}
                WitnessOutcome::Contradicted(why) => {
                    figures.failures += 1;
                    figures.contradiction.get_or_insert_with(|| why.clone());
                }
                _ => figures.failures += 1,
            }
            figures.rollbacks += u64::from(forgot.is_some());
        });
        WitnessReply { outcome, forgot }
    }

    async fn try_ask(
        &self,
        place: usize,
        submission: &Submission,
        forgot: &mut Option<(u64, u64)>,
    ) -> Result<WitnessOutcome, LogError> {
        let witness = self.policy.witnesses().get(place);
        let witness = witness.and_then(|w| Some((w, w.key.as_ref()?)));
        let (Some((witness, key)), Some(Some(way))) = (witness, self.ways.get(place)) else {
            return Ok(WitnessOutcome::Refused("it has no URL, or no key of Ed25519".to_owned()));
        };
        let new = (submission.checkpoint.size, submission.checkpoint.root);
        let last = self.ledger().last(key);
        let nodes = TreeFile::open(&self.folder)?;
        let mut old = 0;
        if let Some(last) = last {
            if let Some(why) = contradiction::find(&nodes, &witness.name, &last, new)? {
                return Ok(WitnessOutcome::Contradicted(why));
            }
            old = last.size;
        }
        for is_retry in [false, true] {
            let proof = tree::consistency(&nodes, old, new.0)?;
            let answer = match way.post(growth::request(old, &proof, &submission.text)).await {
                Ok(answer) => answer,
                Err(why) => return Ok(WitnessOutcome::Failed(why)),
            };
            let held = match answer::read(&answer, &submission.note, key, self.clock.now()) {
                SubmissionAnswer::Cosigned { time, line } => {
                    let signed = SignedTree { size: new.0, root: new.1, time };
                    self.ledger().note(key, signed, false)?;
                    self.gather(submission, Cosigned { place, time, line })?;
                    return Ok(WitnessOutcome::Cosigned(time));
                }
                // The witness has signed as many entries as the checkpoint covers, so the proof is
                // empty, and only the root can be the reason.
                SubmissionAnswer::Inconsistent if old == new.0 && old > 0 => {
                    let why = contradiction::refuses_root(&witness.name, 422, old);
                    return Ok(WitnessOutcome::Disputed(why));
                }
                SubmissionAnswer::Inconsistent => {
                    let why = "it refuses the proof (422): it may hold another history of this log";
                    return Ok(WitnessOutcome::Refused(why.to_owned()));
                }
                SubmissionAnswer::Refused(why) => return Ok(WitnessOutcome::Refused(why)),
                SubmissionAnswer::Failed(why) => return Ok(WitnessOutcome::Failed(why)),
                SubmissionAnswer::Holds(held) => held,
            };
            if held > new.0 {
                // Another process may have sent a newer checkpoint of this log to the witness.
                let latest = self.latest().map_or(new.0, |latest| latest.checkpoint.size);
                return Ok(match held <= latest {
                    true => WitnessOutcome::Superseded,
                    false => WitnessOutcome::Disputed(contradiction::answers_more(
                        &witness.name,
                        held,
                        new.0,
                    )),
                });
            }
            if held == old {
                // The proof already began at the number of entries that the witness states, so the
                // witness must have signed another root for that number.
                return Ok(match held == new.0 && held > 0 {
                    true => WitnessOutcome::Disputed(contradiction::refuses_root(
                        &witness.name,
                        409,
                        held,
                    )),
                    false => WitnessOutcome::Failed(format!(
                        "it answers 409 with the size that it was asked from, {held}"
                    )),
                });
            }
            // The answer is not signed, so it does not change the record of what the witness
            // signed. That the witness lost its state is counted once, not again at the retry.
            if let Some(last) = last.filter(|last| held < last.size && !is_retry) {
                *forgot = Some((last.size, held));
                self.ledger().note(key, last, true)?;
            }
            if is_retry {
                return Ok(WitnessOutcome::Failed(format!(
                    "it names another size with each answer: {old}, then {held}"
                )));
            }
            old = held;
        }
        Ok(WitnessOutcome::Failed("no answer".to_owned()))
    }

    /// Adds the witness's signature `one` to `submission`. If there are now enough for the quorum,
    /// writes the checkpoint with all of them.
    fn gather(&self, submission: &Submission, one: Cosigned) -> Result<(), LogError> {
        let mut gathered = submission.gathered.lock().unwrap_or_else(PoisonError::into_inner);
        gathered.retain(|other| other.place != one.place);
        gathered.push(one);
        gathered.sort_by_key(|one| one.place);
        let by: Vec<_> = gathered.iter().map(|one| (one.place, one.time)).collect();
        let Some(complete) = self.policy.complete(&by) else { return Ok(()) };
        let size = submission.checkpoint.size;
        if self.status.figures().quorum.is_some_and(|(newer, _)| newer > size) {
            return Ok(());
        }
        let lines: String = gathered.iter().map(|one| one.line.as_str()).collect();
        let text = format!("{}{lines}", submission.text);
        ledger::replace(&self.folder.cosigned(), text.as_bytes())?;
        self.status.update(|figures| {
            figures.quorum = Some((size, complete));
            figures.waiting = figures.waiting.filter(|(waiting, _)| *waiting > size);
        });
        Ok(())
    }

    /// Returns when the quorum on this checkpoint was complete; `None` if it is not.
    pub fn quorum_of(&self, submission: &Submission) -> Option<Timestamp> {
        let gathered = submission.gathered.lock().unwrap_or_else(PoisonError::into_inner);
        let by: Vec<_> = gathered.iter().map(|one| (one.place, one.time)).collect();
        self.policy.complete(&by)
    }

    /// Reads the last quorum from the file that an earlier process wrote, perhaps for another
    /// policy.
    pub(super) fn load_last_quorum(&self) {
        self.status.update(|figures| (figures.quorum, figures.waiting) = (None, None));
        let Ok(Some(bytes)) = self.folder.latest_cosigned() else { return };
        let Ok((checkpoint, note)) = Checkpoint::signed(&bytes, &self.log_key) else { return };
        if let Some(complete) = self.policy.cosignatures(&note).complete {
            self.status.update(|figures| figures.quorum = Some((checkpoint.size, complete)));
        }
    }

    fn ledger(&self) -> MutexGuard<'_, WitnessLedger> {
        self.ledger.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// Returns the HTTP client for each witness of the policy.
fn ways(
    policy: &WitnessPolicy,
    log_key: &NoteKey,
    tls: &ClientConfig,
    route: impl Fn(&Uri) -> Result<DialRoute, ProxyError>,
) -> Result<Vec<Option<WitnessHttp>>, WitnessError> {
    let way =
        |url: SubmissionUrl| route(url.uri()).map(|via| WitnessHttp::new(url, tls.clone(), via));
    let ways = policy.urls(log_key)?.into_iter().map(|url| url.map(way).transpose());
    Ok(ways.collect::<Result<_, _>>()?)
}
