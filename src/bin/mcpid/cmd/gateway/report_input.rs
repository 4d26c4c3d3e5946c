//! Opens the logs of `gateway report`: plain, or compressed with gzip as logrotate does, in
//! chronological order.

use std::collections::HashMap;
use std::fs::File;
use std::io::{self, BufReader, Read, Seek as _};
use std::path::{Path, PathBuf};

use flate2::bufread::MultiGzDecoder;
use mcpid::clock::Timestamp;
use mcpid::gateway::log::LogLines;

use crate::input::files;
use crate::output::exit::Exit;
use crate::output::failure::{Failure, reason};
use crate::output::ui::{Ui, path_word};

/// Size of the buffer of the log that is read.
const BUFFER: usize = 256 * 1024;
/// Number of lines at the beginning of a log that are searched for one with a time.
const MAX_LINES_SEARCHED: usize = 1_000;
/// Maximum size of an unpacked log: 64 GiB, some hundred million requests. Memory use does not
/// depend on the size; the limit bounds the time that a small packed file can take.
const MAX_UNPACKED: u64 = 64 << 30;

/// The lines of a log.
pub(super) type InputLines = LogLines<BufReader<Box<dyn Read>>>;

/// A log that was opened.
pub(super) struct ReportInput {
    name: String,
    source: InputSource,
    /// The time of the first line; `None` if no line has a time, or if the log is a stream that can
    /// be read only once.
    first: Option<Timestamp>,
}

enum InputSource {
    /// A regular file, which can be read again from its start.
    File(File),
    /// A stream such as stdin or a pipe.
    Stream(Box<dyn Read>),
}

impl ReportInput {
    /// Returns the name of the log for messages, and its lines.
    ///
    /// # Errors
    /// The log cannot be read, or is compressed by another program than gzip.
    pub(super) fn lines(self) -> Result<(String, InputLines), Failure> {
        let reader: Box<dyn Read> = match self.source {
            InputSource::File(file) => Box::new(file),
            InputSource::Stream(stream) => stream,
        };
        let lines = lines(&self.name, reader)?;
        Ok((self.name, lines))
    }
}

/// Opens all logs, and sorts them by the time of their first line. Streams come last, in the given
/// order.
///
/// # Errors
/// A log cannot be read, or two paths are the same file, whose requests would count twice.
pub(super) fn open(paths: &[PathBuf], ui: &mut Ui) -> Result<Vec<ReportInput>, Failure> {
    let mut known: HashMap<(u64, u64), String> = HashMap::new();
    let mut inputs = Vec::new();
    for path in paths {
        if path == Path::new("-") {
            let files::OpenedInput { name, reader } = files::open(None, ui)?;
            inputs.push(ReportInput { name, source: InputSource::Stream(reader), first: None });
            continue;
        }
        let (name, mut file) = files::open_file(path)?;
        let about = file.metadata().map_err(|e| broken(&name, &e))?;
        if !about.is_file() {
            let source = InputSource::Stream(Box::new(file));
            inputs.push(ReportInput { name, source, first: None });
            continue;
        }
        #[cfg(unix)]
        {
            use std::os::unix::fs::MetadataExt as _;
            if let Some(other) = known.insert((about.dev(), about.ino()), name.clone()) {
                return Err(Failure::usage(format!(
                    "{other} and {name} are the same file, and each request would count twice"
                )));
            }
        }
        let first = first_time(&name, &file)?;
        file.rewind().map_err(|e| broken(&name, &e))?;
        inputs.push(ReportInput { name, source: InputSource::File(file), first });
    }
    inputs.sort_by_key(|input| (input.first.is_none(), input.first));
    Ok(inputs)
}

/// Returns the failure that the log `name` cannot be read.
pub(super) fn broken(name: &str, error: &io::Error) -> Failure {
    let (code, why) = reason(error);
    Failure::new(Exit::Input, code, format!("cannot read {name}: {why}"))
}

fn first_time(name: &str, file: &File) -> Result<Option<Timestamp>, Failure> {
    let again = file.try_clone().map_err(|e| broken(name, &e))?;
    for line in lines(name, Box::new(again))?.take(MAX_LINES_SEARCHED) {
        if let Some(line) = line.map_err(|e| broken(name, &e))? {
            return Ok(Some(line.time));
        }
    }
    Ok(None)
}

