//! Builds hints that repeat the user's command with one change, ready to paste.
//!
//! A hint is built from the parsed flags, always in the same order. So it does not depend on the
//! order in which the user wrote the flags.

use std::fmt::Display;
use std::path::{Path, PathBuf};

use crate::args::{
    AuditCheckArgs, AuditPins, AuditReportArgs, AuditVerifyArgs, ClaimingArgs, InspectArgs,
    JudgeTime, SignArgs, Ttl, VerifierArgs, VerifyArgs,
};
use crate::output::ui::shell_word;

/// The words of a command line, built one by one.
pub(crate) struct CommandLine(Vec<String>);

impl CommandLine {
    fn of(command: &str) -> Self {
        CommandLine(vec![format!("mcpid {command}")])
    }

    fn flag(mut self, name: &str, values: impl IntoIterator<Item = impl Display>) -> Self {
        for value in values {
            let value = value.to_string();
            // After a blank, a value that begins with a dash would be taken for a flag.
            let between = if value.starts_with('-') { "=" } else { " " };
            self.0.push(format!("{name}{between}{}", shell_word(&value)));
        }
        self
    }

    fn switch(mut self, name: &str, given: bool) -> Self {
        self.0.extend(given.then(|| name.to_owned()));
        self
    }

    fn inputs(mut self, paths: impl Iterator<Item = PathBuf> + Clone) -> String {
        let dashed = |path: PathBuf| path != Path::new("-") && text(&path).starts_with('-');
        if paths.clone().any(dashed) {
            self.0.push("--".to_owned());
        }
        self.0.extend(paths.map(|path| shell_word(&text(&path)).into_owned()));
        self.0.join(" ")
    }

    fn verifier(self, args: &VerifierArgs, max_body: Option<u64>) -> Self {
        self.flag("-r", args.trust.iter().map(|path| text(path)))
            .flag("--profile", args.profile.unless_default())
            .flag("--window", args.window.map(|s| format!("{s}s")))
            .flag("--ahead", args.ahead.map(|s| format!("{s}s")))
            .flag("--require", &args.require)
            .flag("--allow-uncovered", &args.allow_uncovered)
            .flag("--max-body", max_body.or(args.max_body))
            .flag("--origin", &args.origin)
    }

    fn pins(self, args: &AuditPins, log_key: Option<&str>) -> Self {
        self.flag("--log-key", log_key)
            .flag("--checkpoint", args.checkpoint.iter().map(|path| text(path)))
            .flag("--witness", &args.witness)
            .flag("--witness-policy", args.witness_policy.as_deref().map(text))
            .flag("-r", args.trust.iter().map(|path| text(path)))
            .flag("--profile", args.profile.map(|p| p.profile().name))
            .flag("--window", args.window.map(|s| format!("{s}s")))
            .flag("--ahead", args.ahead.map(|s| format!("{s}s")))
            .flag("--require", &args.require)
            .flag("--allow-uncovered", &args.allow_uncovered)
            .flag("--origin", &args.origin)
            .flag("--touch", &args.touch_rule)
            .switch("--allow-clock", args.allow_clock)
    }
}

fn text(path: &Path) -> String {
    path.to_string_lossy().into_owned()
}

fn time(at: JudgeTime) -> String {
    match at {
        JudgeTime::At(time) => time.to_string(),
        JudgeTime::Capture => "capture".to_owned(),
    }
}

/// Returns `mcpid verify` with another time, or with a higher limit on bodies.
pub(crate) fn verify(args: &VerifyArgs, at: Option<JudgeTime>, max_body: Option<u64>) -> String {
    verify_in(args, (at, max_body, args.claiming), args.html.as_deref())
}

/// Returns `mcpid verify` with this time and this file for the HTML page.
pub(crate) fn verify_to(args: &VerifyArgs, at: Option<JudgeTime>, html: Option<&Path>) -> String {
    // If the user gives a time, nonces are only looked up, so the flag for raising the retention is
    // dropped.
    let raise_retention = args.claiming.raise_retention && at.is_none();
    verify_in(args, (at, None, ClaimingArgs { raise_retention, ..args.claiming }), html)
}

/// Returns `mcpid verify` with the flag that allows the nonce store to keep nonces for longer
/// (raise its retention).
pub(crate) fn verify_raising(args: &VerifyArgs) -> String {
    let claiming = ClaimingArgs { raise_retention: true, ..args.claiming };
    verify_in(args, (args.at, None, claiming), args.html.as_deref())
}

