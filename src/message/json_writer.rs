//! Writes JSON objects member by member into a buffer.
//!
//! The text is the same as that of `serde_json`, which needed half of all instructions for making an
//! entry of the audit log to escape strings: it examines them byte by byte, and writes each part
//! between two escapes with a call of its own.

/// A JSON object to which members are appended. [`ObjectWriter::end`] completes it.
pub(crate) struct ObjectWriter<'o> {
    out: &'o mut Vec<u8>,
    /// What stands before the next member: the opening brace, or a comma.
    separator: u8,
}

impl<'o> ObjectWriter<'o> {
    /// Begins an object at the end of `out`.
    pub(crate) fn new(out: &'o mut Vec<u8>) -> Self {
        ObjectWriter { out, separator: b'{' }
    }

    /// Begins a member. The caller appends its value, as JSON, to the returned buffer. `name` must
    /// not need escapes.
    pub(crate) fn member(&mut self, name: &'static str) -> &mut Vec<u8> {
        self.out.push(std::mem::replace(&mut self.separator, b','));
        self.out.push(b'"');
        self.out.extend_from_slice(name.as_bytes());
        self.out.extend_from_slice(b"\":");
        self.out
    }

    /// Appends a member whose value is a string.
    pub(crate) fn string(&mut self, name: &'static str, value: &str) {
        push_string(self.member(name), value);
    }

    /// Completes the object.
    pub(crate) fn end(self) {
        if self.separator == b'{' {
            self.out.push(b'{');
        }
        self.out.push(b'}');
    }
}

/// Appends `text` to `out` as a JSON string (RFC 8259 section 7), with the same escapes as
/// `serde_json`.
pub(crate) fn push_string(out: &mut Vec<u8>, text: &str) {
    out.reserve(text.len() + 2);
    out.push(b'"');
    let (words, rest) = text.as_bytes().as_chunks::<8>();
    for word in words {
        if needs_escape(u64::from_le_bytes(*word)) {
            push_escaped(out, word);
        } else {
            out.extend_from_slice(word);
        }
    }
    push_escaped(out, rest);
    out.push(b'"');
}

/// Returns true if one of the eight bytes of `word` is a quotation mark, a backslash or a control
/// character (below 0x20).
fn needs_escape(word: u64) -> bool {
    const ONES: u64 = u64::from_le_bytes([0x01; 8]);
    const TOP_BITS: u64 = u64::from_le_bytes([0x80; 8]);
    // If a byte is below 0x20, the subtraction sets its top bit, which was 0. It borrows from the
    // next byte only then, so a borrow cannot change the result.
    let below_space = word.wrapping_sub(ONES * 0x20) & !word;
    let is_zero = |word: u64| word.wrapping_sub(ONES) & !word;
    let quote = is_zero(word ^ (ONES * u64::from(b'"')));
    let backslash = is_zero(word ^ (ONES * u64::from(b'\\')));
    (below_space | quote | backslash) & TOP_BITS != 0
}

/// The letter behind the backslash of each escaped byte; 0 for bytes that are not escaped.
const ESCAPES: [u8; 256] = {
    let mut letters = [0; 256];
    let mut control = 0;
    while control < 0x20 {
        letters[control] = b'u';
        control += 1;
    }
    (letters[0x08], letters[0x0C]) = (b'b', b'f');
    (letters[b'\t' as usize], letters[b'\n' as usize], letters[b'\r' as usize]) =
        (b't', b'n', b'r');
    (letters[b'"' as usize], letters[b'\\' as usize]) = (b'"', b'\\');
    letters
};

/// Appends at most eight bytes with their escapes. The usual loop is written without branches
/// that depend on the bytes, because the processor could not predict them.
fn push_escaped(out: &mut Vec<u8>, bytes: &[u8]) {
    let (mut escaped, mut length, mut has_code) = ([0; 2 * 8], 0, false);
    for &byte in bytes {
        let letter = ESCAPES[usize::from(byte)];
        // If the byte needs no escape, it overwrites the backslash.
        escaped[length] = b'\\';
        length += usize::from(letter != 0);
        escaped[length] = if letter == 0 { byte } else { letter };
        length += 1;
        has_code |= letter == b'u';
    }
    if has_code {
        bytes.iter().for_each(|byte| match ESCAPES[usize::from(*byte)] {
            0 => out.push(*byte),
            b'u' => out.extend_from_slice(format!("\\u{byte:04x}").as_bytes()),
            letter => out.extend_from_slice(&[b'\\', letter]),
        });
    } else {
        out.extend_from_slice(&escaped[..length]);
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn string(text: &str) -> String {
        let mut out = b"before".to_vec();
        push_string(&mut out, text);
        String::from_utf8(out).unwrap_or_default().split_off("before".len())
    }

    #[test]
    fn every_character_is_written_as_serde_json_writes_it() {
        for character in '\0'..=char::MAX {
            let text = character.to_string();
            assert_eq!(string(&text), serde_json::json!(text).to_string(), "{character:?}");
        }
    }

    #[test]
    fn every_byte_is_escaped_at_each_place_of_a_word() {
        for byte in 0..0x80_u8 {
            for place in 0..17 {
                for filler in ["a", "\x7f", "\x20", "!", "#", "[", "]", "\u{80}"] {
                    let text =
                        format!("{}{}{}", filler.repeat(place), byte as char, filler.repeat(9));
                    assert_eq!(string(&text), serde_json::json!(text).to_string());
                }
            }
        }
    }

    proptest! {
        #[test]
        fn every_string_is_written_as_serde_json_writes_it(
            text in "([a-z]{0,20}|\\PC{0,9}|[\"\\\\\\x00-\\x1f\\x7f]{0,3}){0,9}",
        ) {
            prop_assert_eq!(string(&text), serde_json::json!(text).to_string());
        }

        #[test]
        fn exactly_words_with_a_byte_to_escape_are_found(
            bytes in prop::array::uniform8(prop_oneof![
                prop::sample::select(&b"\"\\\0\x01\x1f !#[]\x7f\x80\xa0\xff"[..]),
                any::<u8>(),
                0x20..=0x7f_u8,
                0x20..=0x7f_u8,
            ]),
        ) {
            let needs = bytes.iter().any(|b| *b < 0x20 || b"\"\\".contains(b));
            prop_assert_eq!(needs, needs_escape(u64::from_le_bytes(bytes)));
        }
    }

    #[test]
    fn an_object_has_the_members_in_their_order() {
        let mut out = Vec::new();
        ObjectWriter::new(&mut out).end();
        assert_eq!(out, b"{}");
        out.clear();
        let mut object = ObjectWriter::new(&mut out);
        object.string("a", "x\"y");
        object.member("b").extend_from_slice(b"null");
        object.member("c").extend_from_slice(b"[1]");
        object.end();
        assert_eq!(out, br#"{"a":"x\"y","b":null,"c":[1]}"#);
    }
}
