//! Why an entry is not good, although nothing contradicts it.

/// Data that an auditor lacks to judge an entry.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum Reason {
    /// No trust file of the auditor has the key: an attacker could have created it under any name.
    Signer,
    /// By the auditor's trust files, the key was revoked or not valid at that time.
    NotTrustedThen,
    /// By the auditor's trust files, the key does not state the purpose that the profile demands.
    Purpose,
    /// A signature covers data that the entry does not contain, so it cannot be verified again.
    Base,
    /// The signature does not cover the method, the target or the digest of the content.
    PartlySigned,
    /// The window or the clock tolerance is larger than that of the profile.
    LaxRules,
    /// The entry has the format `audit/1` and names no rules.
    Rules,
    /// The request was sent to an origin that is not one of the auditor's.
    Origin,
    /// The clock of the log stepped, so the time of the entry is uncertain.
    Clock,
    /// The entry was erased.
    Erased,
    /// This entry records an erasure, but the erased entry is still there.
    NotErased,
    /// The entry is archived, and the archive was not given.
    Archived,
    /// A rule demands the touch of a security key, and the auditor's trust files confirm none.
    Touch,
    /// The demanded quorum of witnesses has not cosigned the checkpoint.
    Quorum,
}

impl Reason {
    /// All reasons.
    pub const ALL: &'static [Reason] = &[
        Reason::Signer,
        Reason::NotTrustedThen,
        Reason::Purpose,
        Reason::Base,
        Reason::PartlySigned,
        Reason::LaxRules,
        Reason::Rules,
        Reason::Origin,
        Reason::Clock,
        Reason::Erased,
        Reason::NotErased,
        Reason::Archived,
        Reason::Touch,
        Reason::Quorum,
    ];

    /// Returns a stable identifier for programs.
    pub fn as_str(self) -> &'static str {
        match self {
            Reason::Signer => "signer",
            Reason::NotTrustedThen => "not_trusted_then",
            Reason::Purpose => "purpose",
            Reason::Base => "base",
            Reason::PartlySigned => "partly_signed",
            Reason::LaxRules => "lax",
            Reason::Rules => "rules",
            Reason::Origin => "origin",
            Reason::Clock => "clock",
            Reason::Erased => "erased",
            Reason::NotErased => "not_erased",
            Reason::Archived => "archived",
            Reason::Touch => "touch",
            Reason::Quorum => "quorum",
        }
    }

    /// Returns a sentence for people.
    pub fn text(self) -> &'static str {
        match self {
            Reason::Signer => "no trust file that was given has the key",
            Reason::NotTrustedThen => "by the trust files the key was revoked or not valid then",
            Reason::Purpose => "by the trust files the key is not published for signing requests",
            Reason::Base => "a signature covers what is not kept, and cannot be verified again",
            Reason::PartlySigned => "method, target or content are not covered by the signature",
            Reason::LaxRules => "the log's window is above that of the profile",
            Reason::Rules => "an entry of the format audit/1, which names no rules",
            Reason::Origin => "it was sent to an origin that was not named",
            Reason::Clock => "the log's clock stepped, so that the time is not certain",
            Reason::Erased => "erased, as a later entry says: what was in it cannot be judged",
            Reason::NotErased => "it tells of an erasure, and the other entry is still there",
            Reason::Archived => "archived, and not seen: --archive names the folder",
            Reason::Touch => "a touch rule holds, and the trust files confirm no touch for it",
            Reason::Quorum => "the quorum of witnesses has not cosigned its checkpoint",
        }
    }

    fn bit(self) -> u16 {
        1 << self as u8
    }
}

/// A set of reasons.
///
/// ```
/// use mcpid::audit::entry_judge::{Reason, Reasons};
///
/// let mut reasons = Reasons::default();
/// assert!(reasons.is_empty(), "the entry is good");
/// reasons.add(Reason::Signer);
/// assert!(reasons.has(Reason::Signer) && !reasons.has(Reason::Clock));
/// ```
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Reasons(u16);

impl Reasons {
    /// Adds one reason.
    pub fn add(&mut self, reason: Reason) {
        self.0 |= reason.bit();
    }

    /// Adds all of `others`.
    pub fn join(&mut self, others: Reasons) {
        self.0 |= others.0;
    }

    /// Returns true if the set is empty, which means that the entry is good.
    pub fn is_empty(self) -> bool {
        self.0 == 0
    }

    /// Returns true if `reason` is in the set.
    pub fn has(self, reason: Reason) -> bool {
        self.0 & reason.bit() != 0
    }

    /// Returns an iterator over the reasons.
    pub fn iter(self) -> impl Iterator<Item = Reason> {
        Reason::ALL.iter().copied().filter(move |reason| self.has(*reason))
    }
}
