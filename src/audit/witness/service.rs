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
use super::client::WitnessClient;
use super::disputes::DisputeOutcome;
use super::quorum::Quorum;
use super::status::WitnessStatus;
use super::submission::{Submission, WitnessOutcome};
use crate::message::error_chain::chain;

/// How often the thread checks for a new checkpoint.
const CHECKPOINT_POLL: Duration = Duration::from_millis(500);
/// The pause before a witness that failed is asked again for the first time. Each further pause is
/// twice the previous one.
const FIRST_RETRY: Duration = Duration::from_secs(1);
/// The longest pause before a witness that failed is asked again.
const LONGEST_RETRY: Duration = Duration::from_secs(60);
/// How long sending the last checkpoint may take when the service ends.
const SHUTDOWN_BUDGET: Duration = Duration::from_secs(2);

/// A change in the state of the witnesses that an operator should see.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum WitnessNews {
    /// A witness signs again after it failed.
    Note(String),
    /// A witness does not sign, or lost its record of what it signed.
    Warning(String),
    /// Witnesses prove that the log was rolled back or forked.
    Contradicted(String),
}

type NewsSink = Arc<dyn Fn(WitnessNews) + Send + Sync>;

/// Whether and when the thread is to end.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum ServiceStop {
    Running,
    /// The thread ends at once, because another [`WitnessService`] sends the checkpoints from now on.
    Now,
    /// The thread ends after enough witnesses have signed the last checkpoint, and after
    /// [`SHUTDOWN_BUDGET`] at the latest.
    AfterLast,
}

/// Asks the witnesses for every checkpoint until it is dropped.
pub struct WitnessService {
    client: Arc<WitnessClient>,
    say: NewsSink,
    stop: watch::Sender<ServiceStop>,
    thread: Option<JoinHandle<()>>,
}

impl fmt::Debug for WitnessService {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("WitnessService").field("client", &self.client).finish_non_exhaustive()
    }
}

impl WitnessService {
    /// Starts the thread. If witnesses contradict the log and `recorder` writes it under
    /// [`Policy::Required`], no more entries are appended ([`Log::halt`](super::super::Log::halt)).
    /// Before it returns, this function compares the log with the records of what the witnesses
    /// have signed.
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
        let (stop, _) = watch::channel(ServiceStop::Running);
        let mut service = WitnessService { client: Arc::new(client), say, stop, thread: None };
        service.run()?;
        Ok(service)
    }

    /// Returns the client that asks the witnesses.
    pub fn client(&self) -> &WitnessClient {
        &self.client
    }

    /// Returns the witnessing status. The same status is used after [`WitnessService::replace`].
    pub fn status(&self) -> &Arc<WitnessStatus> {
        self.client.status()
    }

    /// Continues with another client of the same log, which
    /// [`WitnessClient::with_policy`] made. Requests in flight are given up.
    ///
    /// # Errors
    /// The error of the operating system if it cannot start a thread. In that case no witness is
    /// asked any more.
    pub fn replace(&mut self, client: WitnessClient) -> io::Result<()> {
        self.end(ServiceStop::Now);
        self.client = Arc::new(client);
        self.client.load_last_quorum();
        self.run()
    }

    fn run(&mut self) -> io::Result<()> {
        let (client, say) = (Arc::clone(&self.client), Arc::clone(&self.say));
        if let Ok(Some(why)) = client.contradiction() {
            say(WitnessNews::Contradicted(why));
        }
        let runtime = Builder::new_current_thread().enable_all().build()?;
        let (stop, stopped) = watch::channel(ServiceStop::Running);
        let work = move || {
            runtime.block_on(run(client, say, stopped));
            runtime.shutdown_background();
        };
        let thread = thread::Builder::new().name("witnesses".to_owned()).spawn(work)?;
        (self.stop, self.thread) = (stop, Some(thread));
        Ok(())
    }

    fn end(&mut self, how: ServiceStop) {
        let _ = self.stop.send(how);
        if let Some(thread) = self.thread.take() {
            // If the thread panicked, the panic hook has already reported it.
            let _ = thread.join();
        }
    }
}

impl Drop for WitnessService {
    /// Sends the last checkpoint. This takes at most 2 s.
    fn drop(&mut self) {
        self.end(ServiceStop::AfterLast);
    }
}

