//! Opens audit logs, and reads the keys, checkpoints and trust files that an auditor pins.

use std::path::Path;
use std::sync::Arc;

use mcpid::audit::auditor::AuditorInputs;
use mcpid::audit::checkpoint::{Checkpoint, CheckpointError};
use mcpid::audit::entry_judge::{AuditorTrust, PinnedRules};
use mcpid::audit::note::{MAX_NOTE, Note, NoteKey, NoteKeyKind};
use mcpid::audit::{Durability, Folder, Log, LogSettings, Policy, Recorder};
use mcpid::clock::Clock;
use mcpid::mcp::pattern::Pattern;
use mcpid::mcp::setting::Restricting;
use mcpid::verify::coverage::{self, CoverageOverrides};

use crate::args::flag_syntax::FlagSyntax;
use crate::args::pattern_flag;
use crate::args::{
    AuditArgs, AuditFolder, AuditKeyArgs, AuditPins, AuditPolicy, AuditSync, ProfileName,
};
pub(crate) use crate::cmd::audit::log_failure::log_failure;
use crate::cmd::audit::log_key::LogKeyFlags;
use crate::cmd::audit::policy;
use crate::cmd::verify::verifier;
use crate::input::files::{self, NamedPath};
use crate::keys::trust_file;
use crate::output::exit::Exit;
use crate::output::failure::{Failure, chain};
use crate::output::ui::{Ui, path_word};

/// Opens the log that the flags name for writing. Returns None if the flags name no log.
///
/// # Errors
/// The log does not exist, was changed, or is being written by another process.
pub(crate) fn recorder(
    args: &AuditArgs,
    clock: Arc<dyn Clock>,
    ui: &mut Ui,
) -> Result<Option<Arc<Recorder>>, Failure> {
    let Some(path) = &args.audit else { return Ok(None) };
    let place = files::audit(Some(path))?;
    let folder = key_flags(args).apply(open(&place)?, &place, ui)?;
    let mut settings = LogSettings::default();
    settings.durability = match args.audit_sync.unwrap_or_default() {
        AuditSync::Batch => Durability::Batch,
        AuditSync::Checkpoint => Durability::Checkpoint,
    };
    let log = Log::open(folder, settings, clock).map_err(|e| log_failure(&e, &place))?;
    if let Some(recovery) = log.recovery() {
        ui.note(&format!("{}: {recovery}; an entry of the log records this", place.name()));
        if recovery.entries > 0 {
            ui.note("the next checkpoint signs those entries unseen, as they are in the files");
        }
    }
    let policy = match args.audit_policy.unwrap_or_default() {
        AuditPolicy::Required => Policy::Required,
        AuditPolicy::BestEffort => Policy::BestEffort,
    };
    let mut recorder = Recorder::new(log).with_policy(policy);
    if args.audit_bodies {
        recorder = recorder.with_bodies(args.audit_redact.clone());
    }
    Ok(Some(Arc::new(recorder)))
}

fn key_flags(args: &AuditArgs) -> LogKeyFlags<'_> {
    LogKeyFlags::of(args.audit_key.as_deref(), args.audit_passphrase_file.as_deref())
}

/// Prints the library's remarks on the redaction rules.
pub(crate) fn remark(args: &AuditArgs, ui: &mut Ui) {
    for rule in &args.audit_redact {
        pattern_flag::remark("audit_redact", rule.pattern(), ui);
    }
}

/// A log for which it was checked that it could be opened for writing.
pub(crate) struct ExistingLog {
    pub(crate) place: NamedPath,
    /// Whether another process is writing the log.
    pub(crate) in_use: bool,
}

/// Checks, without changing anything, that the log that the flags name can be opened for writing.
///
/// # Errors
/// The log could not be opened.
pub(crate) fn check_writable(args: &AuditArgs) -> Result<Option<ExistingLog>, Failure> {
    let Some(path) = &args.audit else { return Ok(None) };
    let place = files::audit(Some(path))?;
    let folder = key_flags(args).look_up(open(&place)?, &place)?;
    let in_use = folder.check_writable().map_err(|e| log_failure(&e, &place))?;
    // The log creates files in its folder, so the folder must be writable.
    #[cfg(unix)]
    rustix::fs::access(&place.path, rustix::fs::Access::WRITE_OK | rustix::fs::Access::EXEC_OK)
        .map_err(|e| Failure::write(&place.path, &e.into()))?;
    Ok(Some(ExistingLog { place, in_use }))
}

