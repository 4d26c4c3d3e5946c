//! The checks of one piece of evidence, for the text output and for the page.

use mcpid::audit::entry_judge::UnjudgedReason;

use super::super::page::CLOCK_ALLOWED;
use super::EvidencePage;
use crate::args::AuditCheckArgs;
use crate::output::page::parts::{self, PageCheck};

impl EvidencePage<'_> {
    /// Returns every check of the evidence, and whether it could be made.
    pub(super) fn checks(&self, args: &AuditCheckArgs) -> Vec<PageCheck> {
        let (checked, held, open) = (self.checked, PageCheck::held, PageCheck::open);
        let judged = &checked.judged;
        let without = |reason: UnjudgedReason| judged.reasons.has(reason).then(|| reason.text());
        let size = checked.checkpoint.size;
        let mut list = vec![
            held(
                "Checkpoint",
                "signed by the log's key that was given (Ed25519, C2SP signed note)",
            ),
            held(
                "Place in the log",
                &format!(
                    "the entry is among the {size} entries under that checkpoint (inclusion proof, \
                     RFC 9162)"
                ),
            ),
            held(
                "The entry in itself",
                "what follows from the parts that it keeps was derived again and compared, such as \
                 method, target, key, client id, nonce, digest, verdict and code",
            ),
        ];
        list.push(match without(UnjudgedReason::BaseNotKept) {
            Some(why) => open("Signature", why),
            None => {
                let of_ec = |key: &str| key.contains("\"kty\":\"EC\"");
                let algorithm = match &self.request {
                    Some(request) if request.signatures.iter().any(|s| of_ec(s.key.get())) => {
                        "ECDSA on P-256"
                    }
                    _ => "Ed25519",
                };
                let what = "verified again over the bytes that were signed";
                held("Signature", &format!("{what} (RFC 9421, {algorithm})"))
            }
        });
        let of_the_key = UnjudgedReason::OF_THE_KEY.into_iter().chain([UnjudgedReason::Purpose]);
        list.push(match of_the_key.clone().find_map(without) {
            Some(why) => open("Key", why),
            None => held("Key", "in the given trust file, valid then, and not revoked then"),
        });
        list.push(match without(UnjudgedReason::PartlySigned) {
            Some(why) => open("Coverage", why),
            None if judged.base_not_kept => open("Coverage", UnjudgedReason::BaseNotKept.text()),
            None if args.pins.allow_uncovered.is_empty() && args.pins.profile.is_none() => {
                held("Coverage", "method, target and the digest of the content are signed")
            }
            None => held("Coverage", "what the given rules demand is signed"),
        });
        let rules = [UnjudgedReason::LaxRules, UnjudgedReason::NoRules, UnjudgedReason::Origin];
        list.push(match rules.into_iter().find_map(without) {
            Some(why) => open("Rules", why),
            None => {
                held("Rules", "not laxer than their profile, or than the rules that were given")
            }
        });
        match (&judged.touch, without(UnjudgedReason::Touch)) {
            (Some(touch), _) if touch.is_confirmed() => list.push(held(
                "Touch",
                "a security key signed over the signer's signature, with its presence flag set; by the \
                 given trust file it may touch for this signer",
            )),
            (Some(touch), _) => list.push(open("Touch", touch.doubt.unwrap_or_default())),
            (None, Some(why)) => list.push(open("Touch", why)),
            (None, None) => {}
        }
        list.push(match without(UnjudgedReason::Clock) {
            Some(why) => open("Times", why),
            None if !checked.times_fit => open("Times", CLOCK_ALLOWED),
            None => held("Times", "those of signing, judging and appending fit each other"),
        });
        list.push(match (judged.without_body, &args.body) {
            (true, _) => open(
                "Body",
                "not kept: that its digest is the signed one, and what it asks for, rest on the \
                 log's word and on the signed fields",
            ),
            (_, Some(_)) => held("Body", "the given file has the digest that was signed"),
            _ => held("Body", "it is in the entry, and has the digest that was signed"),
        });
        list.push(match (checked.anchored, checked.witnessed) {
            (true, Some(time)) => held(
                "Kept elsewhere",
                &format!("the checkpoint was cosigned by a given witness, {}", parts::moment(time)),
            ),
            (true, None) => held("Kept elsewhere", "the checkpoint is one that was kept"),
            (false, _) => open("Kept elsewhere", "the checkpoint was neither kept nor cosigned"),
        });
        // The reasons in `shown` already have a line. Each other reason gets a line here.
        let shown = [
            UnjudgedReason::BaseNotKept,
            UnjudgedReason::PartlySigned,
            UnjudgedReason::LaxRules,
            UnjudgedReason::NoRules,
            UnjudgedReason::Origin,
            UnjudgedReason::Touch,
            UnjudgedReason::Clock,
        ];
        let shown = shown.into_iter().chain(of_the_key);
        let rest = judged.reasons.iter().filter(|reason| !shown.clone().any(|r| r == *reason));
        list.extend(rest.map(|reason| open("Besides", reason.text())));
        list
    }
}
