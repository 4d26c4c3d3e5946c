//! Describes the parts of entries in words, for `show` and `check`.

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use mcpid::audit::entry::{Request, Rules};
use mcpid::audit::entry_judge::JudgedTouch;
use mcpid::audit::explain::explain;
use mcpid::message::shown::printed;
use mcpid::message::{Body, json_line};

/// Returns the rules of an entry in one line.
pub(super) fn rules(rules: &Rules) -> String {
    let before = |seconds: i64| format!("signed at most {seconds} s before");
    let window = rules.window.map_or("signed at any time before".to_owned(), before);
    let mut text = format!("profile {}, {window} or {} s ahead", rules.profile, rules.ahead);
    for (what, names) in [
        ("required too", &rules.require),
        ("may be uncovered", &rules.allow_uncovered),
        ("sent to", &rules.origins),
        ("touched", &rules.touch),
    ] {
        if !names.is_empty() {
            text.push_str(&format!(", {what}: {}", names.join(" ")));
        }
    }
    text
}

/// Returns what an auditor's trust files say about the touch of an entry, in one line.
pub(super) fn touch(touch: &JudgedTouch) -> String {
    let name = touch.name.as_deref().map(|name| format!(" ({})", printed(name)));
    let how = if touch.verified { "present and verified" } else { "present" };
    let text = format!("{}{}, {how}", touch.key, name.unwrap_or_default());
    match touch.doubt {
        None => format!("{text}, counter {}", touch.counter),
        Some(doubt) => format!("{text}, NOT CONFIRMED: {doubt}"),
    }
}

/// Returns a text about how many entries have a touch of a security key, and how many of these the
/// auditor's trust files confirm; `None` if no entry has a touch.
pub(super) fn touched((confirmed, doubted): (u64, u64)) -> Option<String> {
    let all = confirmed.saturating_add(doubted);
    let entries = if all == 1 { "entry" } else { "entries" };
    match doubted {
        _ if all == 0 => None,
        0 => Some(format!("{all} {entries}, by security keys of the trust files")),
        _ => {
            Some(format!("{all} {entries}, and {doubted} of them NOT CONFIRMED by the trust files"))
        }
    }
}

/// Returns how often a log was opened with entries under no checkpoint, and how many these were;
/// `None` if it never was.
pub(super) fn recovered(times: u64, entries: u64) -> Option<String> {
    let (count, opened) =
        (plural(entries, "entry was", "entries were"), plural(times, "time", "times"));
    (times > 0).then(|| {
        format!("{opened}: {count} under no checkpoint when a process opened the log to write")
    })
}

/// Returns a count with its noun.
pub(in crate::cmd::audit) fn plural(count: u64, one: &str, many: &str) -> String {
    format!("{count} {}", if count == 1 { one } else { many })
}

/// Calls `add` with each fact about the signature at index `place`: what it covers and states.
pub(super) fn signature(request: &Request<'_>, place: usize, add: &mut impl FnMut(&str, String)) {
    let Some(about) = explain(request, place) else { return };
    if let Some(created) = about.created {
        add("signed", created.to_string());
    }
    if let Some(expires) = about.expires {
        add("expires", expires.to_string());
    }
    if let Some(tag) = about.tag {
        add("tag", printed(&tag).into_owned());
    }
    if let Some(nonce) = about.nonce {
        add("nonce", printed(&nonce).into_owned());
    }
    add("covered", about.covered.join(" "));
    if !about.claimed.is_empty() {
        add("not covered", about.claimed.join(" "));
    }
}

/// Calls `add` with each fact about the request: when it was judged, its target, its operation and
/// its body.
pub(super) fn request(request: &Request<'_>, add: &mut impl FnMut(&str, String)) {
    let Ok(line) = json_line::parse(request.request.get().as_bytes()) else { return };
    if let Some(time) = line.time {
        add("judged", time.to_string());
    }
    let target = serde_json::from_str::<serde_json::Value>(request.request.get());
    let target = target.ok().and_then(|value| value["target"].as_str().map(str::to_owned));
    add("target", format!("{} {}", line.head.method(), printed(&target.unwrap_or_default())));
    if let Some(mcp) = &request.mcp {
        let name = mcp.name.as_deref().unwrap_or_default();
        let asked = format!("{} {}", printed(&mcp.method), printed(name));
        add("mcp", asked.trim_end_matches(' ').to_owned());
    }
    if let Some(digest) = &request.digest {
        add("content", digest.clone());
    }
    match (&line.body, &request.redacted) {
        (_, Some(redacted)) => {
            let places: Vec<&str> = redacted.cuts.iter().map(|cut| &*cut.at).collect();
            add("body", redacted.rest.join("…"));
            add("cut out", places.join(" "));
        }
        (Body::Kept(body), _) => add(
            "body",
            match std::str::from_utf8(body) {
                Ok(text) => text.to_owned(),
                Err(_) => format!("{} bytes, base64 {}", body.len(), STANDARD.encode(body)),
            },
        ),
        _ => add("body", "not kept".to_owned()),
    }
}
