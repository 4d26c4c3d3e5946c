//! `mcpid trust add`: adds a key to a trust file.

use std::path::Path;

use mcpid::clock::{Clock as _, SystemClock, Timestamp};
use mcpid::key::file_io::{self, FileError};
use mcpid::key::format::{self, FormatError, ImportedKey, KeyImport};
use mcpid::key::source::{KeyRef, KeyRefError};
use mcpid::key::trust::{self, NewEntry, SecurityKeyRules, TrustEntry};
use mcpid::key::{KeyApplication, PublicKey, SignByTouch as _};
use mcpid::mcp::pattern::Pattern;

use super::report;
use crate::args::pattern_flag;
use crate::args::{SigningKeyArgs, TrustAddArgs, values};
use crate::input::files;
use crate::keys::keyfile::store_failure;
use crate::keys::signing_key::SigningKey;
use crate::keys::touch_key;
use crate::keys::trust_file::edit_failure;
use crate::output::exit::Exit;
use crate::output::failure::Failure;
use crate::output::ui::{Ui, path_word};
use crate::prompt::passphrase;

/// What hints write before a key: the key has no option. A hint with the whole command would leave
/// out the limits that were given.
const NO_OPTION: &str = "";
/// Maximum size of a key file, in bytes: enough for a JWK Set or a certificate chain.
const MAX_KEY_FILE_BYTES: u32 = 1024 * 1024;

/// Adds the key, and prints its id.
pub(crate) fn run(args: &TrustAddArgs, ui: &mut Ui) -> Result<Exit, Failure> {
    let place = files::trust(args.trust.as_deref())?;
    let patterns = args.allow.iter().map(|text| pattern_flag::granting("allow", text, ui));
    let patterns: Vec<Pattern> = patterns.collect::<Result<_, _>>()?;
    let kid = args.kid.as_deref();
    let found = match &args.key {
        None if kid.is_some() => return Err(no_set()),
        None => default_key(args)?,
        Some(key) => read(key, args, ui)?,
    };
    let mut new = NewEntry::new(found.key);
    new.kid = found.kid;
    // The name in a key file may be any text. It is left out if a trust file may not contain it.
    new.name = args.name.clone().or_else(|| values::name(&found.name?).ok());
    let verified = found.verify_required || args.require_verified;
    new.security_key = security_key(args, found.application, (new.name.as_deref(), verified))?;
    if args.client_id.iter().any(|id| id == new.key.id().as_str()) {
        let message =
            "--client-id would change nothing: a key may always call itself by its key id";
        return Err(Failure::usage(message).hint("leave --client-id out"));
    }
    new.client_ids.clone_from(&args.client_id);
    // Flags can shorten the validity that the key file states, but not extend it.
    new.not_before = args.not_before.max(found.not_before);
    new.not_after = args.not_after.into_iter().chain(found.not_after).min();
    new.allow = (!patterns.is_empty()).then_some(patterns);

    let elsewhere = "name the file: --trust FILE";
    place.make_default_folder(elsewhere)?;
    if std::fs::symlink_metadata(&place.path).is_err() {
        files::check_folder(&place.path).map_err(|f| place.suggest(f, elsewhere))?;
    }
    let mut namesakes = 0;
    let added = trust::create_or_edit(&place.path, |document| {
        let same = |entry: &&TrustEntry| new.name.is_some() && entry.name() == new.name.as_deref();
        namesakes = document.file().entries().iter().filter(same).count();
        document.add(&new)
    });
    let added = added.map_err(|error| edit_failure(error, &place))?;
    if let (Some(name), 1..) = (&new.name, namesakes) {
        ui.note(&format!("{namesakes} more of the keys there have the name {name}"));
    }
    if let Some(end) = added.not_after().filter(|end| *end <= SystemClock.now()) {
        ui.note(&format!("it ended at {end}: nothing that it signs since then counts"));
    }
    ui.detail(&format!("wrote {}", place.name()));
    report(&added, ui)
}

