//! The sentence that says what an entry shows, for the text output and for the page.

use mcpid::audit::Verdict;
use mcpid::audit::entry::Request;
use mcpid::audit::entry_judge::{JudgedTouch, UnjudgedReason};

use super::EvidencePage;

impl EvidencePage<'_> {
    /// Describes the event in one sentence, without its period. Each text from the evidence or from
    /// a trust file is shown as `shown` returns it.
    pub(super) fn sentence(
        &self,
        request: &Request<'_>,
        shown: impl Fn(&str) -> String + Copy,
    ) -> String {
        match (self.checked.is_good(), request.verdict) {
            (true, Verdict::Verified) if !self.is_not_allowed_today() => {
                let (who, asked) = (self.signer(shown), self.asked(request, shown));
                let touch =
                    if self.is_touched() { ", with the touch of a security key" } else { "" };
                format!("{who} authorised {asked}{touch}")
            }
            // The first line says whether the request was refused, and a line of its own that the
            // trust file does not grant it.
            (true, _) => self.signed_what(request, shown),
            (false, _) => self.not_good(request, shown),
        }
    }

    /// Says who signed, and for what the request asks; without a period.
    fn signed_what(&self, request: &Request<'_>, shown: impl Fn(&str) -> String + Copy) -> String {
        format!("{} signed {}", self.signer(shown), self.asked(request, shown))
    }

    /// Returns true if the auditor's trust files do not grant the operation to the key.
    fn is_not_allowed_today(&self) -> bool {
        self.checked.judged.known.as_ref().is_some_and(|known| known.no_longer_allowed)
    }

    fn signer(&self, shown: impl Fn(&str) -> String) -> String {
        match &self.checked.judged.known {
            Some(known) => match &known.name {
                Some(name) => shown(name),
                None => "A key of the trust file".to_owned(),
            },
            None => "A key that no given trust file has".to_owned(),
        }
    }

    fn asked(&self, request: &Request<'_>, shown: impl Fn(&str) -> String) -> String {
        let asked = request.mcp.as_ref();
        let asked = asked.map(|mcp| shown(mcp.name.as_deref().unwrap_or(&mcp.method)));
        match asked {
            Some(asked) if self.checked.judged.operation_claimed => {
                format!("a request that by the log's word is for {asked}")
            }
            Some(asked) => format!("a request for {asked}"),
            None => "a request".to_owned(),
        }
    }

    /// Returns true if the auditor's trust files confirm a touch of a security key.
    fn is_touched(&self) -> bool {
        self.checked.judged.touch.as_ref().is_some_and(JudgedTouch::is_confirmed)
    }

    /// Describes a request whose entry was not found good.
    fn not_good(&self, request: &Request<'_>, shown: impl Fn(&str) -> String + Copy) -> String {
        use UnjudgedReason::{BaseNotKept, PartlySigned};
        let reasons = self.checked.judged.reasons;
        let asked = self.asked(request, shown);
        let mut of_the_key = UnjudgedReason::OF_THE_KEY.into_iter().chain([BaseNotKept]);
        if of_the_key.any(|reason| reasons.has(reason)) {
            return format!("It is not shown who signed {asked}");
        }
        let who = self.signer(shown);
        match reasons.has(PartlySigned) {
            true => format!("{who} signed parts of {asked}; the rest is only claimed"),
            false => format!("{who} signed {asked}, but it cannot be called good"),
        }
    }
}
