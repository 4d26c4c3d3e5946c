//! Where a chunked body ends (RFC 9112 section 7.1), without decoding it.
//!
//! Lines end with CRLF, and a size is up to 16 hexadecimal digits and nothing else before an
//! extension. The library decodes the same bytes afterwards.

/// A chunked body that could be read in another way, or not at all.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct ChunkFault;

/// Bytes of chunk extensions and trailers that one body may have.
const MAX_BESIDES: usize = 16 * 1024;

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum State {
    /// In a size of so many digits.
    Size(u8),
    Extension,
    SizeEnd,
    Data,
    DataCr,
    DataLf,
    /// In a trailer line, empty so far or not.
    Trailer {
        empty: bool,
    },
    TrailerEnd {
        empty: bool,
    },
}

/// Follows a chunked body that arrives in pieces.
#[derive(Debug)]
pub(super) struct Chunks {
    state: State,
    /// Of the size that is being read, or of the data that is left of this chunk.
    left: u64,
    /// Bytes of extensions and trailers so far.
    besides: usize,
}

impl Chunks {
    pub(super) fn new() -> Self {
        Chunks { state: State::Size(0), left: 0, besides: 0 }
    }

    /// How many of `bytes` belong to the body, and whether it ends with them.
    pub(super) fn follow(&mut self, bytes: &[u8]) -> Result<(usize, bool), ChunkFault> {
        let mut at = 0;
        while let Some(&byte) = bytes.get(at) {
            if self.state == State::Data {
                let here = (bytes.len() - at).min(usize::try_from(self.left).unwrap_or(usize::MAX));
                at += here;
                self.left -= here as u64;
                if self.left == 0 {
                    self.state = State::DataCr;
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

    /// Takes one byte that is not data; whether it was the last one of the body.
    fn step(&mut self, byte: u8) -> Result<bool, ChunkFault> {
        self.state = match (self.state, byte) {
            (State::Size(digits), _) if byte.is_ascii_hexdigit() && digits < 16 => {
                let digit = (byte as char).to_digit(16).unwrap_or_default();
                self.left = self.left << 4 | u64::from(digit);
                State::Size(digits + 1)
            }
            (State::Size(1..), b'\r') | (State::Extension, b'\r') => State::SizeEnd,
            (State::Size(1..), b';') => State::Extension,
            (State::Extension, _) => {
                self.beside(byte)?;
                State::Extension
            }
            (State::SizeEnd, b'\n') if self.left == 0 => State::Trailer { empty: true },
            (State::SizeEnd, b'\n') => State::Data,
            (State::DataCr, b'\r') => State::DataLf,
            (State::DataLf, b'\n') => State::Size(0),
            (State::Trailer { empty }, b'\r') => State::TrailerEnd { empty },
            (State::Trailer { .. }, _) => {
                self.beside(byte)?;
                State::Trailer { empty: false }
            }
            (State::TrailerEnd { empty: true }, b'\n') => return Ok(true),
            (State::TrailerEnd { empty: false }, b'\n') => State::Trailer { empty: true },
            _ => return Err(ChunkFault),
        };
        Ok(false)
    }

    /// Counts a byte of an extension or a trailer, which is text.
    fn beside(&mut self, byte: u8) -> Result<(), ChunkFault> {
        self.besides += 1;
        let text = byte == b'\t' || !byte.is_ascii_control();
        if text && self.besides <= MAX_BESIDES { Ok(()) } else { Err(ChunkFault) }
    }
}
