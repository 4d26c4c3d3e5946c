//! `mcpid audit`: writes a log of requests as evidence, and checks such evidence.

mod archive;
mod ask;
mod check;
mod entry_text;
mod erasure_list;
mod log_failure;
pub(crate) mod log_key;
mod log_verdict;
pub(crate) mod open;
mod page;
mod policy;
mod predecessors;
mod prove;
mod report;
mod show;
mod verify;
mod witness;
pub(crate) mod witnessing;

use std::path::Path;
use std::sync::Arc;

use mcpid::audit::note::{NoteKey, NoteKeyKind};
use mcpid::audit::{Folder, LogError, succession};
use mcpid::clock::{Clock as _, SystemClock};
use mcpid::key::{KeyKind, PublicKey, SecretKey, Sign};
use mcpid::secret::{SecretKind, description};
use rand::rngs::SysRng;

use crate::args::{AuditAct, AuditInitArgs};
use crate::input::files::{self, NamedPath};
use crate::keys::public_key::KeyPin;
use crate::output::exit::Exit;
use crate::output::failure::Failure;
use crate::output::ui::Ui;
use crate::prompt::passphrase;
use log_key::LogKeyFlags;
use open::{log_failure, note_key};

/// Runs the subcommand.
pub(crate) fn run(act: &AuditAct, ui: &mut Ui) -> Result<Exit, Failure> {
    match act {
        AuditAct::Init(args) => init(args, ui),
        AuditAct::Verify(args) => verify::run(args, ui),
        AuditAct::Show(args) => show::run(args, ui),
        AuditAct::Report(args) => report::run(args, ui),
        AuditAct::Prove(args) => prove::prove(args, ui),
        AuditAct::Check(args) => check::check(args, ui),
        AuditAct::Consistency(args) => witness::consistency(args, ui),
        AuditAct::Cosign(args) => witness::cosign(args, ui),
        AuditAct::Archive(args) => archive::archive(args, ui),
        AuditAct::Erase(args) => archive::erase(args, ui),
        AuditAct::Witness(args) => ask::run(args, ui),
    }
}

/// Creates a log, and prints the public key that auditors pin.
fn init(args: &AuditInitArgs, ui: &mut Ui) -> Result<Exit, Failure> {
    let place = files::audit(args.log.audit.as_deref())?;
    place.make_default_folder(files::NAME_THE_LOG)?;
    files::check_folder(&place.path).map_err(|f| place.suggest(f, files::NAME_THE_LOG))?;
    passphrase::keep_out_of_dumps();
    let before = args.after.as_deref().map(|path| before(path, args, ui)).transpose()?;
    let key = NewLogKey::of(args, ui)?;
    // The default name contains a part of the key id, so that it is unique.
    let id = key.public().id().as_str();
    let name = match &args.name {
        Some(name) => name.clone(),
        None => format!("mcpid-audit-{}", id.get(..12).unwrap_or(id)),
    };
    let now = SystemClock.now();
    let wrong = |e: LogError| match e {
        LogError::KeyUnfit(why) if args.name.is_some() => {
            Failure::usage(format!("--name cannot be '{name}': {why}"))
        }
        other => log_failure(&other, &place),
    };
    let made = match &key {
        NewLogKey::Made(secret) => Folder::init(&place.path, &name, secret, now),
        NewLogKey::Elsewhere(key) => Folder::init_with_key(&place.path, &name, &**key),
    };
    let public = match (made, &before) {
        // An earlier run ended after it created the new log and before it closed the old one. This
        // run closes the old log, with the same key as the earlier run.
        (Err(LogError::Exists(_)), Some(EarlierLog::Log(..))) => {
            let folder = Folder::at(&place.path).map_err(wrong)?;
            folder.public().map_err(wrong)?
        }
        (made, _) => made.map_err(wrong)?,
    };
    if let Some(before) = &before {
        let new = key.apply(Folder::at(&place.path).map_err(wrong)?);
        let clock: Arc<dyn mcpid::clock::Clock> = Arc::new(SystemClock);
        match before {
            EarlierLog::Log(old, old_place) => {
                succession::follow(&new, old, &clock).map_err(|e| log_failure(&e, old_place))?
            }
            EarlierLog::Abandoned(old_key, note) => {
                succession::follow_abandoned(&new, (old_key, note), &clock).map_err(wrong)?;
                ui.note("what came in the old log after that checkpoint cannot be excluded");
            }
        }
    }
    if ui.json() {
        // A folder can have a secret as its name by mistake. Then the output must not repeat the
        // name.
        let folder = place.name();
        let folder = SecretKind::of(&folder).and_then(|_| description(&folder)).unwrap_or(folder);
        ui.json_line(&serde_json::json!({
            "version": 1, "audit": folder, "name": name, "log_key": public.to_string(),
            "created": now.to_string(),
        }))?;
        return Ok(Exit::Ok);
    }
    ui.line(&public.to_string())?;
    ui.detail(&format!("made {}", place.name()));
    ui.note("keep this line elsewhere: by it an auditor knows the log's checkpoints");
    let folder = crate::output::ui::path_word(&place.path);
    let flag = if args.audit_key.is_some() { " --audit-key KEY" } else { "" };
    ui.hint(&format!("mcpid gateway --audit {folder}{flag} --upstream URL --origin ORIGIN"));
    Ok(Exit::Ok)
}

