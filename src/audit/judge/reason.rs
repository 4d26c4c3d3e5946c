//! The reasons why an entry is not good, although nothing contradicts it.

/// A reason why an auditor cannot judge an entry: data that the auditor lacks.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum Reason {
    /// No trust file of the auditor has the key, and an attacker can create a key under any name.
    Signer,
    /// The key was revoked or not valid at that time, according to the auditor's trust files.
    NotTrustedThen,
    /// A signature covers data that is not kept.
    Base,
    /// The signature does not cover the method, the target or the digest of the content.
    PartlySigned,
    /// The window or the clock tolerance is above that of the profile.
    LaxRules,
    /// An entry of the format `audit/1` that names no rules.
    Rules,
    /// The request was sent to another origin than the auditor's.
    Origin,
    /// The clock of the log stepped, so the time of the entry is uncertain.
    Clock,
    /// The entry was erased.
    Erased,
    /// An entry that was to be erased, as this one says, is still there.
    NotErased,
    /// The entry is archived, and its archive was not given.
    Archived,
    /// The quorum of witnesses that was demanded has not cosigned the checkpoint.
    Quorum,
}

impl Reason {
    /// All reasons.
    pub const ALL: &'static [Reason] = &[
        Reason::Signer,
        Reason::NotTrustedThen,
        Reason::Base,
        Reason::PartlySigned,
        Reason::LaxRules,
        Reason::Rules,
        Reason::Origin,
        Reason::Clock,
        Reason::Erased,
        Reason::NotErased,
        Reason::Archived,
        Reason::Quorum,
    ];

    /// Returns a stable name for programs.
    pub fn as_str(self) -> &'static str {
        match self {
            Reason::Signer => "signer",
            Reason::NotTrustedThen => "not_trusted_then",
            Reason::Base => "base",
            Reason::PartlySigned => "partly_signed",
            Reason::LaxRules => "lax",
            Reason::Rules => "rules",
            Reason::Origin => "origin",
            Reason::Clock => "clock",
            Reason::Erased => "erased",
            Reason::NotErased => "not_erased",
            Reason::Archived => "archived",
            Reason::Quorum => "quorum",
        }
    }

    /// Returns a sentence for people.
    pub fn text(self) -> &'static str {
        match self {
            Reason::Signer => "no trust file that was given has the key",
            Reason::NotTrustedThen => "by the trust files the key was revoked or not valid then",
            Reason::Base => "a signature covers what is not kept, and cannot be verified again",
            Reason::PartlySigned => "method, target or content are not covered by the signature",
            Reason::LaxRules => "the log's window is above that of the profile",
            Reason::Rules => "an entry of the format audit/1, which names no rules",
            Reason::Origin => "it was sent to an origin that was not named",
            Reason::Clock => "the log's clock stepped, so that the time is not certain",
            Reason::Erased => "erased, as a later entry says: what was in it cannot be judged",
            Reason::NotErased => "it tells of an erasure, and the other entry is still there",
            Reason::Archived => "archived, and not seen: --archive names the folder",
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
/// use mcpid::audit::judge::{Reason, Reasons};
///
/// let mut reasons = Reasons::default();
/// assert!(reasons.is_empty(), "the entry is good");
/// reasons.add(Reason::Signer);
/// assert!(reasons.has(Reason::Signer) && !reasons.has(Reason::Clock));
/// ```
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Reasons(u16);

impl Reasons {
    /// Adds one.
    pub fn add(&mut self, reason: Reason) {
        self.0 |= reason.bit();
    }

    /// Adds all of `others`.
    pub fn join(&mut self, others: Reasons) {
        self.0 |= others.0;
    }

    /// Returns true if there is no reason: then the entry is good.
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
