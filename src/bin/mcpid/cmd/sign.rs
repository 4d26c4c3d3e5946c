//! `mcpid sign`: a payload or a captured request in, what proves who sent it out.

use std::sync::Arc;

use mcpid::base::header::AddError;
use mcpid::base::{Component, ParamsError};
use mcpid::clock::{Clock as _, SystemClock};
use mcpid::key::{PublicKey, Sign, SignError};
use mcpid::mcp::body::{self, Scope};
use mcpid::mcp::headers;
use mcpid::message::Head;
use mcpid::profile::Profile;
use mcpid::sign::{Nonce, Signed, Signer, SigningError};
use rand::rngs::SysRng;

use crate::args::{SignArgs, Ttl};
use crate::exit::Exit;
use crate::failure::{Failure, chain};
use crate::files;
use crate::keyfiles;
use crate::outgoing::Outgoing;
use crate::ui::Ui;

/// Signs and prints.
pub(crate) fn run(args: &SignArgs, ui: &mut Ui) -> Result<Exit, Failure> {
    let profile = args.profile.profile();
    let place = files::key(args.key.as_deref())?;
    // All that can fail is tried before anyone is asked for a passphrase: the request is read,
    // and signed with a key that signs nothing.
    let keyfile = keyfiles::load(&place)?;
    let source = keyfiles::source(&keyfile, &place, &args.passphrase, ui)?;
    let outgoing = Outgoing::read(args, ui)?;
    let created = args.at.unwrap_or_else(|| SystemClock.now());
    let nonce = Nonce::generate(&mut SysRng)
        .map_err(|e| Failure::new(Exit::Key, "no_random", format!("no random numbers: {e}")))?;
    let sign = |key: Arc<dyn Sign>| {
        let (head, origins, body) = (outgoing.head(), outgoing.origins(), outgoing.body());
        signer(args, &profile, key)
            .and_then(|signer| signer.sign(head, origins, body, created, &nonce))
            .map_err(|error| failure(args, &error))
    };
    sign(Arc::new(Blank(keyfile.public().clone())))?;
    warn(&profile, outgoing.head(), outgoing.body(), ui);

    let key = keyfiles::open(&keyfile, &place, source)?;
    let signed = sign(Arc::new(key))?;
    if ui.json() {
        print_json(&outgoing, &signed, keyfile.name(), ui)?;
    } else {
        outgoing.print(args, &signed, ui)?;
    }
    Ok(Exit::Ok)
}

fn signer(args: &SignArgs, profile: &Profile, key: Arc<dyn Sign>) -> Result<Signer, SigningError> {
    let mut signer = Signer::new(key, profile)?.with_label(&args.label);
    if let Some(id) = &args.client_id {
        signer = signer.with_client_id(id);
    }
    if let Some(ttl) = args.ttl {
        signer = signer.with_ttl(match ttl {
            Ttl::Seconds(seconds) => Some(i64::from(seconds)),
            Ttl::None => None,
        });
    }
    if args.replace {
        signer = signer.replacing();
    }
    let parse = |text: &String| {
        Component::parse(text).map(Component::into_owned).map_err(|source| {
            SigningError::Params(ParamsError::Component { component: text.clone(), source })
        })
    };
    for text in &args.cover {
        signer = signer.cover(parse(text)?);
    }
    for text in &args.no_cover {
        signer = signer.no_cover(parse(text)?);
    }
    Ok(signer)
}

/// Says what `verify` would refuse at step 10. It is signed all the same: whoever asks for it may
/// have a server that reads it.
fn warn(profile: &Profile, head: &Head<'_>, body: &[u8], ui: &mut Ui) {
    if !profile.judge_mcp {
        return;
    }
    let refused = match body::read(head, body, Scope::Anywhere) {
        Err(ambiguous) => Some(("body_ambiguous", chain(&ambiguous))),
        Ok(reading) => {
            headers::check(head, &reading).err().map(|m| ("header_body_mismatch", m.to_string()))
        }
    };
    if let Some((code, why)) = refused {
        ui.warning(&format!("verify would refuse this at step 10 ({code}): {why}"));
    }
}

fn failure(args: &SignArgs, error: &SigningError) -> Failure {
    let message = chain(error);
    match error {
        SigningError::Target(_) if args.url.is_some() => Failure::usage(message),
        SigningError::Target(_) => Failure::new(Exit::Input, "target", message)
            .hint("name where it is sent: mcpid sign --origin https://HOST …"),
        SigningError::Params(_) | SigningError::Add(AddError::Unwritable { .. }) => {
            Failure::usage(message)
        }
        SigningError::Base(_) => {
            Failure::usage(message).hint("--cover names something that the request has to carry")
        }
        SigningError::Add(AddError::LabelTaken(label)) => Failure::new(
            Exit::Input,
            "already_signed",
            format!("the request already has a signature labelled {label:?}"),
        )
        .hint("to sign it anew: mcpid sign --replace …")
        .hint("to add a second signature: mcpid sign --label second …"),
        SigningError::Key(_) => Failure::new(Exit::Key, "key", message),
        _ => Failure::new(Exit::Input, "not_signable", message),
    }
}

fn print_json(
    outgoing: &Outgoing,
    signed: &Signed,
    name: &str,
    ui: &mut Ui,
) -> Result<(), Failure> {
    let headers: Vec<_> = outgoing.headers(signed);
    ui.json_line(&serde_json::json!({
        "version": 1,
        "key": { "id": signed.keyid, "name": name },
        "tag": signed.tag,
        "created": signed.created.unix(),
        "expires": signed.expires.map(|t| t.unix()),
        "nonce": signed.nonce,
        "covered": signed.covered,
        "method": outgoing.head().method(),
        "target": outgoing.target(),
        "headers": headers,
        "base": signed.base,
    }))
}

/// A key that signs nothing, to find out whether all else is well.
struct Blank(PublicKey);

impl Sign for Blank {
    fn public(&self) -> &PublicKey {
        &self.0
    }

    fn sign(&self, _message: &[u8]) -> Result<[u8; 64], SignError> {
        Ok([0; 64])
    }
}