fn verify_in(
    args: &VerifyArgs,
    (at, max_body, claiming): (Option<JudgeTime>, Option<u64>, ClaimingArgs),
    html: Option<&Path>,
) -> String {
    CommandLine::of("verify")
        .verifier(&args.verifier, max_body)
        .flag("--at", at.map(time))
        .flag("--nonces", &args.nonces)
        .flag("--touch", &args.touch)
        .switch("--allow-evicting-store", claiming.opening.allow_evicting_store)
        .switch("--raise-retention", claiming.raise_retention)
        .flag("--only", &args.only)
        .flag("--html", html.map(text))
        .inputs(args.inputs.iter().cloned())
}

/// Returns `mcpid inspect` with the flags of `args`.
pub(crate) fn inspect(args: &InspectArgs) -> String {
    CommandLine::of("inspect")
        .switch("--base", args.base)
        .flag("--label", &args.label)
        .flag("--at", args.at.map(time))
        .flag("--nonces", &args.nonces)
        .switch("--allow-evicting-store", args.opening.allow_evicting_store)
        .inputs(args.inputs.iter().cloned())
}

/// Returns `mcpid audit verify` with the key of the log added.
pub(crate) fn audit_verify(args: &AuditVerifyArgs, log_key: &str) -> String {
    audit_whole("audit verify", args, Some(log_key), None)
}

/// Returns `mcpid audit report` with the key of the log and this file for the HTML page added.
pub(crate) fn audit_report(
    args: &AuditReportArgs,
    log_key: Option<&str>,
    html: Option<&Path>,
) -> String {
    audit_whole("audit report", &args.whole, log_key, html)
}

fn audit_whole(
    command: &str,
    args: &AuditVerifyArgs,
    log_key: Option<&str>,
    html: Option<&Path>,
) -> String {
    let again = CommandLine::of(command).flag("--audit", args.log.audit.as_deref().map(text));
    let again = again.pins(&args.pins, log_key);
    let again = again.flag("--archive", args.archives.archive.iter().map(|path| text(path)));
    let again = again.flag("--predecessor", args.predecessor.iter().map(|path| text(path)));
    let again = again.switch("--allow-erased", args.allow_erased);
    again.switch("--all", args.all).flag("--html", html.map(text)).inputs(std::iter::empty())
}

/// Returns `mcpid audit check` with the key of the log and this file for the HTML page added.
pub(crate) fn audit_check(
    args: &AuditCheckArgs,
    log_key: Option<&str>,
    html: Option<&Path>,
) -> String {
    let again = CommandLine::of("audit check").pins(&args.pins, log_key);
    let again = again.flag("--body", args.body.as_deref().map(text));
    again.flag("--html", html.map(text)).inputs(args.file.iter().cloned())
}

/// Flags of `mcpid sign` that a hint changes.
#[derive(Default)]
pub(crate) struct SignChanges<'a> {
    pub(crate) url: Option<&'a str>,
    pub(crate) label: Option<&'a str>,
    pub(crate) origin: Option<&'a str>,
    pub(crate) replace: bool,
}

/// Returns `mcpid sign` with the flags changed as in `otherwise`. Returns None if a header is given
/// on the command line, because it may be a token, and a hint may end up in a log.
pub(crate) fn sign(args: &SignArgs, otherwise: &SignChanges<'_>) -> Option<String> {
    if args.header.iter().any(|header| !header.starts_with('@')) {
        return None;
    }
    let label = otherwise.label.or(args.label.as_deref());
    let ttl = args.ttl.map(|ttl| match ttl {
        Ttl::Seconds(seconds) => format!("{seconds}s"),
        Ttl::None => "none".to_owned(),
    });
    let format = args.format.and_then(|format| clap::ValueEnum::to_possible_value(&format));
    let again = CommandLine::of("sign")
        .flag("-k", args.signing_key.key.as_deref().map(text))
        .flag("--public-key", args.signing_key.public_key.as_deref().map(text))
        .flag("--profile", args.profile.unless_default())
        .flag("--client-id", &args.client_id)
        .flag("--keyid", &args.keyid)
        .flag("--cover", &args.cover)
        .flag("--no-cover", &args.no_cover)
        .flag("--label", label)
        .flag("--ttl", ttl)
        .flag("--at", args.at)
        .flag("--format", format.map(|format| format.get_name().to_owned()))
        .flag("--touch", args.touch.as_deref().map(text))
        .flag("--passphrase-file", args.passphrase.passphrase_file.as_deref().map(text))
        .flag("--passphrase-fd", args.passphrase.passphrase_fd)
        .flag("--url", otherwise.url.or(args.url.as_deref()))
        .flag("--method", &args.method)
        .flag("-H", &args.header)
        .flag("--origin", otherwise.origin.or(args.origin.as_deref()))
        .switch("--replace", args.replace || otherwise.replace);
    Some(again.inputs(args.input.iter().cloned()))
}