/// Returns the rules for touches of a security key. `verified` is true if the key has to verify its
/// user.
///
/// # Errors
/// A flag for security keys was given with another key, or nothing says whose signatures the touch
/// may confirm.
fn security_key(
    args: &TrustAddArgs,
    application: Option<KeyApplication>,
    (name, verified): (Option<&str>, bool),
) -> Result<Option<SecurityKeyRules>, Failure> {
    let Some(application) = application else {
        let given = [
            ("--for", !args.joins.is_empty()),
            ("--alone", args.alone),
            ("--require-verified", args.require_verified),
        ];
        return match given.iter().find(|(_, given)| *given) {
            Some((flag, _)) => Err(Failure::usage(format!(
                "{flag} is for a security key, and this is another key"
            ))
            .hint("a security key is given as its OpenSSH line, such as id_ed25519_sk.pub")),
            None => Ok(None),
        };
    };
    let mut rules = SecurityKeyRules::new(application);
    let joins = args.joins.iter().map(String::as_str);
    let mut joins: Vec<&str> = joins.chain(name.filter(|_| args.joins.is_empty())).collect();
    joins.dedup();
    if joins.is_empty() && !args.alone {
        let message = "nothing says whose signatures the touch of this security key may join";
        return Err(Failure::usage(message).hint("--for NAME, the name of a key in the trust file"));
    }
    for signer in joins {
        rules = rules.touching_for(signer);
    }
    if args.alone {
        rules = rules.alone();
    }
    Ok(Some(if verified { rules.demanding_verification() } else { rules }))
}

/// A public key to add, and what its file states about it.
struct KeyToTrust {
    key: PublicKey,
    /// The application of the key, if it is a security key.
    application: Option<KeyApplication>,
    /// Whether the OpenSSH line of a security key demands that the key verifies its user.
    verify_required: bool,
    name: Option<String>,
    kid: Option<String>,
    not_before: Option<Timestamp>,
    not_after: Option<Timestamp>,
}

impl KeyToTrust {
    fn of_signer(signing_key: SigningKey) -> KeyToTrust {
        let name = Some(signing_key.name().to_owned());
        KeyToTrust {
            key: signing_key.public().clone(),
            application: None,
            verify_required: false,
            name,
            kid: None,
            not_before: None,
            not_after: None,
        }
    }
}

/// Returns the public key of the default keyfile, so that a key made by `keygen` can be trusted
/// without a flag.
fn default_key(args: &TrustAddArgs) -> Result<KeyToTrust, Failure> {
    signing_key(None, args)
}

/// Returns the public half of a signing key, from any source of keys.
fn signing_key(key: Option<&Path>, args: &TrustAddArgs) -> Result<KeyToTrust, Failure> {
    let (key, public_key) = (key.map(Path::to_owned), args.public_key.clone());
    SigningKey::find_as(NO_OPTION, &SigningKeyArgs { key, public_key }).map(KeyToTrust::of_signer)
}

/// Returns the public key of a source of signing keys, such as an agent. It may be a security key.
fn of_source(key: &Path, args: &TrustAddArgs) -> Result<KeyToTrust, Failure> {
    let unfit = match signing_key(Some(key), args) {
        // If `--public-key` pins a key, it is not a security key, so the first error is the right
        // one.
        Err(failure) if args.public_key.is_none() => failure,
        found => return found,
    };
    let touch_key = touch_key::find(NO_OPTION, key).map_err(|_| unfit)?;
    let security_key = touch_key.security_key();
    Ok(KeyToTrust {
        key: security_key.public().clone(),
        application: Some(security_key.application().clone()),
        verify_required: false,
        name: Some(touch_key.comment().to_owned()),
        kid: None,
        not_before: None,
        not_after: None,
    })
}

/// Returns the failure for `--kid` with a key that is not in a key set.
fn no_set() -> Failure {
    Failure::usage("--kid chooses a key of a set, and here is no set")
        .hint("mcpid trust add --kid KID keys.json")
}

