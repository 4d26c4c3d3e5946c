//! Parses the values of flags: times, durations, sizes, counts and names. Each kind of value has one
//! parser, which all flags use.

use mcpid::clock::{Clock as _, SystemClock, Timestamp};
use mcpid::key::keyfile::MAX_NAME_BYTES;

/// The value of `--at` of `verify` and `inspect`: the time at which requests are judged.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum JudgeTime {
    /// The given time.
    At(Timestamp),
    /// The time that each HAR entry or request line states.
    Capture,
}

/// The value of `--ttl`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Ttl {
    /// `expires` is set to this number of seconds after `created`.
    Seconds(u32),
    /// No `expires` is sent.
    None,
}

/// Parses a time: RFC 3339, or `@SECONDS` since the Unix epoch.
pub(crate) fn time(text: &str) -> Result<Timestamp, String> {
    if let Some(seconds) = text.strip_prefix('@') {
        // Only digits are accepted; the parser of `i64` would also accept a plus sign.
        let digits = seconds.strip_prefix('-').unwrap_or(seconds);
        if digits.bytes().all(|b| b.is_ascii_digit())
            && let Ok(seconds) = seconds.parse()
        {
            return Ok(Timestamp::from_unix(seconds));
        }
        return Err("@ wants whole seconds since 1970, such as @1795773600".to_owned());
    }
    Timestamp::parse_rfc3339(text)
        .map_err(|e| format!("{e}, nor seconds since 1970 such as @1795773600"))
}

/// Parses a time for a filter: a time as [`time`] parses it, a date (meaning its first moment in
/// UTC), or an age such as `24h`.
pub(crate) fn moment(text: &str) -> Result<Timestamp, String> {
    moment_at(text, SystemClock.now())
}

fn moment_at(text: &str, now: Timestamp) -> Result<Timestamp, String> {
    const FORMS: &str = "not a time such as 2026-11-23T10:00:00Z or @1795773600, a date such as \
                         2026-11-23, or an age such as 24h";
    let age =
        text.ends_with(['s', 'm', 'h', 'd']) && text.starts_with(|c: char| c.is_ascii_digit());
    if age {
        return Ok(now.plus(-i64::from(duration(text)?)));
    }
    if text.starts_with('@') {
        return time(text);
    }
    let whole = if text.len() == 10 { format!("{text}T00:00:00Z") } else { text.to_owned() };
    Timestamp::parse_rfc3339(&whole).map_err(|_| FORMS.to_owned())
}

/// Parses a time as [`time`] does, or the word `capture`.
pub(crate) fn judge_time(text: &str) -> Result<JudgeTime, String> {
    if text == "capture" {
        return Ok(JudgeTime::Capture);
    }
    time(text).map(JudgeTime::At).map_err(|e| format!("{e}, nor the word capture"))
}

/// Parses a duration in whole seconds: a number and one of `s`, `m`, `h`, `d`. A number alone is
/// refused, because programs differ in whether it means seconds, milliseconds or minutes.
pub(crate) fn duration(text: &str) -> Result<u32, String> {
    let unit = match text.bytes().last() {
        Some(b's') => 1,
        Some(b'm') => 60,
        Some(b'h') => 3600,
        Some(b'd') => 86_400,
        // The message repeats only a number. Any other text that ends with a digit could be a
        // secret.
        Some(_) if text.len() <= 10 && text.bytes().all(|b| b.is_ascii_digit()) => {
            return Err(format!("a unit is missing: {text}s, {text}m or {text}h"));
        }
        _ => return Err("not a duration such as 30s, 5m or 2h".to_owned()),
    };
    let digits = text.get(..text.len() - 1).unwrap_or_default();
    if digits.is_empty() || !digits.bytes().all(|b| b.is_ascii_digit()) {
        return Err("not a duration such as 30s, 5m or 2h".to_owned());
    }
    // The limit of ten years prevents overflow in sums of times.
    let seconds = digits.parse::<u32>().ok().and_then(|n| n.checked_mul(unit));
    seconds.filter(|s| *s <= 3650 * 86_400).ok_or_else(|| "longer than ten years".to_owned())
}

/// Parses a duration above zero, or the word `none`.
pub(crate) fn ttl(text: &str) -> Result<Ttl, String> {
    match text {
        "none" => Ok(Ttl::None),
        _ => match duration(text).map_err(|e| format!("{e}, nor the word none"))? {
            0 => Err("a signature that expires when it is made is of no use".to_owned()),
            seconds => Ok(Ttl::Seconds(seconds)),
        },
    }
}

