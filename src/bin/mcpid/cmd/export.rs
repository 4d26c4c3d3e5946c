//! `mcpid export`: prints the public key, in the format that another program needs.

use mcpid::key::SignByTouch as _;
use mcpid::key::format::{self, JwkAlg};

use crate::args::{ExportArgs, JwkAlgName, KeyFormat};
use crate::keys::signing_key::SigningKey;
use crate::keys::touch_key;
use crate::output::exit::Exit;
use crate::output::failure::Failure;
use crate::output::ui::Ui;

/// Prints the public key. The public key can be read without the passphrase, so the user is not
/// asked for it.
pub(crate) fn run(args: &ExportArgs, ui: &mut Ui) -> Result<Exit, Failure> {
    let is_jwk = matches!(args.format, KeyFormat::Jwk | KeyFormat::Jwks);
    if args.jwk_alg.is_some() && !is_jwk {
        return Err(Failure::usage("--jwk-alg goes with --format jwk and jwks only")
            .hint("mcpid export --format jwk --jwk-alg EdDSA"));
    }
    let signing_key = match SigningKey::find(&args.signing_key) {
        Ok(signing_key) => signing_key,
        // A public key was pinned with the flag, so a security key cannot be meant.
        Err(unfit) if args.signing_key.public_key.is_some() => return Err(unfit),
        Err(unfit) => return of_security_key(args, unfit, ui),
    };
    let key = signing_key.public();
    if key.is_published() {
        ui.warning("this is a published test key: everyone can sign with it");
    }
    let alg = args.jwk_alg.map(|alg| match alg {
        JwkAlgName::EdDsa => JwkAlg::EdDsa,
        JwkAlgName::Ed25519 => JwkAlg::Ed25519,
        JwkAlgName::Es256 => JwkAlg::Es256,
    });
    if let Some(alg) = alg.filter(|alg| alg.kind() != key.kind()) {
        let message =
            format!("--jwk-alg is for {}, not {}", alg.kind().described(), key.kind().described());
        return Err(Failure::usage(message).hint("leave --jwk-alg out"));
    }
    let text = match args.format {
        KeyFormat::Jwk => format::jwk(key, alg),
        KeyFormat::Jwks => format::jwks(key, alg),
        KeyFormat::Pem => format::spki_pem(key),
        KeyFormat::Openssh => format::openssh(key, signing_key.name()),
        KeyFormat::Did => format::did_key(key),
        KeyFormat::Hex => format::hex(key),
        KeyFormat::Thumbprint => key.id().to_string(),
    };
    let text = text.trim_end();
    if ui.json() && !is_jwk {
        // A JWK is JSON already; every other format becomes a member of a JSON object.
        let format = clap::ValueEnum::to_possible_value(&args.format);
        let format = format.map(|value| value.get_name().to_owned());
        let (id, name) = (key.id().as_str(), signing_key.name());
        let format = format.as_deref().unwrap_or_default();
        ui.json_line(&ExportJson { version: 1, id, name, format, key: text })?;
    } else {
        ui.line(text)?;
    }
    Ok(Exit::Ok)
}

/// Prints the public half of a security key. Only formats that state that the key is a security key
/// are printed. `unfit` is the failure if the flag names no security key.
fn of_security_key(args: &ExportArgs, unfit: Failure, ui: &mut Ui) -> Result<Exit, Failure> {
    let Some(found) =
        args.signing_key.key.as_deref().and_then(|key| touch_key::find("-k", key).ok())
    else {
        return Err(unfit);
    };
    let key = found.security_key();
    let text = match args.format {
        KeyFormat::Jwk => format::security_key_jwk(key),
        KeyFormat::Jwks => format!(r#"{{"keys":[{}]}}"#, format::security_key_jwk(key)),
        KeyFormat::Openssh => format::openssh_security_key(key, found.comment()),
        KeyFormat::Thumbprint => key.public().id().to_string(),
        KeyFormat::Pem | KeyFormat::Did | KeyFormat::Hex => {
            let message = "this format cannot say that the key is a security key";
            return Err(Failure::usage(message).hint("--format openssh"));
        }
    };
    ui.line(&text)?;
    Ok(Exit::Ok)
}

#[derive(serde::Serialize)]
struct ExportJson<'a> {
    version: u8,
    id: &'a str,
    name: &'a str,
    format: &'a str,
    key: &'a str,
}
