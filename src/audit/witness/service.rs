//! A background thread that sends every checkpoint of an open log to the witnesses, so that no
//! request waits for a witness.

use std::fmt;
use std::io;
use std::sync::Arc;
use std::thread::{self, JoinHandle};
use std::time::{Duration, Instant};

use tokio::runtime::Builder;
use tokio::sync::watch;

use super::super::recorder::{Policy, Recorder};
use super::client::{Submission, WitnessClient, WitnessOutcome};
use super::quorum::Quorum;
use super::status::WitnessStatus;
use crate::verify::rejection::chain;

/// How often the thread checks for a new checkpoint.
const LOOK: Duration = Duration::from_millis(500);
/// The first and the longest pause before a failed witness is asked again. Each pause is twice the
/// previous one.
const PAUSES: (Duration, Duration) = (Duration::from_secs(1), Duration::from_secs(60));
/// How long the last checkpoint may take when the service ends.
const LAST: Duration = Duration::from_secs(2);

/// An event that an operator should see.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum WitnessNews {
    /// A witness cosigns again after it failed.
    Note(String),
    /// A witness does not cosign, or lost its earlier signature.
    Warning(String),
    /// Witnesses prove that the log was rolled back or forked.
    Contradicted(String),
}

type NewsSink = Arc<dyn Fn(WitnessNews) + Send + Sync>;

/// Asks the witnesses for every checkpoint until it is dropped.
pub struct WitnessService {
    status: Arc<WitnessStatus>,
    stop: watch::Sender<bool>,
    thread: Option<JoinHandle<()>>,
}

impl fmt::Debug for WitnessService {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("WitnessService").field("status", &self.status).finish_non_exhaustive()
    }
}

impl WitnessService {
    /// Starts the thread. If witnesses contradict the log and `recorder` writes it under
    /// [`Policy::Required`], no more entries are appended ([`Log::halt`](super::super::Log::halt)).
    /// Before this function returns, it compares the log with what the witnesses have signed.
    ///
    /// # Errors
    /// The error of the operating system if it cannot start a thread.
    pub fn start(
        client: WitnessClient,
        recorder: Arc<Recorder>,
        say: impl Fn(WitnessNews) + Send + Sync + 'static,
    ) -> io::Result<Self> {
        let say: NewsSink = Arc::new(move |news| {
            if let WitnessNews::Contradicted(why) = &news
                && recorder.policy() == Policy::Required
            {
                recorder.log().halt(why.clone());
            }
            say(news);
        });
        if let Ok(Some(why)) = client.contradiction() {
            say(WitnessNews::Contradicted(why));
        }
        let runtime = Builder::new_current_thread().enable_all().build()?;
        let status = Arc::clone(client.status());
        let (stop, stopped) = watch::channel(false);
        let client = Arc::new(client);
        let run = move || {
            runtime.block_on(run(client, say, stopped));
            runtime.shutdown_background();
        };
        let thread = thread::Builder::new().name("witnesses".to_owned()).spawn(run)?;
        Ok(WitnessService { status, stop, thread: Some(thread) })
    }

    /// Returns the witnessing status.
    pub fn status(&self) -> &Arc<WitnessStatus> {
        &self.status
    }
}

impl Drop for WitnessService {
    /// Sends the last checkpoint. This takes at most 2 s.
    fn drop(&mut self) {
        let _ = self.stop.send(true);
        if let Some(thread) = self.thread.take() {
            // If the thread panicked, the panic hook has already reported it.
            let _ = thread.join();
        }
    }
}

async fn run(client: Arc<WitnessClient>, say: NewsSink, mut stopped: watch::Receiver<bool>) {
    let (newest, receiver) = watch::channel(None);
    for place in (0..client.policy().witnesses().len()).filter(|place| client.can_ask(*place)) {
        let (client, say) = (Arc::clone(&client), Arc::clone(&say));
        tokio::spawn(poll_witness(client, place, receiver.clone(), say));
    }
    let mut trouble = None;
    loop {
        take_latest(&client, &newest, &say, &mut trouble);
        tokio::select! {
            _ = stopped.wait_for(|stopped| *stopped) => break,
            () = tokio::time::sleep(LOOK) => {}
        }
    }
    // The log has written its last checkpoint by now, so this call finds that checkpoint.
    take_latest(&client, &newest, &say, &mut trouble);
    let until = Instant::now() + LAST;
    while client.status().figures().waiting.is_some() && Instant::now() < until {
        tokio::time::sleep(Duration::from_millis(20)).await;
    }
}

/// Takes the latest checkpoint, if it is new.
fn take_latest(
    client: &WitnessClient,
    newest: &watch::Sender<Option<Arc<Submission>>>,
    say: &NewsSink,
    trouble: &mut Option<String>,
) {
    if newest.borrow().as_ref().is_some_and(|submission| client.is_latest(submission)) {
        return;
    }
    match client.latest() {
        Ok(latest) => {
            *trouble = None;
            let (size, now) = (latest.checkpoint().size, client.now());
            let wanted = *client.policy().quorum() != Quorum::None;
            client.status().update(|figures| {
                let has = figures.quorum.is_some_and(|(quorum, _)| quorum == size);
                let since = figures.waiting.map_or(now, |(_, since)| since);
                figures.waiting = (wanted && !has).then_some((size, since));
            });
            newest.send_replace(Some(Arc::new(latest)));
        }
        Err(error) => {
            let why = format!("the witnesses cannot be asked: {}", chain(&error));
            if trouble.as_ref() != Some(&why) {
                say(WitnessNews::Warning(why.clone()));
                *trouble = Some(why);
            }
        }
    }
}

/// Asks one witness to cosign every checkpoint, until it gives a final answer.
async fn poll_witness(
    client: Arc<WitnessClient>,
    place: usize,
    mut newest: watch::Receiver<Option<Arc<Submission>>>,
    say: NewsSink,
) {
    let name = client.policy().witnesses().get(place).map(|w| w.name.clone()).unwrap_or_default();
    let (mut pause, mut trouble) = (PAUSES.0, None);
    loop {
        let submission = newest.borrow_and_update().clone();
        if let Some(submission) = submission {
            let reply = client.ask(place, &submission).await;
            if let Some((signed, held)) = reply.forgot {
                say(WitnessNews::Warning(format!(
                    "the witness {name} was rolled back: it has signed {signed} entries, and holds \
                     {held}"
                )));
            }
            match reply.outcome {
                WitnessOutcome::Cosigned(_) | WitnessOutcome::Superseded => {
                    pause = PAUSES.0;
                    if trouble.take().is_some() {
                        say(WitnessNews::Note(format!("the witness {name} cosigns again")));
                    }
                }
                WitnessOutcome::Refused(why) => {
                    say(WitnessNews::Warning(format!(
                        "the witness {name} is not asked again until the next start: {why}"
                    )));
                    return;
                }
                WitnessOutcome::Contradicted(why) => {
                    say(WitnessNews::Contradicted(why));
                    return;
                }
                WitnessOutcome::Failed(why) => {
                    if trouble.as_ref() != Some(&why) {
                        say(WitnessNews::Warning(format!("the witness {name}: {why}")));
                        trouble = Some(why);
                    }
                    tokio::time::sleep(pause).await;
                    pause = (pause * 2).min(PAUSES.1);
                    continue;
                }
            }
        }
        if newest.changed().await.is_err() {
            return;
        }
    }
}
