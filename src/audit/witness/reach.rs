//! Checks whether the witnesses of a policy can be asked: the policy must be for this log, and the
//! URLs must be usable.

use super::super::note::NoteKey;
use super::http::SubmissionUrl;
use super::policy::{PolicyError, WitnessPolicy};

impl WitnessPolicy {
    /// Checks that the policy is for the log with the key `log_key`, and that the witnesses with a
    /// usable key and URL can make a quorum.
    ///
    /// # Errors
    /// [`PolicyError`] if not.
    pub fn check(&self, log_key: &NoteKey) -> Result<(), PolicyError> {
        self.urls(log_key).map(drop)
    }

    /// Returns the URL of each witness of the policy, and `None` for a witness without a URL or a key, which
    /// cannot be asked. No request is sent.
    pub(super) fn urls(
        &self,
        log_key: &NoteKey,
    ) -> Result<Vec<Option<SubmissionUrl>>, PolicyError> {
        if !self.is_for(log_key) {
            let why = format!("no log line has the key of this log, {log_key}");
            return Err(PolicyError { line: 1, why });
        }
        let mut urls = Vec::new();
        for witness in self.witnesses() {
            let url = witness.url.as_ref().filter(|_| witness.key.is_some());
            let url = url.map(|url| SubmissionUrl::parse(url)).transpose();
            urls.push(url.map_err(|why| PolicyError { line: witness.line, why })?);
        }
        let reachable = |place: usize| urls.get(place).is_some_and(Option::is_some);
        if !self.quorum().is_met(&reachable) {
            let why = "the quorum cannot be met by the witnesses that have a URL".to_owned();
            return Err(PolicyError { line: self.quorum_line(), why });
        }
        if !urls.iter().any(Option::is_some) {
            let why = "the policy has no witness that can be asked".to_owned();
            return Err(PolicyError { line: self.quorum_line(), why });
        }
        Ok(urls)
    }

    /// Returns true if at least one witness is asked over TLS.
    pub fn needs_tls(&self) -> bool {
        let mut urls = self.witnesses().iter().filter_map(|witness| witness.url.as_deref());
        urls.any(|url| !url.to_ascii_lowercase().starts_with("http://"))
    }
}