/// Opens the folder of an existing log, with the key of `--audit-key`, to write into it.
///
/// # Errors
/// The folder does not contain a log, or the key cannot be used.
pub(crate) fn folder_with_key(
    args: &AuditFolder,
    key: &AuditKeyArgs,
    ui: &mut Ui,
) -> Result<(Folder, NamedPath), Failure> {
    let (folder, place) = folder(args)?;
    let flags = LogKeyFlags::of(key.audit_key.as_deref(), key.audit_passphrase_file.as_deref());
    Ok((flags.apply(folder, &place, ui)?, place))
}

/// Opens the folder of an existing log.
///
/// # Errors
/// The folder does not contain a log.
pub(crate) fn folder(args: &AuditFolder) -> Result<(Folder, NamedPath), Failure> {
    let place = files::audit(args.audit.as_deref())?;
    open(&place).map(|folder| (folder, place))
}

fn open(place: &NamedPath) -> Result<Folder, Failure> {
    Folder::at(&place.path).map_err(|e| log_failure(&e, place))
}

/// Reads the keys and checkpoints that an auditor pins.
///
/// # Errors
/// A key or file cannot be read.
pub(crate) fn auditor_inputs(args: &AuditPins) -> Result<AuditorInputs, Failure> {
    let log_key = args.log_key.as_deref().map(|text| note_key("--log-key", text, NoteKeyKind::Log));
    let mut log_key = log_key.transpose()?;
    let policy = args.witness_policy.as_deref();
    let policy = policy.map(|path| policy::demanded(path, &mut log_key)).transpose()?;
    let witness = |text: &String| note_key("--witness", text, NoteKeyKind::Witness);
    Ok(AuditorInputs {
        log_key,
        kept: args.checkpoint.iter().map(|path| checkpoint(path)).collect::<Result<_, _>>()?,
        witnesses: args.witness.iter().map(witness).collect::<Result<_, _>>()?,
        policy: policy.map(Arc::new),
        allow_clock: args.allow_clock,
        allow_erased: false,
        all: false,
    })
}

/// Returns the failure for a missing `--log-key`. An attacker who can replace a log can also
/// replace the key in its folder. The verdict "good" by that key would prove nothing, but a script
/// would take it for a proof.
pub(crate) fn unpinned(found: &NoteKey, again: impl FnOnce(&str) -> String) -> Failure {
    Failure::usage(
        "whose log is this? --log-key is missing, and the key found in it proves nothing",
    )
    .hint(again(&found.to_string()))
    .hint("compare that key first with the one that the log's operator gave you")
}

/// Reads the keys that the auditor trusts, and the rules that the auditor demands.
///
/// # Errors
/// A trust file or a rule cannot be used.
pub(crate) fn trust(args: &AuditPins, ui: &mut Ui) -> Result<AuditorTrust, Failure> {
    let rules = PinnedRules {
        profile: args.profile.map(ProfileName::profile),
        window: args.window.map(i64::from),
        ahead: args.ahead.map(i64::from),
        overrides: CoverageOverrides {
            require: coverage::names(&FlagSyntax, "require", &args.require)?,
            allow_uncovered: coverage::names(
                &FlagSyntax,
                "allow_uncovered",
                &args.allow_uncovered,
            )?,
        },
        origins: verifier::origins(&args.origin)?,
        touch: touched(&args.touch_rule, ui)?,
    };
    let trust = match args.trust.as_slice() {
        [] => AuditorTrust::of_the_log(),
        paths => AuditorTrust::pinned(Arc::new(trust_file::registry(paths, ui)?)),
    };
    Ok(trust.with_rules(rules))
}

/// Reads the patterns of requests that must have a touch of a security key. The word `destructive`
/// is not accepted, because a log does not say which tools are destructive.
fn touched(texts: &[String], ui: &mut Ui) -> Result<Vec<Pattern>, Failure> {
    let read = |text: &String| match pattern_flag::restricting("touch", text, ui)? {
        Restricting::Pattern(pattern) => Ok(pattern),
        Restricting::Destructive => {
            let message = "--touch destructive: a log does not hold the list of tools";
            Err(Failure::usage(message).hint("--touch 'tools/call:delete_*'"))
        }
    };
    texts.iter().map(read).collect()
}

