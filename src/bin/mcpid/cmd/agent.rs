//! `mcpid agent`: puts a keyfile's key into a running ssh-agent.

use mcpid::key::Sign as _;
use mcpid::key::agent::{Constraints, ssh_fingerprint};
use mcpid::key::source::SSH_AGENT;

use crate::args::{AgentAct, AgentAddArgs, AgentArgs};
use crate::keys::agent_failure::agent_failure;
use crate::keys::keyfile;
use crate::keys::signing_key;
use crate::output::exit::Exit;
use crate::output::failure::Failure;
use crate::output::ui::Ui;

/// Runs the subcommand.
pub(crate) fn run(args: &AgentArgs, ui: &mut Ui) -> Result<Exit, Failure> {
    match &args.act {
        AgentAct::Add(args) => add(args, ui),
    }
}

/// Adds the key to the agent, and prints its id.
fn add(args: &AgentAddArgs, ui: &mut Ui) -> Result<Exit, Failure> {
    let place = signing_key::keyfile_place(args.key.as_deref(), "--key")?;
    let keyfile = keyfile::load(&place)?;
    let agent = signing_key::agent()?;
    // The connection to the agent is tested before a person is asked for a passphrase.
    agent.identities().map_err(|error| agent_failure(&error))?;
    let source = keyfile::source(&keyfile, &place, &args.passphrase, ui)?;
    let key = keyfile::open(&keyfile, &place, source)?;
    let constraints = Constraints { lifetime: args.lifetime, confirm: args.ask };
    agent.add(&key, keyfile.name(), constraints).map_err(|error| agent_failure(&error))?;

    let (id, fingerprint) = (key.public().id().as_str(), ssh_fingerprint(key.public()));
    ui.note(&format!("it can sign from now on: -k {SSH_AGENT}{fingerprint}"));
    if ui.json() {
        ui.json_line(&AgentKeyJson {
            version: 1,
            id,
            name: keyfile.name(),
            fingerprint: &fingerprint,
            lifetime: args.lifetime,
            ask: args.ask,
        })?;
    } else {
        ui.line(id)?;
    }
    Ok(Exit::Ok)
}

#[derive(serde::Serialize)]
struct AgentKeyJson<'a> {
    version: u8,
    id: &'a str,
    name: &'a str,
    fingerprint: &'a str,
    lifetime: Option<u32>,
    ask: bool,
}
