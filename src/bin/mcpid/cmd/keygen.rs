//! `mcpid keygen`: writes a keyfile with a new key or an imported key.

use std::path::Path;

use mcpid::clock::{Clock as _, SystemClock};
use mcpid::key::keyfile::{KdfCost, Keyfile};
use mcpid::key::{KeyKind, SecretKey, file_io, format};
use rand::rngs::SysRng;

use crate::args::{KeyAlgorithm, KeygenArgs};
use crate::input::files::{self, NamedBy, NamedPath};
use crate::keys::keyfile::{keyfile_failure, store_failure};
use crate::keys::signing_key;
use crate::output::exit::Exit;
use crate::output::failure::Failure;
use crate::output::ui::{Ui, path_word};
use crate::prompt::passphrase;

/// Maximum size of an imported file, in bytes. Every file with one private key is smaller.
const MAX_IMPORT_BYTES: u32 = 64 * 1024;

/// Writes the keyfile, and prints the key's id.
pub(crate) fn run(args: &KeygenArgs, ui: &mut Ui) -> Result<Exit, Failure> {
    let place = signing_key::keyfile_place(args.output.as_deref(), "--output")?;
    check_output(&place)?;
    let source = match args.no_passphrase {
        true => None,
        false => Some(one_stdin(args).and_then(|()| passphrase::source(&args.passphrase, ui))),
    };
    let source = source.map(|source| source.and_then(|source| source.strong_unless(args.weak)));
    let output = place.as_flag("-o");
    // A new key could also be stored without a passphrase if there is no terminal to ask on. The
    // failure gets a hint about that.
    let source = source.transpose().map_err(|failure| match failure.code {
        "no_passphrase" if failure.hints.is_empty() => failure
            .hint(format!(
                "(umask 077; openssl rand -base64 24 > pass) && \
                 mcpid keygen{output} --passphrase-file pass"
            ))
            .hint(format!("mcpid keygen{output} --no-passphrase")),
        _ => failure,
    })?;
    passphrase::keep_out_of_dumps();
    let secret = match &args.import {
        Some(path) => import(path, args.algorithm.map(Into::into), &output, ui)?,
        None => match args.algorithm {
            Some(KeyAlgorithm::P256) => SecretKey::generate_p256(&mut SysRng),
            Some(KeyAlgorithm::Ed25519) | None => SecretKey::generate(&mut SysRng),
        }
        .map_err(|e| no_random(&e))?,
    };
    let name = args.name.clone().unwrap_or_else(|| name_of(&place.path));
    let plain = Keyfile::plain(&secret, &name, SystemClock.now());
    let mut keyfile = plain.map_err(|e| keyfile_failure(&place.path, &e))?;
    if let Some(source) = source {
        let given = source.fresh(&place.name(), args.weak)?;
        keyfile = keyfile
            .sealed_again(&secret, &given, KdfCost::DEFAULT, &mut SysRng)
            .map_err(|e| keyfile_failure(&place.path, &e))?;
    }
    create(&place, &keyfile)?;
    report(&place, &keyfile, ui)?;
    Ok(Exit::Ok)
}

/// Checks that the keyfile can be written, before the user is asked anything.
fn check_output(place: &NamedPath) -> Result<(), Failure> {
    let elsewhere = "name the file: mcpid keygen -o FILE";
    place.make_default_folder(elsewhere)?;
    files::check_free(&place.path).map_err(|failure| match failure.code {
        "permission" | "read_only" => place.suggest(failure, elsewhere),
        "is_folder" => {
            let inside = place.path.join("key.json");
            failure.hint(format!("mcpid keygen -o {}", path_word(&inside)))
        }
        "exists" => failure
            .hint(format!("mcpid export{} --format thumbprint", place.as_flag("-k")))
            .hint("mcpid keygen -o another.json"),
        _ => failure,
    })
}

/// Refuses to read both the key and the passphrase from stdin, because each would get a part of it.
fn one_stdin(args: &KeygenArgs) -> Result<(), Failure> {
    let import = args.import.as_deref() == Some(Path::new("-"));
    if import && args.passphrase.passphrase_fd == Some(0) {
        let message = "--import and --passphrase-fd cannot both read stdin";
        return Err(
            Failure::usage(message).hint("mcpid keygen --import - --passphrase-fd 3 3<FILE")
        );
    }
    Ok(())
}