/// Reads a public key of a log or a witness. `text` is the key itself, or the path of a file with
/// the key.
///
/// # Errors
/// The text is not a key, or is a key of a witness where that of a log is needed, or the reverse.
pub(crate) fn note_key(flag: &str, text: &str, kind: NoteKeyKind) -> Result<NoteKey, Failure> {
    let written = text.parse::<NoteKey>();
    let key = match written {
        Ok(key) => key,
        Err(error) if text.matches('+').count() >= 2 && !Path::new(text).exists() => {
            return Err(Failure::usage(format!("{flag} cannot be '{text}': {error}")));
        }
        Err(_) => {
            let bytes = note(Path::new(text))?;
            let line = String::from_utf8_lossy(&bytes);
            line.trim_start_matches('\u{feff}').trim_end().parse().map_err(|e| {
                Failure::new(Exit::Key, "damaged", format!("{text} holds no such key: {e}"))
                    .hint("the line that mcpid audit init printed is wanted")
            })?
        }
    };
    match (key.kind(), kind) {
        (NoteKeyKind::Log, NoteKeyKind::Witness) => {
            Err(Failure::usage(format!("{flag} is the key of a log, not of a witness")))
        }
        (NoteKeyKind::Witness, NoteKeyKind::Log) => {
            Err(Failure::usage(format!("{flag} is the key of a witness, not of a log")))
        }
        _ => Ok(key),
    }
}

/// Reads a signed note from a file.
///
/// # Errors
/// The file cannot be read, or is larger than any note.
pub(crate) fn note(path: &Path) -> Result<Vec<u8>, Failure> {
    files::open_quietly(Some(path))?.read(u64::try_from(MAX_NOTE).unwrap_or(u64::MAX))
}

/// Reads a checkpoint that was kept outside the log. A copy that a mail program or an editor
/// changed is an error of its own, because it must not look like a contradiction of the log.
///
/// # Errors
/// The file cannot be read, or the checkpoint was changed.
pub(crate) fn checkpoint(path: &Path) -> Result<Vec<u8>, Failure> {
    let bytes = note(path)?;
    check_copy(&bytes, Some(path))?;
    Ok(bytes)
}

/// Checks that `bytes` are an unchanged checkpoint. They were read from the file at `path`, or from
/// stdin.
///
/// # Errors
/// The bytes were changed.
pub(crate) fn check_copy(bytes: &[u8], path: Option<&Path>) -> Result<(), Failure> {
    let name = path.map_or_else(|| "stdin".to_owned(), |path| path.display().to_string());
    let damaged = |why: &str| {
        Failure::new(Exit::Input, "damaged_copy", format!("{name} {why}"))
            .hint("a checkpoint is kept byte for byte: take the copy as it was written")
    };
    whole_text(bytes).map_err(damaged)?;
    if bytes.contains(&b'\r') {
        let failure = damaged("has the line ends of Windows (CRLF), which were not signed");
        return Err(match path {
            Some(path) => failure.hint(format!("tr -d '\\r' < {}", path_word(path))),
            None => failure,
        });
    }
    if bytes.last() != Some(&b'\n') {
        return Err(damaged("has lost its last newline, or what came before it"));
    }
    let read = Note::parse(bytes).map_err(CheckpointError::from);
    match read.and_then(|note| Checkpoint::of(&note)) {
        Ok(_) => Ok(()),
        Err(error) => Err(damaged(&format!("is {}", chain(&error)))),
    }
}

/// Checks that the text is UTF-8 without a byte order mark.
///
/// # Errors
/// What is wrong, as a text to be printed after the name of the file.
pub(crate) fn whole_text(bytes: &[u8]) -> Result<(), &'static str> {
    match bytes {
        [] => Err("is empty"),
        [0xef, 0xbb, 0xbf, ..] => Err("begins with a byte order mark, which was not there"),
        [0xff, 0xfe, ..] | [0xfe, 0xff, ..] => Err("was changed into UTF-16"),
        _ => Ok(()),
    }
}
