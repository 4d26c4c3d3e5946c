//! The form of a `traceparent` (W3C Trace Context, Level 1).

/// The length of a `traceparent` of version 00.
const LENGTH: usize = 55;

/// Returns `text` as a `traceparent` of version 00, or `None` if it is malformed (section 3.2.2).
///
/// A text of a higher version that begins with the fields of version 00 is converted to version 00.
/// Of its flags, only the one that says whether the trace is sampled is kept ("Versioning of
/// `traceparent`").
pub(super) fn parse(text: &str) -> Option<String> {
    let hex = |part: &str, length: usize| {
        part.len() == length && part.bytes().all(|b| matches!(b, b'0'..=b'9' | b'a'..=b'f'))
    };
    let (known, rest) = text.split_at_checked(LENGTH)?;
    let parts: Vec<&str> = known.split('-').collect();
    let [version, trace, parent, flags] = parts[..] else { return None };
    // An id of zeros is invalid.
    let is_id = |part: &str, length| hex(part, length) && part.bytes().any(|b| b != b'0');
    if !(hex(version, 2) && is_id(trace, 32) && is_id(parent, 16) && hex(flags, 2)) {
        return None;
    }
    match version {
        "ff" => None,
        "00" => rest.is_empty().then(|| known.to_owned()),
        _ if rest.is_empty() || rest.starts_with('-') => {
            let sampled = u8::from_str_radix(flags, 16).ok()? & 1;
            Some(format!("00-{trace}-{parent}-{sampled:02x}"))
        }
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use super::parse;

    #[test]
    fn only_the_form_of_the_standard_is_a_traceparent() {
        let good = "00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01";
        assert_eq!(parse(good).as_deref(), Some(good));
        let other_flags = "00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-ff";
        assert_eq!(parse(other_flags).as_deref(), Some(other_flags));
        for (later, flags) in [
            ("cc-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-03", "01"),
            ("01-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-02-what-comes-then", "00"),
            ("fe-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-ff-", "01"),
        ] {
            let expected = format!("{}{flags}", &good[..53]);
            assert_eq!(parse(later), Some(expected), "{later}");
        }
        let wrong = [
            "",
            "00",
            "ff-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01",
            "0g-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01",
            "00-4BF92F3577B34DA6A3CE929D0E0E4736-00f067aa0ba902b7-01",
            "00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-0A",
            "00-00000000000000000000000000000000-00f067aa0ba902b7-01",
            "00-4bf92f3577b34da6a3ce929d0e0e4736-0000000000000000-01",
            "00-4bf92f3577b34da6a3ce929d0e0e473-00f067aa0ba902b7-01",
            "00-4bf92f3577b34da6a3ce929d0e0e47366-00f067aa0ba902b7-1",
            "00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-1",
            "00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01-",
            "00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01-x",
            "01-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01x",
            "01-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-0",
            "00 4bf92f3577b34da6a3ce929d0e0e4736 00f067aa0ba902b7 01",
            " 00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01",
            "00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01 ",
            "00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-0\n",
            "00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-é",
        ];
        for text in wrong {
            assert_eq!(parse(text), None, "{text:?}");
        }
    }
}
