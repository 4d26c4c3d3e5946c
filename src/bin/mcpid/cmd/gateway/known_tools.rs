//! What the gateway knows about the upstream's tools, for `--strict destructive`. It asks the
//! upstream for the list of tools, and stores what it has learned in a file, for the next start.
//! That a tool is stored as harmless is believed only if the upstream refuses to list its tools.

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::mpsc::Sender;
use std::time::{Duration, Instant};

use mcpid::clock::{Clock, Timestamp};
use mcpid::gateway::{ToolsQuery, ToolsQueryError, Upstream};
use mcpid::mcp::tools::Tools;
use mcpid::message::shown::printed;
use mcpid::profile::Profile;
use mcpid::sign::Signer;
use mcpid::tower::{LearnedTools, LearningModes, ToolsFile, ToolsFileError};
use tokio::runtime::Runtime;

use super::event::GatewayEvent;
use super::policy::without_effect;
use crate::args::GatewayFlags;
use crate::input::files::{self, NAME_THE_TOOLS, NamedBy, NamedPath};
use crate::keys::public_key::KeyPin;
use crate::keys::signing_key::SigningKey;
use crate::output::exit::Exit;
use crate::output::failure::{Failure, chain};
use crate::output::ui::{Ui, path_word};
use crate::prompt::passphrase::PassphraseSource;

/// The pause after a failed write of the file.
const RETRY: Duration = Duration::from_secs(60);
/// How much older the times in the file may be than the known ones before the file is written
/// again, in seconds.
const STORED_TIMES_BEHIND: i64 = 3600;
/// Maximum number of tools that a message names.
const MAX_TOOLS_SHOWN: usize = 5;

/// How the gateway finds out the upstream's tools.
pub(crate) struct KnownToolsSettings {
    /// The file in which the tools are stored; `None` if there is no folder for it.
    file: Option<(NamedPath, ToolsFile)>,
    /// The key that signs the gateway's own query for tools.
    key: Option<(SigningKey, Option<PassphraseSource>, Profile)>,
}

impl KnownToolsSettings {
    /// Reads the flags about tools. Returns `None` if no rule depends on the upstream's tools.
    ///
    /// # Errors
    /// A flag would have no effect, or the key cannot be found.
    pub(super) fn read(
        args: &GatewayFlags,
        upstream: &Upstream,
        ui: &mut Ui,
    ) -> Result<Option<Self>, Failure> {
        let given = [
            ("--learned-tools", args.learned_tools.is_some()),
            ("--tools-key", args.tools_key.is_some()),
            ("--tools-public-key", args.tools_public_key.is_some()),
            ("--passphrase-file", args.passphrase.passphrase_file.is_some()),
            ("--passphrase-fd", args.passphrase.passphrase_fd.is_some()),
        ];
        let mut rules = args.front.strict.iter().chain(&args.front.touch);
        if !rules.any(|text| text == "destructive") {
            return match given.into_iter().find(|(_, given)| *given) {
                Some((flag, _)) => {
                    let why = "no rule depends on the list of tools";
                    Err(without_effect(flag, why).hint("--strict destructive"))
                }
                None => Ok(None),
            };
        }
        let passphrase = &args.passphrase;
        let has_passphrase =
            passphrase.passphrase_file.is_some() || passphrase.passphrase_fd.is_some();
        if has_passphrase && args.tools_key.is_none() {
            let flag = match passphrase.passphrase_file {
                Some(_) => "--passphrase-file",
                None => "--passphrase-fd",
            };
            return Err(without_effect(flag, "there is no --tools-key"));
        }
        let server = upstream.to_string();
        let file = match files::learned_tools(args.learned_tools.as_deref(), &server) {
            Ok(place) => {
                let file = ToolsFile::new(&place.path, server);
                Some((place, file))
            }
            // Without the folder, only the file is missing; the upstream is asked for its tools
            // anyway.
            Err(failure) if args.learned_tools.is_none() => {
                ui.warning(&format!("tools are not stored: {}", failure.message));
                ui.hint(NAME_THE_TOOLS);
                None
            }
            Err(failure) => return Err(failure),
        };
        let key = match &args.tools_key {
            None => None,
            Some(path) => {
                let pin = KeyPin::flag("--tools-public-key", args.tools_public_key.as_deref())?;
                let key = SigningKey::find_by("--tools-key", path, &pin)?;
                let profile = args.front.verifier.profile.profile();
                key.check_kind(&profile)?;
                let source = key.source(&args.passphrase, ui)?;
                Some((key, source, profile))
            }
        };
        Ok(Some(KnownToolsSettings { file, key }))
    }

