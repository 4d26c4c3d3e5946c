//! `mcpid audit witness`: sends the latest checkpoint to each witness, once.

use std::sync::Arc;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use mcpid::audit::witness::{
    DisputeOutcome, Submission, WitnessClient, WitnessOutcome, WitnessReply,
};
use mcpid::clock::SystemClock;

use super::open;
use super::witnessing::{self, witness_failure};
use crate::args::{AuditFolder, AuditWitnessArgs};
use crate::output::exit::Exit;
use crate::output::failure::{Failure, reason};
use crate::output::ui::{Ui, path_word};

/// Asks all witnesses at once, and prints what each answers.
pub(crate) fn run(args: &AuditWitnessArgs, ui: &mut Ui) -> Result<Exit, Failure> {
    let (folder, place) = open::folder(&AuditFolder { audit: args.audit.clone() })?;
    let path = &args.witness_policy;
    let client = witnessing::client(folder, &place, path, Arc::new(SystemClock))?;
    let client = Arc::new(client);
    let latest = client.latest().map_err(|e| witness_failure(&e, &place, path))?;
    let latest = Arc::new(latest);
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build();
    let runtime = runtime.map_err(|e| Failure::new(Exit::Unavailable, "runtime", reason(&e).1))?;
    let replies = runtime.block_on(ask_all(&client, &latest));
    runtime.shutdown_background();
    let mut outcomes = replies.iter().flatten().map(|reply| &reply.outcome);
    let mut is_contradicted = outcomes.any(|o| matches!(o, WitnessOutcome::Contradicted(_)));
    let mut overruled = Vec::new();
    for decision in client.settle(true) {
        match decision {
            DisputeOutcome::Overruled(why) => overruled.push(why),
            _ => is_contradicted = true,
        }
    }
    let summary = Summary { client: &client, latest: &latest, replies: &replies };
    let quorum = client.quorum_of(&latest).is_some();
    match ui.json() {
        true => summary.json(&place.name(), is_contradicted, ui)?,
        false => summary.print(is_contradicted, ui)?,
    }
    for why in overruled {
        ui.warning(&format!("the quorum was reached without it: {why}"));
    }
    if quorum && !is_contradicted {
        ui.hint(&format!("keep it elsewhere too: {}", path_word(&client.cosigned())));
    }
    Ok(match (is_contradicted, quorum) {
        (true, _) => Exit::Rejected,
        (false, true) => Exit::Ok,
        (false, false) => Exit::Unavailable,
    })
}

/// Asks each witness of the policy. Returns the replies in the order of the policy; `None` for a
/// witness that cannot be asked.
async fn ask_all(
    client: &Arc<WitnessClient>,
    latest: &Arc<Submission>,
) -> Vec<Option<WitnessReply>> {
    let mut tasks = Vec::new();
    for place in 0..client.policy().witnesses().len() {
        let (client, latest) = (Arc::clone(client), Arc::clone(latest));
        let asked = client.can_ask(place);
        tasks.push(asked.then(|| tokio::spawn(async move { client.ask(place, &latest).await })));
    }
    let mut replies = Vec::new();
    for task in tasks {
        replies.push(match task {
            // A task that panicked gives no reply; the panic hook has reported it.
            Some(task) => task.await.ok(),
            None => None,
        });
    }
    replies
}

/// The summary, as `--json` prints it.
struct Summary<'a> {
    client: &'a WitnessClient,
    latest: &'a Submission,
    replies: &'a [Option<WitnessReply>],
}

impl Summary<'_> {
    /// Returns a stable name for an outcome, and its text.
    fn outcome(reply: Option<&WitnessReply>) -> (&'static str, Option<String>) {
        match reply.map(|reply| &reply.outcome) {
            None => ("not_asked", Some("it has no URL, or no key of Ed25519".to_owned())),
            Some(WitnessOutcome::Cosigned(_)) => ("cosigned", None),
            Some(WitnessOutcome::Refused(why)) => ("refused", Some(why.clone())),
            Some(WitnessOutcome::Contradicted(why)) => ("contradicted", Some(why.clone())),
            Some(WitnessOutcome::Disputed(why)) => ("disputed", Some(why.clone())),
            Some(WitnessOutcome::Failed(why)) => ("failed", Some(why.clone())),
            Some(_) => ("superseded", Some("the log has a newer checkpoint".to_owned())),
        }
    }

    fn json(&self, audit: &str, is_contradicted: bool, ui: &mut Ui) -> Result<(), Failure> {
        let (client, checkpoint) = (self.client, self.latest.checkpoint());
        let complete = client.quorum_of(self.latest);
        let witnesses = client.policy().witnesses().iter().enumerate().map(|(place, witness)| {
            let reply = self.replies.get(place).and_then(Option::as_ref);
            let (outcome, message) = Summary::outcome(reply);
            let time = match reply.map(|reply| &reply.outcome) {
                Some(WitnessOutcome::Cosigned(time)) => Some(time.to_string()),
                _ => None,
            };
            serde_json::json!({
                "name": witness.name,
                "key": witness.key.as_ref().map(ToString::to_string),
                "outcome": outcome,
                "message": message,
                "cosigned_at": time,
                "rollbacks": client.rollbacks(place),
            })
        });
        let witnesses: Vec<_> = witnesses.collect();
        ui.json_line(&serde_json::json!({
            "version": 1,
            "audit": audit,
            "origin": checkpoint.origin,
            "size": checkpoint.size,
            "root": STANDARD.encode(checkpoint.root),
            "quorum": complete.is_some(),
            "quorum_rule": client.policy().described(),
            "quorum_at": complete.map(|time| time.to_string()),
            "contradicted": is_contradicted,
            "cosigned_checkpoint": complete.map(|_| client.cosigned()),
            "witnesses": witnesses,
        }))
    }

    fn print(&self, is_contradicted: bool, ui: &mut Ui) -> Result<(), Failure> {
        let (client, size) = (self.client, self.latest.checkpoint().size);
        let rule = client.policy().described();
        let entries = if size == 1 { "entry" } else { "entries" };
        let mut lines = vec![match (is_contradicted, client.quorum_of(self.latest)) {
            (true, _) => format!("contradicted: the checkpoint over {size} {entries}"),
            (false, Some(_)) => format!("cosigned: {size} {entries}, by {rule}"),
            (false, None) => format!("no quorum: {size} {entries}, wanted is {rule}"),
        }];
        for (place, witness) in client.policy().witnesses().iter().enumerate() {
            let reply = self.replies.get(place).and_then(Option::as_ref);
            let mut words = match (reply.map(|reply| &reply.outcome), Summary::outcome(reply)) {
                (Some(WitnessOutcome::Cosigned(time)), _) => format!("cosigned at {time}"),
                (_, (word, why)) => {
                    format!("{}: {}", word.replace('_', " "), why.unwrap_or_default())
                }
            };
            if let Some((signed, held)) = reply.and_then(|reply| reply.forgot) {
                words.push_str(&format!(
                    "; it was rolled back: it has signed {signed} entries, and held {held}"
                ));
            }
            lines.push(format!("    {:<12} {words}", witness.name));
        }
        for line in lines {
            let line = ui.shown(&line).into_owned();
            ui.line(&line)?;
        }
        Ok(())
    }
}
