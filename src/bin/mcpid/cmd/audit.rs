//! `mcpid audit`: evidence of what was authorised, kept and checked.

mod one;
mod show;
mod verify;
mod witness;

use mcpid::audit::Folder;
use mcpid::clock::{Clock as _, SystemClock};
use mcpid::key::SecretKey;
use mcpid::key::Sign as _;
use rand::rngs::SysRng;

use crate::args::{AuditAct, AuditInitArgs};
use crate::auditing::log_failure;
use crate::exit::Exit;
use crate::failure::Failure;
use crate::files;
use crate::passphrase;
use crate::ui::Ui;

/// Does one of the seven acts.
pub(crate) fn run(act: &AuditAct, ui: &mut Ui) -> Result<Exit, Failure> {
    match act {
        AuditAct::Init(args) => init(args, ui),
        AuditAct::Verify(args) => verify::run(args, ui),
        AuditAct::Show(args) => show::run(args, ui),
        AuditAct::Prove(args) => one::prove(args, ui),
        AuditAct::Check(args) => one::check(args, ui),
        AuditAct::Consistency(args) => witness::consistency(args, ui),
        AuditAct::Cosign(args) => witness::cosign(args, ui),
    }
}

/// Makes a log, and prints the key that auditors pin.
fn init(args: &AuditInitArgs, ui: &mut Ui) -> Result<Exit, Failure> {
    let place = files::audit(args.log.audit.as_deref())?;
    place.make_default_folder()?;
    passphrase::keep_out_of_dumps();
    let secret = SecretKey::generate(&mut SysRng).map_err(|error| {
        let message = format!("the operating system gives no random numbers: {error}");
        Failure::new(Exit::Unavailable, "no_random", message)
    })?;
    // Something that no other log is called.
    let id = secret.public().id().as_str();
    let name = match &args.name {
        Some(name) => name.clone(),
        None => format!("mcpid-audit-{}", id.get(..12).unwrap_or(id)),
    };
    let now = SystemClock.now();
    let key = Folder::init(&place.path, &name, &secret, now).map_err(|e| match e {
        mcpid::audit::LogError::KeyUnfit(why) if args.name.is_some() => {
            Failure::usage(format!("--name cannot be '{name}': {why}"))
        }
        other => log_failure(&other, &place),
    })?;
    if ui.json() {
        ui.json_line(&serde_json::json!({
            "version": 1, "audit": place.name(), "name": name, "log_key": key.to_string(),
            "created": now.to_string(),
        }))?;
        return Ok(Exit::Ok);
    }
    ui.line(&key.to_string())?;
    ui.detail(&format!("made {}", place.name()));
    ui.note("keep this line elsewhere: by it an auditor knows the log's checkpoints");
    let folder = crate::ui::path_word(&place.path);
    ui.hint(&format!("mcpid gateway --audit {folder} --upstream URL --origin ORIGIN"));
    Ok(Exit::Ok)
}