async fn run(client: Arc<WitnessClient>, say: NewsSink, mut stopped: watch::Receiver<ServiceStop>) {
    let (newest, receiver) = watch::channel(None);
    for index in (0..client.policy().witnesses().len()).filter(|index| client.can_ask(*index)) {
        let (client, say) = (Arc::clone(&client), Arc::clone(&say));
        tokio::spawn(poll_witness(client, index, receiver.clone(), say));
    }
    let mut last_failure = None;
    loop {
        take_latest(&client, &newest, &say, &mut last_failure);
        settle(&client, &say);
        tokio::select! {
            how = stopped.wait_for(|how| *how != ServiceStop::Running) => {
                if how.is_ok_and(|how| *how == ServiceStop::Now) {
                    return;
                }
                break;
            }
            () = tokio::time::sleep(CHECKPOINT_POLL) => {}
        }
    }
    // The log has written its last checkpoint by now, so this call passes that checkpoint on.
    take_latest(&client, &newest, &say, &mut last_failure);
    let until = Instant::now() + SHUTDOWN_BUDGET;
    while client.status().figures().waiting.is_some() && Instant::now() < until {
        tokio::time::sleep(Duration::from_millis(20)).await;
    }
}

/// Reports which answers that contradict the log are believed and which are ignored.
fn settle(client: &WitnessClient, say: &NewsSink) {
    for outcome in client.settle(false) {
        say(match outcome {
            DisputeOutcome::Overruled(why) => WitnessNews::Note(format!(
                "the log goes on, because the quorum was reached without it: {why}"
            )),
            DisputeOutcome::Upheld(why) => WitnessNews::Contradicted(why),
        });
    }
}

/// Passes the latest checkpoint of the log on to the tasks that ask witnesses, if it is newer than
/// the last one.
fn take_latest(
    client: &WitnessClient,
    newest: &watch::Sender<Option<Arc<Submission>>>,
    say: &NewsSink,
    last_failure: &mut Option<String>,
) {
    if newest.borrow().as_ref().is_some_and(|submission| client.is_latest(submission)) {
        return;
    }
    match client.latest() {
        Ok(latest) => {
            *last_failure = None;
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
            if last_failure.as_ref() != Some(&why) {
                say(WitnessNews::Warning(why.clone()));
                *last_failure = Some(why);
            }
        }
    }
}

/// Asks one witness to sign every checkpoint, until it gives a final answer.
async fn poll_witness(
    client: Arc<WitnessClient>,
    index: usize,
    mut newest: watch::Receiver<Option<Arc<Submission>>>,
    say: NewsSink,
) {
    let name = client.policy().witnesses().get(index).map(|w| w.name.clone()).unwrap_or_default();
    let (mut pause, mut last_failure) = (FIRST_RETRY, None);
    loop {
        let submission = newest.borrow_and_update().clone();
        if let Some(submission) = submission {
            let reply = client.ask(index, &submission).await;
            if let Some((signed, held)) = reply.forgot {
                say(WitnessNews::Warning(format!(
                    "the witness {name} was rolled back: it has signed {signed} entries, and holds \
                     {held}"
                )));
            }
            match reply.outcome {
                WitnessOutcome::Cosigned(_) | WitnessOutcome::Superseded => {
                    settle(&client, &say);
                    pause = FIRST_RETRY;
                    if last_failure.take().is_some() {
                        say(WitnessNews::Note(format!("the witness {name} cosigns again")));
                    }
                }
                WitnessOutcome::Refused(why) => {
                    say(WitnessNews::Warning(format!(
                        "the witness {name} is not asked again until the next start: {why}"
                    )));
                    return;
                }
                WitnessOutcome::Disputed(why) => {
                    say(WitnessNews::Warning(format!(
                        "{why}. The witness is not asked again until the next start, and the \
                         quorum of the others decides"
                    )));
                    settle(&client, &say);
                    return;
                }
                WitnessOutcome::Contradicted(why) => {
                    say(WitnessNews::Contradicted(why));
                    return;
                }
                WitnessOutcome::Failed(why) => {
                    if last_failure.as_ref() != Some(&why) {
                        say(WitnessNews::Warning(format!("the witness {name}: {why}")));
                        last_failure = Some(why);
                    }
                    tokio::time::sleep(pause).await;
                    pause = (pause * 2).min(LONGEST_RETRY);
                    continue;
                }
            }
        }
        if newest.changed().await.is_err() {
            return;
        }
    }
}
