//! Where nonces are kept, as one text: `memory:[?max=N]`. User-info never appears in output.

/// A store that a text names.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum StoreUrl {
    /// In the memory of this process.
    Memory {
        /// How many live nonces at most, where the text says it.
        max: Option<usize>,
    },
}

/// A text that names no store.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum StoreUrlError {
    /// No scheme that this build knows. The text is not repeated: it may hold a password.
    #[error("not a nonce store such as memory:")]
    Scheme,
    /// Something behind `memory:` that is not `?max=N` with N from 8 on.
    #[error("memory: takes nothing but ?max=N, a whole number of at least 8")]
    Memory,
}

impl StoreUrl {
    /// Reads a store URL.
    ///
    /// # Errors
    /// [`StoreUrlError`].
    pub fn parse(text: &str) -> Result<Self, StoreUrlError> {
        let Some(rest) = text.strip_prefix("memory:") else { return Err(StoreUrlError::Scheme) };
        if rest.is_empty() {
            return Ok(StoreUrl::Memory { max: None });
        }
        let digits = rest.strip_prefix("?max=").ok_or(StoreUrlError::Memory)?;
        // usize's own parser would also take a plus sign. Below eight, a key's quota is none.
        let max = digits.bytes().all(|b| b.is_ascii_digit()).then(|| digits.parse().ok()).flatten();
        match max {
            Some(max) if max >= 8 => Ok(StoreUrl::Memory { max: Some(max) }),
            _ => Err(StoreUrlError::Memory),
        }
    }
}
