//! Finds the end of a chunked body (RFC 9112 section 7.1) without decoding it.
//!
//! Lines must end with CRLF, and a size has 1 to 16 hexadecimal digits. hyper decodes the same
//! bytes afterwards.

/// A chunked body is malformed, or two parsers could read it differently.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct ChunkFault;

/// The maximum size of chunk extensions and trailers in one body, in bytes.
const MAX_EXTENSION_BYTES: usize = 16 * 1024;

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum ChunkState {
    /// The parser is in a chunk size, after this many digits.
    Size(u8),
    Extension,
    SizeEnd,
    Data,
    DataCr,
    DataLf,
    /// The parser is in a trailer line; `empty` is true before its first character.
    Trailer {
        empty: bool,
    },
    TrailerEnd {
        empty: bool,
    },
}

/// Finds the end of a chunked body that arrives in pieces.
#[derive(Debug)]
pub(super) struct Chunks {
    state: ChunkState,
    /// The chunk size as far as it was read, and then the number of bytes left in the chunk.
    left: u64,
    /// Number of bytes in extensions and trailers so far.
    extension_bytes: usize,
}

impl Chunks {
    pub(super) fn new() -> Self {
        Chunks { state: ChunkState::Size(0), left: 0, extension_bytes: 0 }
    }

    /// Returns how many of `bytes` belong to the body, and whether the body ends with them.
    pub(super) fn follow(&mut self, bytes: &[u8]) -> Result<(usize, bool), ChunkFault> {
        let mut at = 0;
        while let Some(&byte) = bytes.get(at) {
            if self.state == ChunkState::Data {
                let here = (bytes.len() - at).min(usize::try_from(self.left).unwrap_or(usize::MAX));
                at += here;
                self.left -= here as u64;
                if self.left == 0 {
                    self.state = ChunkState::DataCr;
                }
                continue;
            }
            at += 1;
            if self.step(byte)? {
                return Ok((at, true));
            }
        }
        Ok((at, false))
    }

    /// Parses one byte that is not chunk data. Returns whether it was the last byte of the body.
    fn step(&mut self, byte: u8) -> Result<bool, ChunkFault> {
        self.state = match (self.state, byte) {
            (ChunkState::Size(digits), _) if byte.is_ascii_hexdigit() && digits < 16 => {
                let digit = (byte as char).to_digit(16).unwrap_or_default();
                self.left = self.left << 4 | u64::from(digit);
                ChunkState::Size(digits + 1)
            }
            (ChunkState::Size(1..), b'\r') | (ChunkState::Extension, b'\r') => ChunkState::SizeEnd,
            (ChunkState::Size(1..), b';') => ChunkState::Extension,
            (ChunkState::Extension, _) => {
                self.count_extension_byte(byte)?;
                ChunkState::Extension
            }
            (ChunkState::SizeEnd, b'\n') if self.left == 0 => ChunkState::Trailer { empty: true },
            (ChunkState::SizeEnd, b'\n') => ChunkState::Data,
            (ChunkState::DataCr, b'\r') => ChunkState::DataLf,
            (ChunkState::DataLf, b'\n') => ChunkState::Size(0),
            (ChunkState::Trailer { empty }, b'\r') => ChunkState::TrailerEnd { empty },
            (ChunkState::Trailer { .. }, _) => {
                self.count_extension_byte(byte)?;
                ChunkState::Trailer { empty: false }
            }
            (ChunkState::TrailerEnd { empty: true }, b'\n') => return Ok(true),
            (ChunkState::TrailerEnd { empty: false }, b'\n') => ChunkState::Trailer { empty: true },
            _ => return Err(ChunkFault),
        };
        Ok(false)
    }

    /// Counts a byte of an extension or a trailer, which must be a text character.
    fn count_extension_byte(&mut self, byte: u8) -> Result<(), ChunkFault> {
        self.extension_bytes += 1;
        let text = byte == b'\t' || !byte.is_ascii_control();
        if text && self.extension_bytes <= MAX_EXTENSION_BYTES { Ok(()) } else { Err(ChunkFault) }
    }
}