/// Returns the lines of a log, unpacked if the log is a gzip file (RFC 1952).
fn lines(name: &str, mut reader: Box<dyn Read>) -> Result<InputLines, Failure> {
    let mut start = Vec::with_capacity(6);
    let read = reader.by_ref().take(6).read_to_end(&mut start);
    read.map_err(|e| broken(name, &e))?;
    let packer = match start.as_slice() {
        [0x28, 0xb5, 0x2f, 0xfd, ..] => Some("zstd"),
        [0xfd, b'7', b'z', b'X', b'Z', 0] => Some("xz"),
        [b'B', b'Z', b'h', ..] => Some("bzip2"),
        _ => None,
    };
    if let Some(packer) = packer {
        let file = path_word(Path::new(name));
        let message = format!("{name} is compressed with {packer}; only gzip is read");
        return Err(Failure::new(Exit::Input, "compressed", message)
            .hint(format!("{packer} -dc {file} | mcpid gateway report")));
    }
    let is_packed = start.starts_with(&[0x1f, 0x8b]);
    let whole = io::Cursor::new(start).chain(reader);
    let reader: Box<dyn Read> = match is_packed {
        true => {
            let packed = BufReader::with_capacity(64 * 1024, whole);
            Box::new(UnpackedLog { unpacker: MultiGzDecoder::new(packed), left: MAX_UNPACKED })
        }
        false => Box::new(whole),
    };
    Ok(LogLines::new(BufReader::with_capacity(BUFFER, reader)))
}

/// A reader that fails after too many unpacked bytes.
struct UnpackedLog<R> {
    unpacker: R,
    left: u64,
}

impl<R: Read> Read for UnpackedLog<R> {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        let count = self.unpacker.read(buffer)?;
        self.left =
            self.left.checked_sub(u64::try_from(count).unwrap_or(u64::MAX)).ok_or_else(|| {
                io::Error::new(io::ErrorKind::InvalidData, "it unpacks to over 64 GiB")
            })?;
        Ok(count)
    }
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use super::*;

    #[test]
    fn logs_are_read_in_the_order_of_their_times() {
        let folder = tempfile::tempdir().unwrap();
        let line = |second: u8| {
            format!(
                "{{\"version\":1,\"time\":\"2026-11-23T10:00:0{second}Z\",\"request\":1,\"method\":\"GET\",\"path\":\"/\",\"outcome\":\"open\"}}\n"
            )
        };
        let logs = [
            ("log", "started\n".to_owned() + &line(3)),
            ("log.1", line(2) + &line(9)),
            ("log.10", line(1)),
            ("notes", "no log\n".to_owned()),
        ];
        let paths: Vec<PathBuf> = logs.iter().map(|(name, _)| folder.path().join(name)).collect();
        for (path, (_, text)) in paths.iter().zip(&logs) {
            std::fs::write(path, text).unwrap();
        }
        let mode = crate::output::ui::OutputMode::default();
        let mut ui = Ui::new(Box::new(io::sink()), Box::new(io::sink()), false, false, mode);
        let inputs = open(&paths, &mut ui).unwrap();
        let names: Vec<&str> = inputs.iter().map(|i| i.name.rsplit('/').next().unwrap()).collect();
        assert_eq!(names, ["log.10", "log.1", "log", "notes"]);
        // Although the beginnings of the logs were read for sorting, all lines are counted.
        let counts = inputs.into_iter().map(|input| input.lines().unwrap().1.count());
        assert_eq!(counts.collect::<Vec<_>>(), [1, 2, 2, 1]);
    }

    #[test]
    fn unpacking_a_log_stops_at_the_limit() {
        for (left, whole) in [(100, true), (99, false), (0, false)] {
            let mut log = UnpackedLog { unpacker: io::repeat(b'x').take(100), left };
            let mut unpacked = Vec::new();
            assert_eq!(log.read_to_end(&mut unpacked).is_ok(), whole, "{left}");
            assert!(u64::try_from(unpacked.len()).is_ok_and(|length| length <= left));
        }
    }
}