/// Parses a duration above zero. An ssh-agent treats zero as unlimited.
pub(crate) fn lifetime(text: &str) -> Result<u32, String> {
    match duration(text)? {
        0 => Err("a key that is forgotten at once is of no use".to_owned()),
        seconds => Ok(seconds),
    }
}

/// Parses a number of bytes, optionally with a unit: `KiB`, `MiB` or `GiB`.
pub(crate) fn size(text: &str) -> Result<u64, String> {
    let (digits, unit) = [("KiB", 1 << 10), ("MiB", 1 << 20), ("GiB", 1 << 30)]
        .iter()
        .find_map(|(suffix, unit)| Some((text.strip_suffix(suffix)?, *unit)))
        .unwrap_or((text, 1_u64));
    if digits.is_empty() || !digits.bytes().all(|b| b.is_ascii_digit()) {
        return Err("not a number of bytes such as 4194304 or 4MiB".to_owned());
    }
    let bytes = digits.parse::<u64>().ok().and_then(|n| n.checked_mul(unit));
    // Bodies are kept in memory, so a limit of more than a tebibyte must be a mistake.
    bytes.filter(|n| *n <= 1 << 40).ok_or_else(|| "more than a TiB".to_owned())
}

/// Parses a count from 1 to 1,000,000.
pub(crate) fn count(text: &str) -> Result<usize, String> {
    let digits = !text.is_empty() && text.bytes().all(|b| b.is_ascii_digit());
    let number = text.parse().ok().filter(|n| digits && *n > 0 && *n <= 1_000_000);
    number.ok_or_else(|| "not a number from 1 to 1000000".to_owned())
}

/// Parses the number of an entry of an audit log.
pub(crate) fn entry_number(text: &str) -> Result<u64, String> {
    let digits = !text.is_empty() && text.bytes().all(|b| b.is_ascii_digit());
    let number = text.parse().ok().filter(|_| digits);
    number.ok_or_else(|| "not the number of an entry, such as 0 or 17".to_owned())
}

/// Parses the beginning of a target URI: `http` or `https`, then a host in lower case without the
/// default port. A prefix that matches every target or none is refused, because it would be
/// useless.
pub(crate) fn target_prefix(text: &str) -> Result<String, String> {
    if "http".starts_with(text) {
        return Err("every target begins so".to_owned());
    }
    let wanted = |why: &str| Err(format!("no target begins so: {why}"));
    let Some((scheme, port)) = [("https://", ":443"), ("http://", ":80")]
        .into_iter()
        .find(|(scheme, _)| text.starts_with(scheme) || scheme.starts_with(text))
    else {
        return wanted("it has a scheme and a host, as https://mcp.example.com/");
    };
    let rest = text.strip_prefix(scheme).unwrap_or_default();
    let host = rest.split(['/', '?']).next().unwrap_or_default();
    if text.contains(|c: char| c == '#' || c.is_ascii_control() || c == ' ') {
        return wanted("it has no fragment, blank or control character");
    }
    if host.contains('@')
        || host.bytes().any(|b| b.is_ascii_uppercase())
        || host != rest && host.is_empty()
    {
        return wanted("its host is in lower case, without a user");
    }
    if host != rest && host.ends_with(port) {
        return wanted("it is written without the default port");
    }
    Ok(text.to_owned())
}

/// Parses the number of an open file descriptor.
pub(crate) fn descriptor(text: &str) -> Result<u32, String> {
    let number = text.parse().ok().filter(|_| text.bytes().all(|b| b.is_ascii_digit()));
    number.ok_or_else(|| "not the number of an open file, such as 3".to_owned())
}

