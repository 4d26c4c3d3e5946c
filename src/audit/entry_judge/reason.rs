//! Reasons why an entry cannot be called good, although nothing contradicts it.

/// Data that an auditor lacks to judge an entry.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum UnjudgedReason {
    /// No trust file of the auditor has the key: an attacker could have created it under any name.
    Signer,
    /// By the auditor's trust files, the key was revoked or not valid at that time.
    NotTrustedThen,
    /// The auditor's trust files say that the key is a security key that may not sign alone, or
    /// contradict the log about whether it is a security key.
    SecurityKey,
    /// In the auditor's trust files, the key does not state the purpose that the profile demands,
    /// such as signing requests.
    Purpose,
    /// A signature covers data that the entry does not contain, so it cannot be verified again.
    BaseNotKept,
    /// The signature does not cover the method, the target or the digest of the content.
    PartlySigned,
    /// The entry's rules accept older signatures, or more difference between clocks, than those of
    /// the profile.
    LaxRules,
    /// The entry has the old format `audit/1`, and does not name the rules of verification.
    NoRules,
    /// The request was sent to an origin that the auditor did not list.
    Origin,
    /// The clock of the machine was set back, so the time of the entry is uncertain.
    Clock,
    /// The entry was erased.
    Erased,
    /// This entry records an erasure, but the erased entry is still there.
    NotErased,
    /// The entry is archived, and the auditor does not have the archive.
    Archived,
    /// A rule demands the touch of a security key, and no touch in the entry is confirmed by the
    /// auditor's trust files.
    Touch,
    /// Fewer witnesses have signed the checkpoint than the auditor demands.
    Quorum,
}

impl UnjudgedReason {
    /// All reasons.
    pub const ALL: &'static [UnjudgedReason] = &[
        UnjudgedReason::Signer,
        UnjudgedReason::NotTrustedThen,
        UnjudgedReason::SecurityKey,
        UnjudgedReason::Purpose,
        UnjudgedReason::BaseNotKept,
        UnjudgedReason::PartlySigned,
        UnjudgedReason::LaxRules,
        UnjudgedReason::NoRules,
        UnjudgedReason::Origin,
        UnjudgedReason::Clock,
        UnjudgedReason::Erased,
        UnjudgedReason::NotErased,
        UnjudgedReason::Archived,
        UnjudgedReason::Touch,
        UnjudgedReason::Quorum,
    ];

    /// The reasons about the key of the signature.
    pub const OF_THE_KEY: [UnjudgedReason; 3] =
        [UnjudgedReason::Signer, UnjudgedReason::NotTrustedThen, UnjudgedReason::SecurityKey];

    /// Returns a stable identifier for programs.
    pub fn as_str(self) -> &'static str {
        match self {
            UnjudgedReason::Signer => "signer",
            UnjudgedReason::NotTrustedThen => "not_trusted_then",
            UnjudgedReason::SecurityKey => "security_key",
            UnjudgedReason::Purpose => "purpose",
            UnjudgedReason::BaseNotKept => "base",
            UnjudgedReason::PartlySigned => "partly_signed",
            UnjudgedReason::LaxRules => "lax",
            UnjudgedReason::NoRules => "rules",
            UnjudgedReason::Origin => "origin",
            UnjudgedReason::Clock => "clock",
            UnjudgedReason::Erased => "erased",
            UnjudgedReason::NotErased => "not_erased",
            UnjudgedReason::Archived => "archived",
            UnjudgedReason::Touch => "touch",
            UnjudgedReason::Quorum => "quorum",
        }
    }

    /// Returns a sentence for people.
    pub fn text(self) -> &'static str {
        match self {
            UnjudgedReason::Signer => "no trust file that was given has the key",
            UnjudgedReason::NotTrustedThen => {
                "by the trust files the key was revoked or not valid then"
            }
            UnjudgedReason::SecurityKey => {
                "the trust files do not let the key sign so: their rules for security keys differ"
            }
            UnjudgedReason::Purpose => {
                "by the trust files the key is not published for signing requests"
            }
            UnjudgedReason::BaseNotKept => {
                "a signature covers what is not kept, and cannot be verified again"
            }
            UnjudgedReason::PartlySigned => {
                "method, target or content are not covered by the signature"
            }
            UnjudgedReason::LaxRules => "the log's window is above that of the profile",
            UnjudgedReason::NoRules => "an entry of the format audit/1, which names no rules",
            UnjudgedReason::Origin => "it was sent to an origin that was not named",
            UnjudgedReason::Clock => "the log's clock stepped, so that the time is not certain",
            UnjudgedReason::Erased => {
                "erased, as a later entry says: what was in it cannot be judged"
            }
            UnjudgedReason::NotErased => {
                "it tells of an erasure, and the other entry is still there"
            }
            UnjudgedReason::Archived => "archived, and not seen: --archive names the folder",
            UnjudgedReason::Touch => {
                "a touch rule holds, and the trust files confirm no touch for it"
            }
            UnjudgedReason::Quorum => "the quorum of witnesses has not cosigned its checkpoint",
        }
    }

    fn bit(self) -> u16 {
        1 << self as u8
    }
}

/// A set of reasons.
///
/// ```
/// use mcpid::audit::entry_judge::{UnjudgedReason, UnjudgedReasons};
///
/// let mut reasons = UnjudgedReasons::default();
/// assert!(reasons.is_empty(), "the entry is good");
/// reasons.add(UnjudgedReason::Signer);
/// assert!(reasons.has(UnjudgedReason::Signer) && !reasons.has(UnjudgedReason::Clock));
/// ```
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct UnjudgedReasons(u16);

impl UnjudgedReasons {
    /// Adds one reason.
    pub fn add(&mut self, reason: UnjudgedReason) {
        self.0 |= reason.bit();
    }

    /// Adds all of `others`.
    pub fn join(&mut self, others: UnjudgedReasons) {
        self.0 |= others.0;
    }

    /// Returns true if the set is empty, which means that the entry is good.
    pub fn is_empty(self) -> bool {
        self.0 == 0
    }

    /// Returns true if `reason` is in the set.
    pub fn has(self, reason: UnjudgedReason) -> bool {
        self.0 & reason.bit() != 0
    }

    /// Returns an iterator over the reasons.
    pub fn iter(self) -> impl Iterator<Item = UnjudgedReason> {
        UnjudgedReason::ALL.iter().copied().filter(move |reason| self.has(*reason))
    }
}
