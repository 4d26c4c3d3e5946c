//! `Content-Digest` (RFC 9530): binds the body to the signature.
//!
//! A signature covers this field and not the body itself, so only this check protects the body. The
//! digest is computed over the body as received, before any content coding is removed.

use std::borrow::Cow;
use std::fmt;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use sha2::{Digest as _, Sha256, Sha512};

use super::Head;
use super::structured::{BareItem, Dictionary, Item, Member, ParseFault, Received};
use super::uri::shown;

/// The digest algorithms that are accepted (RFC 9530 section 5). The other registered algorithms
/// are broken or only checksums, so that an attacker can find another body with the same value.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum Algorithm {
    /// The algorithm `sha-256`.
    Sha256,
    /// The algorithm `sha-512`.
    Sha512,
}

impl Algorithm {
    /// Returns the key of the algorithm in the dictionary `Content-Digest`.
    pub const fn as_str(self) -> &'static str {
        match self {
            Algorithm::Sha256 => "sha-256",
            Algorithm::Sha512 => "sha-512",
        }
    }
}

/// The accepted digests of a `Content-Digest` field, at least one.
///
/// ```
/// use mcpid::message::digest::{ContentDigest, DigestError, content_digest};
/// use mcpid::message::{Head, RequestTarget};
///
/// let mut head = Head::new("POST", RequestTarget::Origin("/mcp".into()))?;
/// head.push("content-digest", content_digest(b"{}").into_bytes())?;
/// let digest = ContentDigest::read(&head)?;
/// assert!(digest.check(b"{}").is_ok());
/// assert!(matches!(digest.check(b"[]"), Err(DigestError::Mismatch { .. })));
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct ContentDigest {
    sha256: Option<[u8; 32]>,
    sha512: Option<[u8; 64]>,
}

/// The reason why a `Content-Digest` does not match the body.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum DigestError {
    /// The `Content-Digest` lists neither `sha-256` nor `sha-512`.
    #[error("{}", Missing(algorithms))]
    Missing {
        /// The algorithms that the `Content-Digest` lists; empty if the request has no such field.
        algorithms: Vec<String>,
    },
    /// The `Content-Digest` lists `sha-512` and not `sha-256`, but the caller accepts only
    /// `sha-256`.
    #[error("content-digest lists no sha-256, and no other digest counts here")]
    Sha512Only,
    /// The `Content-Digest` is not a dictionary that RFC 9651 allows, or it lists an algorithm
    /// twice or in non-canonical base64.
    #[error("content-digest is not RFC 9530")]
    Malformed(#[source] ParseFault),
    /// The value of a digest is not a byte sequence of its algorithm's length.
    #[error("{} in content-digest is not {expected} bytes", .algorithm.as_str())]
    Invalid {
        /// The algorithm of the digest.
        algorithm: Algorithm,
        /// The length that the digest must have, in bytes.
        expected: usize,
    },
    /// The body has another digest than the one in `Content-Digest`.
    #[error(
        "the {} of the {length} bytes received is {}, content-digest says {}",
        .algorithm.as_str(), STANDARD.encode(actual), STANDARD.encode(expected)
    )]
    Mismatch {
        /// The algorithm of the digest.
        algorithm: Algorithm,
        /// The digest in `Content-Digest`.
        expected: Vec<u8>,
        /// The digest computed from the body.
        actual: Vec<u8>,
        /// The length of the body, in bytes.
        length: usize,
    },
}

struct Missing<'a>(&'a [String]);

impl fmt::Display for Missing<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.0 {
            [] => f.write_str("there is no content-digest"),
            names => {
                let names = names.join(", ");
                write!(f, "content-digest lists {names}, but neither sha-256 nor sha-512")
            }
        }
    }
}

/// Returns the value of `Content-Digest` for `body`, with SHA-256.
pub fn content_digest(body: &[u8]) -> String {
    format!("sha-256=:{}:", STANDARD.encode(Sha256::digest(body)))
}

impl ContentDigest {
    /// Parses the `Content-Digest` of a request. Several lines of the field form one dictionary
    /// (RFC 9651 section 4.2). Members of other algorithms are ignored.
    ///
    /// # Errors
    /// [`DigestError::Missing`], [`DigestError::Malformed`] or [`DigestError::Invalid`].
    pub fn read(head: &Head<'_>) -> Result<Self, DigestError> {
        let mut lines = head.values("content-digest");
        let mut value = match lines.next() {
            Some(line) => Cow::Borrowed(line),
            None => return Err(DigestError::Missing { algorithms: Vec::new() }),
        };
        for line in lines {
            value.to_mut().extend_from_slice(b", ");
            value.to_mut().extend_from_slice(line);
        }
        let dictionary = Dictionary::strict(&value).map_err(DigestError::Malformed)?;
        let read = ContentDigest {
            sha256: member(&dictionary, Algorithm::Sha256)?,
            sha512: member(&dictionary, Algorithm::Sha512)?,
        };
        if read.sha256.is_none() && read.sha512.is_none() {
            // Eight names are enough for an error message.
            let names = dictionary.members.iter().take(8).map(|(name, _)| shown(name));
            return Err(DigestError::Missing { algorithms: names.collect() });
        }
        Ok(read)
    }

    /// Removes the `sha-512` digest, for callers that accept only `sha-256`.
    ///
    /// # Errors
    /// [`DigestError::Sha512Only`] if there is no `sha-256`.
    pub fn sha256_only(self) -> Result<Self, DigestError> {
        match self.sha256 {
            Some(_) => Ok(ContentDigest { sha512: None, ..self }),
            None => Err(DigestError::Sha512Only),
        }
    }

    /// Compares `body` with each accepted digest.
    ///
    /// # Errors
    /// [`DigestError::Mismatch`] if one of them differs.
    pub fn check(&self, body: &[u8]) -> Result<(), DigestError> {
        if let Some(expected) = &self.sha256 {
            compare(Algorithm::Sha256, expected, &Sha256::digest(body), body.len())?;
        }
        if let Some(expected) = &self.sha512 {
            compare(Algorithm::Sha512, expected, &Sha512::digest(body), body.len())?;
        }
        Ok(())
    }
}

fn member<const N: usize>(
    dictionary: &Dictionary<'_>,
    algorithm: Algorithm,
) -> Result<Option<[u8; N]>, DigestError> {
    match dictionary.get(algorithm.as_str()) {
        None => Ok(None),
        Some(Received {
            value: Member::Item(Item { value: BareItem::Bytes(bytes), .. }), ..
        }) if bytes.len() == N => Ok(bytes.as_slice().try_into().ok()),
        Some(_) => Err(DigestError::Invalid { algorithm, expected: N }),
    }
}

fn compare(
    algorithm: Algorithm,
    expected: &[u8],
    actual: &[u8],
    length: usize,
) -> Result<(), DigestError> {
    if expected == actual {
        return Ok(());
    }
    let (expected, actual) = (expected.to_vec(), actual.to_vec());
    Err(DigestError::Mismatch { algorithm, expected, actual, length })
}
