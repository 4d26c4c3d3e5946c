//! A shell script that checks an evidence file without this program.

/// A shell script that checks an evidence file without this program. `@EVIDENCE@` and `@LOG_KEY@`
/// are replaced by words.
const BY_HAND: &str = include_str!("by-hand.sh");

/// Returns the script with both words filled in. A replaced text is not searched for the other
/// mark, because a log may be named `@EVIDENCE@`.
pub(super) fn by_hand(key: &str, file: &str) -> String {
    let parts = BY_HAND.split("@LOG_KEY@").map(|part| part.replace("@EVIDENCE@", file));
    parts.collect::<Vec<_>>().join(key)
}

#[cfg(test)]
mod tests {
    #[test]
    fn a_name_is_never_taken_for_a_mark_of_the_script() {
        let script = super::by_hand("'a;@EVIDENCE@+k'", "'$(x) @LOG_KEY@.json'");
        assert!(script.contains("log_key='a;@EVIDENCE@+k'\n"), "{script}");
        assert!(script.contains("evidence=$(realpath '$(x) @LOG_KEY@.json')\n"), "{script}");
    }
}