    /// Returns a text that says how the tools are found out, for `--check-config`.
    pub(super) fn described(&self) -> String {
        let asked = match &self.key {
            Some((key, ..)) => format!("asked of the upstream, signed by {}", key.public().id()),
            None => "asked of the upstream".to_owned(),
        };
        match &self.file {
            Some((place, _)) => format!("{asked}; stored in {}", place.name()),
            None => format!("{asked}; not stored"),
        }
    }
}

/// The state of what a running gateway knows about tools.
pub(super) struct KnownTools {
    settings: KnownToolsSettings,
    signer: Option<Arc<Signer>>,
    modes: LearningModes,
    clock: Arc<dyn Clock>,
    /// The tools from the file, until the upstream is asked.
    stored: LearnedTools,
    /// What was known when the file was last read or written.
    saved: KnownState,
    /// The end of the pause after a failure.
    paused: Option<Instant>,
}

/// The facts by which it is decided whether the file has to be written.
#[derive(Clone, Copy, PartialEq, Eq)]
struct KnownState {
    /// The number of known tools, and of destructive ones. Both only grow.
    counts: (usize, usize),
    /// The time of the newest rating of a tool as harmless.
    newest: Option<Timestamp>,
}

impl KnownState {
    fn of(known: &LearnedTools) -> Self {
        let counts = (known.tools().len(), known.tools().destructive());
        KnownState { counts, newest: known.newest() }
    }

    /// Returns true if the file, which was last written in the state `saved`, has to be written
    /// again.
    fn is_unsaved(self, saved: KnownState) -> bool {
        let is_newer = match (self.newest, saved.newest) {
            (Some(now), Some(then)) => now.since(then) >= STORED_TIMES_BEHIND,
            (now, then) => now != then,
        };
        self.counts != saved.counts || is_newer
    }
}

impl KnownTools {
    /// Reads the file, and opens the key, which may ask for its passphrase.
    ///
    /// # Errors
    /// The key cannot be opened, or a file that a flag names cannot be used.
    pub(super) fn open(
        mut settings: KnownToolsSettings,
        modes: &LearningModes,
        clock: Arc<dyn Clock>,
        ui: &mut Ui,
    ) -> Result<Self, Failure> {
        let signer = match settings.key.take() {
            None => None,
            Some((key, source, profile)) => {
                let signer = Signer::new(key.open(source)?, &profile).map_err(|error| {
                    Failure::new(Exit::Key, "unfit_key", format!("--tools-key: {}", chain(&error)))
                })?;
                Some(Arc::new(signer))
            }
        };
        let mut known = LearnedTools::new();
        if let Some((place, file)) = &settings.file {
            match stored(place, file, clock.now()) {
                Ok(tools) => {
                    if !tools.tools().is_empty() {
                        ui.note(&about_stored(&tools, place, signer.is_some()));
                    }
                    known = tools;
                }
                Err(failure) if failure.code == DAMAGED => {
                    ui.warning(&format!(
                        "{}; every tool counts as destructive until the upstream lists it",
                        failure.message
                    ));
                }
                Err(failure) if place.named == NamedBy::Default => {
                    ui.warning(&format!("tools are not stored: {}", failure.message));
                    ui.hint(NAME_THE_TOOLS);
                    settings.file = None;
                }
                Err(failure) => return Err(failure),
            }
        }
        let (stored, modes) = (known, modes.clone());
        let saved = KnownState::of(&stored.restrictions());
        Ok(KnownTools { settings, signer, modes, clock, stored, saved, paused: None })
    }

    /// Asks the upstream for its tools from now on. Each change of the situation is reported once.
    pub(super) fn ask(
        &mut self,
        query: ToolsQuery,
        runtime: &Runtime,
        events: &Sender<GatewayEvent>,
    ) {
        // After the upstream has sent a list, the stored tools are not used any more.
        let harmless = AtomicUsize::new(harmless(&self.stored));
        let query = query.with_stored(std::mem::take(&mut self.stored));
        let is_signed = self.signer.is_some();
        let query = match self.signer.take() {
            Some(signer) => query.with_signer(signer),
            None => query,
        };
        let (events, modes) = (events.clone(), self.modes.clone());
        let stored = self.settings.file.as_ref().map(|(place, _)| place.path.clone());
        let told = std::sync::Mutex::new(String::new());
        runtime.spawn(query.run(move |outcome| {
            let words = match outcome {
                Ok(listed) => {
                    harmless.store(0, Ordering::Relaxed);
                    listing(listed, &modes, stored.as_deref().map(path_word))
                }
                Err(error) => not_listed(error, is_signed, harmless.load(Ordering::Relaxed)),
            };
            let mut told = told.lock().unwrap_or_else(std::sync::PoisonError::into_inner);
            if *told != words {
                told.clone_from(&words);
                let _ = events.send(match outcome {
                    Ok(_) => GatewayEvent::Note(words),
                    Err(_) => GatewayEvent::Warning(words),
                });
            }
        }));
    }