fn read(key: &Path, args: &TrustAddArgs, ui: &mut Ui) -> Result<KeyToTrust, Failure> {
    let kid = args.kid.as_deref();
    let reference = KeyRef::parse(key);
    let is_file =
        matches!(&reference, Ok(KeyRef::File(_)) | Err(KeyRefError::UnknownScheme { .. }));
    if args.public_key.is_some() && is_file {
        let message = "--public-key goes with a key in an agent or behind a program";
        return Err(Failure::usage(message)
            .hint("a public key file is a KEY by itself: mcpid trust add FILE"));
    }
    if let Some(did) = key.to_str().filter(|text| text.starts_with("did:")) {
        let import = format::read_public(did.as_bytes());
        let import = import.map_err(|e| not_a_key("that DID", None, e))?;
        return one(import, "that DID", kid, ui);
    }
    match reference {
        // A text with an unknown scheme may still be a file name.
        Ok(KeyRef::File(_)) | Err(KeyRefError::UnknownScheme { .. }) => {}
        Err(error) => return Err(Failure::usage(error.to_string())),
        // A reference to any other source of keys names a signing key, and not a file to read.
        Ok(_) if kid.is_some() => return Err(no_set()),
        Ok(_) => return of_source(key, args),
    }
    // The file may contain a secret: it may be a keyfile without passphrase, or a private key by
    // mistake.
    passphrase::keep_out_of_dumps();
    let input = files::open(Some(key), ui)?;
    let name = input.name.clone();
    let bytes = input.read_secret(MAX_KEY_FILE_BYTES)?;
    // Other users can read this private key and sign with it, so it must not be trusted.
    if let Err(error @ FileError::TooOpen { .. }) = file_io::load_keyfile(key) {
        return Err(store_failure(key, error));
    }
    let file = (name != "stdin").then_some(name.as_str());
    let import = format::read_public(&bytes).map_err(|e| not_a_key(&name, file, e))?;
    one(import, &name, kid, ui)
}

/// Returns the only key of the input, or the only one with this `kid`.
fn one(
    import: KeyImport,
    name: &str,
    kid: Option<&str>,
    ui: &mut Ui,
) -> Result<KeyToTrust, Failure> {
    for skipped in &import.skipped {
        ui.note(&format!("{name}: {skipped}"));
    }
    let mut keys = import.keys;
    let kids: Vec<&str> = keys.iter().filter_map(|key| key.kid.as_deref()).collect();
    let kids = format!("its kids: {}", kids.join(" "));
    keys.retain(|key| kid.is_none_or(|kid| key.kid.as_deref() == Some(kid)));
    let count = keys.len();
    let mut keys = keys.into_iter();
    match (keys.next(), keys.next()) {
        (Some(found), None) => {
            let ImportedKey { key, application, verify_required, name, kid, .. } = found;
            let (not_before, not_after) = (found.not_before, found.not_after);
            Ok(KeyToTrust { key, application, verify_required, name, kid, not_before, not_after })
        }
        (None, _) => {
            let failure = |message| Failure::new(Exit::Key, "not_a_key", message);
            Err(match kid {
                Some(kid) => {
                    failure(format!("{name} holds no key with the kid {kid:?}")).hint(kids)
                }
                None => failure(format!("{name} holds no key")),
            })
        }
        (Some(_), Some(_)) if kid.is_none() => {
            let message = format!("{name} holds {count} keys; they are added one by one");
            let file = path_word(Path::new(name));
            Err(Failure::new(Exit::Key, "several_keys", message)
                .hint(format!("a set of keys is a trust file by itself: mcpid verify -r {file}"))
                .hint(format!("one of them: mcpid trust add --kid KID {file}; {kids}")))
        }
        (Some(_), Some(_)) => {
            let kid = kid.unwrap_or_default();
            let message = format!("{name} holds {count} keys with the kid {kid:?}");
            Err(Failure::new(Exit::Key, "several_keys", message))
        }
    }
}

fn not_a_key(name: &str, file: Option<&str>, error: FormatError) -> Failure {
    if matches!(error, FormatError::Empty) {
        return Failure::new(Exit::Key, "not_a_key", format!("{name} is empty"))
            .hint("what can be added: mcpid trust add --help");
    }
    let failure = Failure::new(Exit::Key, "not_a_key", format!("{name}: {error}"));
    match (&error, file) {
        (FormatError::Instead { found, .. }, Some(file)) if found.contains("private") => {
            let file = path_word(Path::new(file));
            failure.hint(format!(
                "mcpid keygen -o key.json --import {file} && mcpid trust add key.json"
            ))
        }
        _ => failure.hint("what can be added: mcpid trust add --help"),
    }
}