fn import(
    path: &Path,
    kind: Option<KeyKind>,
    output: &str,
    ui: &mut Ui,
) -> Result<SecretKey, Failure> {
    let input = files::open(Some(path), ui)?;
    let name = input.name.clone();
    let bytes = input.read_secret(MAX_IMPORT_BYTES)?;
    let read = match kind {
        Some(kind) => format::read_private_of(kind, &bytes),
        None => format::read_private(&bytes),
    };
    read.map_err(|error| {
        if matches!(error, format::FormatError::Empty) {
            return Failure::new(Exit::Key, "not_a_key", format!("{name} is empty"))
                .hint("to make a fresh key, leave --import out");
        }
        let failure = Failure::new(Exit::Key, "not_a_key", format!("{name}: {error}"));
        let file = match name.as_str() {
            "stdin" => "FILE".to_owned(),
            _ => path_word(path),
        };
        match error {
            // The hint works on a copy, because ssh-keygen overwrites the file that it is given.
            format::FormatError::EncryptedOpenSsh => failure
                .hint(format!("cp {file} plain && ssh-keygen -p -N '' -f plain"))
                .hint(format!("mcpid keygen{output} --import plain && shred -u plain")),
            format::FormatError::EncryptedPem => {
                failure.hint(format!("openssl pkey -in {file} | mcpid keygen{output} --import -"))
            }
            _ if failure.message.ends_with("a keyfile, not a key to import") => {
                failure.hint(format!("it can be used as it is: mcpid export -k {file}"))
            }
            _ => failure.hint("what can be imported: mcpid keygen --help"),
        }
    })
}

/// Returns the default name of a key: the name of its file without folder and extension.
fn name_of(path: &Path) -> String {
    let stem = path.file_stem().map(|stem| stem.to_string_lossy()).unwrap_or_default();
    match crate::args::values::name(&stem) {
        Ok(name) => name,
        Err(_) => "key".to_owned(),
    }
}

fn create(place: &NamedPath, keyfile: &Keyfile) -> Result<(), Failure> {
    file_io::create_keyfile(&place.path, keyfile).map_err(|error| match error {
        file_io::FileError::Io(e) => Failure::write(&place.path, &e),
        other => store_failure(&place.path, other),
    })
}

fn no_random(error: &impl std::fmt::Display) -> Failure {
    let message = format!("the operating system gives no random numbers: {error}");
    Failure::new(Exit::Unavailable, "no_random", message)
}

fn report(place: &NamedPath, keyfile: &Keyfile, ui: &mut Ui) -> Result<(), Failure> {
    let id = keyfile.public().id();
    if keyfile.public().is_published() {
        ui.warning(
            "this is a published test key: everyone can sign with it, and every profile refuses it",
        );
    }
    if ui.json() {
        ui.json_line(&KeyfileJson::of(place, keyfile))?;
    } else {
        ui.line(id.as_str())?;
    }
    ui.note(&format!("wrote {}", place.name()));
    if ui.json() {
        return Ok(());
    }
    if keyfile.is_plain() {
        ui.note(&format!(
            "{} is not encrypted: every program that can read it can sign",
            place.name()
        ));
    }
    let file = match place.named {
        NamedBy::Flag => format!(" {}", path_word(&place.path)),
        NamedBy::Variable | NamedBy::Default => String::new(),
    };
    ui.hint(&format!("mcpid trust add{file}"));
    Ok(())
}

/// A new keyfile, as `--json` prints it.
#[derive(serde::Serialize)]
pub(crate) struct KeyfileJson {
    version: u8,
    id: String,
    name: String,
    algorithm: &'static str,
    file: String,
    created: String,
    encrypted: bool,
}

impl KeyfileJson {
    pub(crate) fn of(place: &NamedPath, keyfile: &Keyfile) -> Self {
        KeyfileJson {
            version: 1,
            id: keyfile.public().id().to_string(),
            name: keyfile.name().to_owned(),
            algorithm: keyfile.public().kind().as_str(),
            file: place.name(),
            created: keyfile.created().to_string(),
            encrypted: !keyfile.is_plain(),
        }
    }
}