/// Parses the name of a key, as keyfiles and trust files allow it.
pub(crate) fn name(text: &str) -> Result<String, String> {
    if text.is_empty() || text.len() > MAX_NAME_BYTES || text.chars().any(char::is_control) {
        return Err(format!("a name has 1 to {MAX_NAME_BYTES} bytes and no control characters"));
    }
    Ok(text.to_owned())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_kind_of_value_has_one_syntax() {
        for (text, seconds) in [("30s", 30), ("0s", 0), ("5m", 300), ("2h", 7200), ("1d", 86_400)] {
            assert_eq!(duration(text), Ok(seconds), "{text}");
        }
        for text in
            ["", "s", "30", "30 s", " 30s", "+30s", "-30s", "1.5m", "30S", "1m30s", "3651d", "½h"]
        {
            assert!(duration(text).is_err(), "{text}");
        }
        assert_eq!(ttl("none"), Ok(Ttl::None));
        assert_eq!(ttl("5m"), Ok(Ttl::Seconds(300)));
        assert_eq!(lifetime("8h"), Ok(28_800));
        assert!(lifetime("0s").is_err() && lifetime("8").is_err() && lifetime("none").is_err());
        assert!(ttl("0s").is_err() && ttl("None").is_err() && ttl("").is_err());
        for (text, bytes) in [("0", 0), ("4194304", 4 << 20), ("4MiB", 4 << 20), ("1KiB", 1024)] {
            assert_eq!(size(text), Ok(bytes), "{text}");
        }
        for text in
            ["", "MiB", "4MB", "4 MiB", "-1", "+1", "1e3", "2000GiB", "99999999999999999999"]
        {
            assert!(size(text).is_err(), "{text}");
        }
    }

    #[test]
    fn a_prefix_is_the_start_of_a_target() {
        for text in [
            "https://mcp.example.com/",
            "https://mcp",
            "https:",
            "https",
            "http://h:8080/a?b",
            "http:/",
            "https://h:443",
            "https://[::1]/x",
            "http://h:443/",
            "https://h/A?B@C:443/",
        ] {
            assert_eq!(target_prefix(text).as_deref(), Ok(text));
        }
        for text in [
            "",
            "h",
            "http",
            "mcp.example.com",
            "/mcp",
            "HTTPS://h",
            "https://H/",
            "https://u@h/",
            "ftp://h",
            "https://h:443/",
            "http://h:80?",
            "https://h/#f",
            "https://h/ x",
            "https:///x",
            "https//h",
            "*",
        ] {
            assert!(target_prefix(text).is_err(), "{text}");
        }
    }

    #[test]
    fn filters_take_dates_and_ages_too() {
        let now = Timestamp::from_unix(1_795_773_600);
        for (text, unix) in [
            ("24h", 1_795_773_600 - 86_400),
            ("0s", 1_795_773_600),
            ("7d", 1_795_773_600 - 604_800),
            ("30m", 1_795_773_600 - 1800),
            ("2026-11-27", 1_795_737_600),
            ("2026-11-27T10:00:00Z", 1_795_773_600),
            ("2026-11-27t11:00:00+01:00", 1_795_773_600),
            ("@0", 0),
            ("@-1", -1),
        ] {
            assert_eq!(moment_at(text, now), Ok(Timestamp::from_unix(unix)), "{text}");
        }
        for text in [
            "",
            "24",
            "h",
            "-24h",
            "+24h",
            "24 h",
            "24H",
            "1w",
            "yesterday",
            "now",
            "2026-11",
            "2026-1-1",
            "2026-02-30",
            "20261127",
            "27.11.2026",
            "2026-11-27Z",
            "2026-11-27 10:00",
            "@1.5",
            "99999d",
            "2026-11-27T10:00:00",
            "2026/11/27",
            "é026-11-2",
        ] {
            assert!(moment_at(text, now).is_err(), "{text}");
        }
    }

    #[test]
    fn a_time_flag_has_two_forms_and_a_third_for_captures() {
        assert_eq!(time("@0"), Ok(Timestamp::from_unix(0)));
        assert_eq!(time("@-1"), Ok(Timestamp::from_unix(-1)));
        assert_eq!(time("1970-01-01T01:00:01+01:00"), Ok(Timestamp::from_unix(1)));
        for text in ["", "@", "@-", "@+1", "@1.5", "@ 1", "0", "now", "1970-01-01", "capture"] {
            assert!(time(text).is_err(), "{text}");
        }
        assert_eq!(judge_time("capture"), Ok(JudgeTime::Capture));
        assert_eq!(judge_time("@7"), Ok(JudgeTime::At(Timestamp::from_unix(7))));
        assert!(judge_time("Capture").is_err());
        assert_eq!(descriptor("0"), Ok(0));
        assert!(descriptor("-1").is_err() && descriptor("+1").is_err() && descriptor("").is_err());
    }
}