/// The private key of a new log.
enum NewLogKey {
    /// A new key, which will be stored in the folder.
    Made(Box<SecretKey>),
    /// The key of `--audit-key`, which is not copied into the folder.
    Elsewhere(Arc<dyn Sign>),
}

impl NewLogKey {
    fn of(args: &AuditInitArgs, ui: &mut Ui) -> Result<Self, Failure> {
        let file = args.audit_passphrase_file.as_deref();
        let flags = LogKeyFlags::of(args.audit_key.as_deref(), file);
        let pin = KeyPin::flag("--public-key", args.public_key.as_deref())?;
        if let Some(key) = flags.find(&pin)? {
            if key.public().kind() != KeyKind::Ed25519 {
                let message = "--audit-key: it is not an Ed25519 key, as checkpoints need (C2SP)";
                return Err(Failure::new(Exit::Key, "unfit_key", message));
            }
            return Ok(NewLogKey::Elsewhere(flags.open(key, ui)?));
        }
        let made = SecretKey::generate(&mut SysRng).map(Box::new);
        made.map(NewLogKey::Made).map_err(|error| {
            let message = format!("the operating system gives no random numbers: {error}");
            Failure::new(Exit::Unavailable, "no_random", message)
        })
    }

    fn public(&self) -> &PublicKey {
        match self {
            NewLogKey::Made(secret) => secret.public(),
            NewLogKey::Elsewhere(key) => key.public(),
        }
    }

    /// Returns the log in `folder`, with this key.
    fn apply(&self, folder: Folder) -> Folder {
        match self {
            NewLogKey::Made(_) => folder,
            NewLogKey::Elsewhere(key) => folder.with_key(Arc::clone(key)),
        }
    }
}

/// The log that a new log succeeds.
enum EarlierLog {
    /// The folder of the old log, which gets a last entry that names the new log.
    Log(Folder, NamedPath),
    /// The last checkpoint of an old log that is lost or must not be changed, with the public key
    /// of that log.
    Abandoned(Box<NoteKey>, Vec<u8>),
}

/// Reads the folder or the checkpoint that `--after` names.
fn before(path: &Path, args: &AuditInitArgs, ui: &mut Ui) -> Result<EarlierLog, Failure> {
    if path.is_dir() {
        let place = files::audit(Some(path))?;
        let folder = Folder::at(path).map_err(|e| log_failure(&e, &place))?;
        if args.after_key.is_none() && !folder.has_private_key() {
            // This call also reports a folder that is not a log.
            folder.public().map_err(|e| log_failure(&e, &place))?;
            let message = LogError::NoKey(path.to_owned()).to_string();
            return Err(log_failure::not_given(message, "--after-key"));
        }
        let file = args.after_passphrase_file.as_deref();
        let key = LogKeyFlags::of_predecessor(args.after_key.as_deref(), file);
        return Ok(EarlierLog::Log(key.apply(folder, &place, ui)?, place));
    }
    if args.after_key.is_some() {
        let message = "--after-key would change nothing: an abandoned log gets no last entry";
        return Err(Failure::usage(message).hint("leave --after-key out"));
    }
    let note = open::checkpoint(path)?;
    let beside = path.with_file_name("log-key.pub");
    let text = match &args.log_key {
        Some(text) => text.clone(),
        None if beside.is_file() => beside.to_string_lossy().into_owned(),
        None => {
            return Err(Failure::usage("whose checkpoint is this? --log-key is missing"));
        }
    };
    let key = note_key("--log-key", &text, NoteKeyKind::Log)?;
    Ok(EarlierLog::Abandoned(Box::new(key), note))
}