    /// Stores the tools if the file lacks some that are known.
    pub(super) fn save(&mut self, ui: &mut Ui) {
        let Some((place, file)) = &self.settings.file else { return };
        let known = self.modes.read_tools(KnownState::of);
        if self.paused.is_some_and(|end| Instant::now() < end) || !known.is_unsaved(self.saved) {
            return;
        }
        let tools = self.modes.read_tools(Clone::clone);
        match file.save(&tools, self.clock.now()) {
            Ok(()) => (self.saved, self.paused) = (KnownState::of(&tools), None),
            Err(error) => {
                if self.paused.is_none() {
                    ui.warning(&format!("tools are not stored: {}", about(place, &error).message));
                    ui.hint(NAME_THE_TOOLS);
                }
                self.paused = Some(Instant::now() + RETRY);
            }
        }
    }
}

/// The code of the failure for a damaged file, which does not stop the start.
const DAMAGED: &str = "damaged_tools";

/// Returns the tools in the file, after checking that the file can be written.
fn stored(place: &NamedPath, file: &ToolsFile, now: Timestamp) -> Result<LearnedTools, Failure> {
    place.make_default_folder(NAME_THE_TOOLS)?;
    files::check_folder(&place.path)?;
    file.load(now).map_err(|error| about(place, &error))
}

/// Returns how many of the tools are known as harmless.
fn harmless(known: &LearnedTools) -> usize {
    known.tools().len() - known.tools().destructive()
}

/// Returns a text about what is in the file, and when its harmless tools will be believed.
fn about_stored(known: &LearnedTools, place: &NamedPath, is_signed: bool) -> String {
    let (all, destructive) = (known.tools().len(), known.tools().destructive());
    let words =
        format!("{all} tools are known from {}, {destructive} of them destructive", place.name());
    match (harmless(known), is_signed) {
        (0, _) => words,
        (_, true) => words + "; the others do not count before the upstream lists them",
        (_, false) => words + "; the others count only if the upstream refuses to list its tools",
    }
}

fn about(place: &NamedPath, error: &ToolsFileError) -> Failure {
    let message = match error {
        ToolsFileError::File(error) => error.about(&place.path),
        other => format!("{}: {}", place.name(), chain(other)),
    };
    let code = match error {
        ToolsFileError::Damaged(_) => DAMAGED,
        _ => "learned_tools",
    };
    let failure = Failure::new(Exit::Input, code, message);
    match error {
        ToolsFileError::TooOpen { .. } => {
            failure.hint(format!("chmod 600 {}", path_word(&place.path)))
        }
        ToolsFileError::OtherOwner { .. } => {
            failure.hint("name a file of your own: --learned-tools FILE")
        }
        ToolsFileError::OtherServer(_) => failure.hint("each upstream needs a file of its own"),
        _ => failure,
    }
}

/// Returns the message about a list that the upstream has sent.
fn listing(listed: &Tools, modes: &LearningModes, file: Option<impl std::fmt::Display>) -> String {
    let mut words = format!(
        "the upstream lists {} tools, {} of them destructive",
        listed.len(),
        listed.destructive()
    );
    // A tool that any list called destructive stays so. An operator who made a tool harmless must
    // learn why that has no effect.
    let mut stricter: Vec<String> = modes.read_tools(|known| {
        let harmless = listed.iter().filter(|(_, destructive)| !destructive);
        let kept = harmless.filter(|(name, _)| known.tools().is_destructive(name));
        kept.map(|(name, _)| printed(name).into_owned()).collect()
    });
    stricter.sort_unstable();
    if !stricter.is_empty() {
        let more = stricter.len().saturating_sub(MAX_TOOLS_SHOWN);
        stricter.truncate(MAX_TOOLS_SHOWN);
        words += &format!(", and {}", stricter.join(" "));
        if more > 0 {
            words += &format!(" and {more} more");
        }
        words += " still count as destructive, because an earlier list says so";
        if let Some(file) = file {
            words += &format!("; to forget that: stop the gateway, rm {file}");
        }
    }
    words
}

/// Returns the message that the upstream sent no list. `harmless` is the number of harmless tools
/// in the file.
fn not_listed(error: &ToolsQueryError, is_signed: bool, harmless: usize) -> String {
    let why = chain(error);
    match (error.is_refusal(), is_signed) {
        (true, true) => format!(
            "asked for its tools, {why}: does it trust the --tools-key? \
             Until then they are learned from answers to clients"
        ),
        (true, false) => {
            let counted = match harmless {
                0 => String::new(),
                _ => format!("; {harmless} harmless tools count as they were stored"),
            };
            format!(
                "asked for its tools, {why}; they are learned from answers to clients{counted}; \
                 if the upstream verifies signatures: --tools-key KEY"
            )
        }
        _ => format!("asked for its tools, {why}; it will ask again"),
    }
}
