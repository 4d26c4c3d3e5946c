//! Turns the errors of signing programs and PKCS #11 tokens into messages with hints.

use mcpid::key::exec::ExecError;
use mcpid::key::pkcs11::Pkcs11Error;

use crate::output::exit::Exit;
use crate::output::failure::{Failure, chain, reason};

/// The variable that names the PKCS #11 module.
pub(super) const MODULE: &str = "MCPID_PKCS11_MODULE";

/// The failure code for a key that cannot sign here.
pub(super) const UNFIT_KEY: &str = "unfit_key";

/// Returns the failure for a program that did not sign.
pub(super) fn program_failure(error: &ExecError) -> Failure {
    let failure = |code, message| Failure::new(Exit::Key, code, message);
    match error {
        ExecError::Start { source, .. } => {
            failure("program_not_started", format!("{error}: {}", reason(source).1))
                .hint("a program in the present folder needs a path: exec:./PROGRAM")
        }
        ExecError::TimedOut { .. } => failure("program_timeout", error.to_string()),
        ExecError::WrongSignature { .. } => failure("program_lied", error.to_string())
            .hint("is it another key? --public-key names the one that is expected"),
        ExecError::Failed { .. } => failure("program_failed", error.to_string())
            .hint("its stderr is not shown: run it by hand, with the JSON of the manual on stdin"),
        _ => failure("program", chain(error)),
    }
}

/// Returns the failure for an error of a PKCS #11 token.
pub(super) fn token_failure(error: &Pkcs11Error) -> Failure {
    let failure = |code| Failure::new(Exit::Key, code, error.to_string());
    match error {
        Pkcs11Error::NoModule => failure("no_module")
            .hint(format!("name it: {MODULE}=/usr/lib/softhsm/libsofthsm2.so, or ?module-path="))
            .hint("modules of this system: p11-kit list-modules"),
        Pkcs11Error::NoPublicKey => failure("no_public_key").hint("add it: --public-key FILE"),
        Pkcs11Error::WrongPin => failure("wrong_pin")
            .hint("a few wrong PINs lock a token: pkcs11-tool --module MODULE --list-token-slots"),
        Pkcs11Error::TimedOut(_) | Pkcs11Error::GivenUp => failure("token_timeout"),
        Pkcs11Error::WrongSignature => failure("token_lied"),
        Pkcs11Error::NoToken(_) | Pkcs11Error::NoKey => failure("no_such_key"),
        Pkcs11Error::SeveralTokens(_) | Pkcs11Error::SeveralKeys(_) => failure("several_keys"),
        _ => failure("token"),
    }
}
