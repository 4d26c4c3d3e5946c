//! Reads a file of entries that was packed with gzip (RFC 1952).
//!
//! A packed file may be from an untrusted source. It is unpacked in pieces while it is read, so
//! that a small file that unpacks to gigabytes needs no memory. At most [`MAX_UNPACKED`] bytes are
//! read.

use std::fs::File;
use std::io::{self, BufRead as _, BufReader, Read};

use flate2::bufread::GzDecoder;

/// Maximum size of an unpacked file of entries: 1 GiB. A writer begins a new file at 64 MiB.
pub(super) const MAX_UNPACKED: u64 = 1024 * 1024 * 1024;

/// The content of one packed file.
pub(super) struct Unpacker {
    decoder: GzDecoder<BufReader<File>>,
    /// Number of bytes that may still be unpacked.
    left: u64,
}

impl Unpacker {
    pub(super) fn new(file: File) -> Self {
        Unpacker::with_limit(file, MAX_UNPACKED)
    }

    fn with_limit(file: File, left: u64) -> Self {
        let decoder = GzDecoder::new(BufReader::with_capacity(64 * 1024, file));
        Unpacker { decoder, left }
    }
}

impl Read for Unpacker {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        let read = self.decoder.read(buffer)?;
        if read == 0 && !buffer.is_empty() && !self.decoder.get_mut().fill_buf()?.is_empty() {
            // A second gzip member is refused, because other tools would show its content and this
            // reader would not.
            let why = "something stands behind its end";
            return Err(io::Error::new(io::ErrorKind::InvalidData, why));
        }
        let count = u64::try_from(read).unwrap_or(u64::MAX);
        self.left = self.left.checked_sub(count).ok_or_else(|| {
            io::Error::new(io::ErrorKind::FileTooLarge, "it unpacks to over 1 GiB")
        })?;
        Ok(read)
    }
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use std::io::{Seek as _, Write as _};

    use super::*;

    #[test]
    fn unpacking_stops_at_the_limit() {
        let mut file = tempfile::tempfile().unwrap();
        let mut encoder = flate2::write::GzEncoder::new(&mut file, flate2::Compression::default());
        encoder.write_all(&[b'x'; 100_000]).unwrap();
        encoder.finish().unwrap();
        for (limit, whole) in [(100_000, true), (99_999, false), (0, false)] {
            file.rewind().unwrap();
            let mut out = Vec::new();
            let read = Unpacker::with_limit(file.try_clone().unwrap(), limit).read_to_end(&mut out);
            assert_eq!(read.is_ok(), whole, "{limit}");
            assert!(u64::try_from(out.len()).unwrap() <= limit);
        }
    }
}
