//! The parser for the answer of a witness (C2SP `tlog-witness`).

use super::super::note::{Note, NoteKey};
use super::http::WitnessAnswer;
use crate::clock::Timestamp;

/// Maximum number of seconds by which the time in a witness's signature may be ahead of this
/// machine's clock.
const MAX_CLOCK_LEAD: i64 = 30;

/// The media type of an answer that states a size.
const SIZE_MEDIA_TYPE: &str = "text/x.tlog.size";

/// What the answer of a witness means.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum SubmissionAnswer {
    /// A valid signature of the witness (a cosignature): its time and its line.
    Cosigned { time: Timestamp, line: String },
    /// Status 409: the last checkpoint that the witness signed covers this number of entries.
    Holds(u64),
    /// Status 422: the proof or the root contradicts what the witness signed before.
    Inconsistent,
    /// Status 400, 403 or 404: a retry would not help.
    Refused(String),
    /// Any other answer: a retry may help.
    Failed(String),
}

/// Parses a witness's answer to the request to sign `note`; `key` is the key of the witness.
pub(super) fn read(
    answer: &WitnessAnswer,
    note: &Note,
    key: &NoteKey,
    now: Timestamp,
) -> SubmissionAnswer {
    match answer.status {
        200 => cosigned(&answer.body, note, key, now).unwrap_or_else(SubmissionAnswer::Failed),
        409 if answer.media == SIZE_MEDIA_TYPE => match size(&answer.body) {
            Some(size) => SubmissionAnswer::Holds(size),
            None => SubmissionAnswer::Failed("its answer 409 names no size".to_owned()),
        },
        409 => {
            SubmissionAnswer::Failed(format!("its answer 409 is not of the type {SIZE_MEDIA_TYPE}"))
        }
        422 => SubmissionAnswer::Inconsistent,
        400 => SubmissionAnswer::Refused("it calls the request malformed (400)".to_owned()),
        403 => SubmissionAnswer::Refused("it does not accept the log's signature (403)".to_owned()),
        404 => SubmissionAnswer::Refused("it does not know this log (404)".to_owned()),
        status @ 300..=399 => SubmissionAnswer::Failed(format!(
            "it redirects ({status}), and redirects are not followed"
        )),
        status => SubmissionAnswer::Failed(format!("its answer has the status {status}")),
    }
}

/// Parses a decimal number and a newline.
fn size(body: &[u8]) -> Option<u64> {
    let digits = std::str::from_utf8(body.strip_suffix(b"\n")?).ok()?;
    digits.parse::<u64>().ok().filter(|size| size.to_string() == digits)
}

fn cosigned(
    body: &[u8],
    note: &Note,
    key: &NoteKey,
    now: Timestamp,
) -> Result<SubmissionAnswer, String> {
    let lines = std::str::from_utf8(body).map_err(|_| "its answer is not UTF-8".to_owned())?;
    let whole = format!("{}\n{lines}", note.text());
    let answered = Note::parse(whole.as_bytes()).ok();
    // The answer is appended to the note. If it contains an empty line, the note would be split
    // into text and signatures at another place. Such an answer is refused.
    let answered = answered.filter(|answered| answered.text() == note.text());
    let answered = answered.ok_or("its answer is not lines of signatures")?;
    let time = answered.signed_by(key).filter(|time| time.unix() > 0);
    let time = time.ok_or("its answer has no cosignature under its key that holds")?;
    let ahead = time.since(now);
    if ahead > MAX_CLOCK_LEAD {
        return Err(format!(
            "the time of its cosignature is {ahead} s ahead, of {MAX_CLOCK_LEAD} s allowed"
        ));
    }
    let line = answered.line_of(key).ok_or("its answer has no such cosignature")?;
    Ok(SubmissionAnswer::Cosigned { time, line })
}
