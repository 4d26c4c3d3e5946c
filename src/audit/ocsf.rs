//! Converts entries to events of the [Open Cybersecurity Schema Framework](https://schema.ocsf.io),
//! version 1.8.0, for a SIEM.
//!
//! An entry about a request becomes an *API Activity* (class 6003), whose actor is the signing key.
//! Any other entry, such as counts of requests without an entry, becomes a *Base Event* (class 0),
//! so that no entry is left out.
//!
//! Nothing is verified here: names of keys, verdicts and times are claims of the log, and
//! `unmapped.mcpid.verified` is `false`. Data that the schema demands and the log does not have is
//! set to "unknown". There is no client address, so `src_endpoint` has the client id.

use std::borrow::Cow;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use serde::Deserialize;
use serde_json::{Map, Value, json};
use sha2::{Digest as _, Sha256};

use super::entry::{Entry, Event, Request};
use super::explain::{Explanation, explain};
use super::record::Verdict;
use crate::clock::Timestamp;
use crate::key::PresenceProof;
use crate::message::json_line;
use crate::message::shown::capped;

/// The version of the schema.
pub const SCHEMA: &str = "1.8.0";

/// Maximum number of characters of one value. A longer value is replaced by its length and hash.
const MAX_VALUE_CHARS: usize = 2_048;

/// The JSON members of a key in an entry. Nothing about the key is verified.
#[derive(Default, Deserialize)]
struct KeyInLog {
    #[serde(default)]
    kid: String,
    #[serde(default)]
    mcpid: NameInLog,
}

#[derive(Default, Deserialize)]
struct NameInLog {
    name: Option<String>,
    security_key: Option<RulesInLog>,
}

/// The JSON members about a security key in an entry: its rules, and whose signatures its touch
/// confirmed.
#[derive(Default, Deserialize)]
struct RulesInLog {
    #[serde(default)]
    application: String,
    #[serde(default, rename = "for")]
    joins: Vec<String>,
    #[serde(default)]
    alone: bool,
}

/// The members of the recorded request line that the event shows.
#[derive(Default, Deserialize)]
struct SentTarget {
    #[serde(default)]
    method: String,
    #[serde(default)]
    target: String,
}

/// An activity of OCSF: its number within the class, and its caption.
struct OcsfActivity {
    id: u8,
    name: Cow<'static, str>,
}

/// Milliseconds since 1970.
fn milliseconds(time: Timestamp) -> i64 {
    time.unix().saturating_mul(1_000)
}

fn short(text: &str) -> Cow<'_, str> {
    capped(text, MAX_VALUE_CHARS)
}

/// Returns the event for `entry`, whose line is `line`, in the log with the name `log`.
pub fn event(entry: &Entry<'_>, line: &[u8], log: &str) -> Value {
    let mut event = match &entry.event {
        Event::Request(request) => of_request(entry, request),
        other => of_the_log(entry, other),
    };
    event.insert("metadata".to_owned(), metadata(entry, log));
    let hash: String = Sha256::digest(line).iter().map(|byte| format!("{byte:02X}")).collect();
    let hash = json!({ "algorithm_id": 3, "algorithm": "SHA-256", "value": hash });
    event.insert("raw_data_hash".to_owned(), hash);
    Value::Object(event)
}

fn metadata(entry: &Entry<'_>, log: &str) -> Value {
    let uid = format!("{log}#{}", entry.n);
    json!({
        "version": SCHEMA,
        "product": {
            "name": "mcpid", "vendor_name": "mcpid", "version": env!("CARGO_PKG_VERSION"),
        },
        "uid": uid,
        "sequence": entry.n,
        "log_name": short(log),
        "logged_time": milliseconds(entry.time),
        "original_time": entry.time.to_string(),
    })
}

/// Returns the classification of the event and its time, which every class of the schema demands.
fn base(
    class: u32,
    activity: &OcsfActivity,
    severity: (u8, &str),
    time: Timestamp,
) -> Map<String, Value> {
    let (category, category_name, class_name) = match class {
        6003 => (6, "Application Activity", "API Activity"),
        _ => (0, "Uncategorized", "Base Event"),
    };
    let type_uid = class * 100 + u32::from(activity.id);
    let event = json!({
        "class_uid": class, "class_name": class_name,
        "category_uid": category, "category_name": category_name,
        "activity_id": activity.id, "activity_name": activity.name,
        "type_uid": type_uid, "type_name": format!("{class_name}: {}", activity.name),
        "severity_id": severity.0, "severity": severity.1,
        "time": milliseconds(time),
    });
    match event {
        Value::Object(event) => event,
        _ => Map::new(),
    }
}

/// Returns the activity for an MCP method, as far as the name of the method tells. What a tool does
/// is unknown.
fn activity(method: &str) -> OcsfActivity {
    let (id, name) = match method {
        "@delete" => (4, "Delete"),
        "@get" | "resources/read" | "prompts/get" | "tasks/get" | "tasks/result" => (2, "Read"),
        list if list.ends_with("/list") => (2, "Read"),
        other => return OcsfActivity { id: 99, name: short(other).into_owned().into() },
    };
    OcsfActivity { id, name: name.into() }
}

fn of_request(entry: &Entry<'_>, request: &Request<'_>) -> Map<String, Value> {
    let key = request.signatures.first();
    let key: KeyInLog =
        key.and_then(|s| serde_json::from_str(s.key.get()).ok()).unwrap_or_default();
    let sent: SentTarget = serde_json::from_str(request.request.get()).unwrap_or_default();
    let about = explain(request, 0).unwrap_or_default();
    let asked = json_line::read(request.request.get().as_bytes()).ok().and_then(|line| line.time);
    let operation = request.mcp.as_ref().map_or("unknown", |mcp| &mcp.method);
    let (severity, status) = match request.verdict {
        Verdict::Verified => ((1, "Informational"), (1, "Success")),
        Verdict::Refused => ((2, "Low"), (2, "Failure")),
        Verdict::WouldRefuse => ((3, "Medium"), (99, "Passed on unverified")),
        Verdict::Signed => ((1, "Informational"), (99, "Signed, and then sent")),
    };
    let mut event = base(6003, &activity(operation), severity, asked.unwrap_or(entry.time));
    let mut add = |name: &str, value: Value| event.insert(name.to_owned(), value);
    add("status_id", json!(status.0));
    add("status", json!(status.1));
    if let Some(code) = &request.code {
        add("status_code", json!(short(code)));
    }
    add("status_detail", json!(detail(request)));
    let name = request.mcp.as_ref().and_then(|mcp| mcp.name.as_deref());
    let what = name.map_or(String::new(), |name| format!(" {}", short(name)));
    let verdict = request.verdict.as_str();
    add("message", json!(format!("{verdict}: {}{what}", short(operation))));
    add("actor", actor(&key, &about));
    let url = url(&sent.target);
    let host = url.get("hostname").cloned();
    let mut api = json!({ "operation": short(operation) });
    if let Some(nonce) = &about.nonce {
        api["request"] = json!({ "uid": short(nonce) });
    }
    if let Some(host) = &host {
        api["service"] = json!({ "name": host });
        let mut to = json!({ "hostname": host });
        if let Some(port) = url.get("port") {
            to["port"] = port.clone();
        }
        add("dst_endpoint", to);
    }
    add("api", api);
    let client = about.tag.as_deref().unwrap_or("unknown");
    add("src_endpoint", json!({ "uid": short(client) }));
    add("http_request", json!({ "http_method": short(&sent.method), "url": url }));
    if let Some(name) = name {
        let kind = operation.split('/').next().unwrap_or_default();
        add("resources", json!([{ "name": short(name), "type": short(kind), "role_id": 1 }]));
    }
    add("unmapped", unmapped(request, &about));
    event
}

/// Returns the outcome of a request as a text that says who claims it.
fn detail(request: &Request<'_>) -> &'static str {
    match request.verdict {
        Verdict::Verified => "authorised; whether it was carried out is not in the log",
        Verdict::Refused => "refused, by the log's word",
        Verdict::WouldRefuse => "passed on although strict rules would have refused it",
        Verdict::Signed => "the signer's own copy; what became of it is not in the log",
    }
}

fn actor(key: &KeyInLog, about: &Explanation) -> Value {
    let uid = if key.kid.is_empty() { "unknown" } else { &key.kid };
    let mut user = json!({ "uid": short(uid), "type_id": 0 });
    if let Some(name) = &key.mcpid.name {
        user["name"] = json!(short(name));
    }
    let mut actor = json!({ "user": user });
    if let Some(tag) = &about.tag {
        actor["app_uid"] = json!(short(tag));
    }
    actor
}

fn unmapped(request: &Request<'_>, about: &Explanation) -> Value {
    json!({"mcpid": {
        "verified": false,
        "verdict": request.verdict.as_str(),
        "step": request.step,
        "signed_at": about.created.map(milliseconds),
        "covered": about.covered.iter().map(|one| short(one)).collect::<Vec<_>>(),
        "content_digest": request.digest.as_deref().map(short),
        "touch": touch(request),
    }})
}

/// Returns the first touch of a security key that, as the log claims, confirms a signature; null if
/// there is none. The schema has no place for it: `user.has_mfa` and `session.is_mfa` are about an
/// account and a login, and a touch is about this one request.
fn touch(request: &Request<'_>) -> Value {
    let mut touches = request.signatures.iter().filter_map(|signature| {
        let key: KeyInLog = serde_json::from_str(signature.key.get()).ok()?;
        let rules =
            key.mcpid.security_key.filter(|rules| rules.alone || !rules.joins.is_empty())?;
        let bytes = STANDARD.decode(&*signature.signature).ok()?;
        let proof = PresenceProof::stated(bytes.as_slice().try_into().ok()?);
        Some(json!({
            "key": short(&key.kid),
            "name": key.mcpid.name.as_deref().map(short),
            "application": short(&rules.application),
            "presence": if proof.verified { "verified" } else { "present" },
            "counter": proof.counter,
        }))
    });
    touches.next().unwrap_or_default()
}

/// Returns the parts of an absolute URL, unchanged.
fn url(target: &str) -> Map<String, Value> {
    let mut url = Map::new();
    let mut add = |name: &str, value: Value| url.insert(name.to_owned(), value);
    add("url_string", json!(short(target)));
    let Some((scheme, rest)) = target.split_once("://") else { return url };
    let end = rest.find(['/', '?', '#']).unwrap_or(rest.len());
    let (authority, path) = rest.split_at(end);
    let (path, query) = path.split_once('?').unwrap_or((path, ""));
    let port = authority.rsplit_once(':').and_then(|(host, port)| {
        let number = port.parse::<u16>().ok().filter(|_| !host.is_empty())?;
        Some((host, number))
    });
    add("scheme", json!(short(scheme)));
    add("hostname", json!(short(port.map_or(authority, |(host, _)| host))));
    if let Some((_, port)) = port {
        add("port", json!(port));
    }
    add("path", json!(short(if path.is_empty() { "/" } else { path })));
    if !query.is_empty() {
        add("query_string", json!(short(query)));
    }
    url
}

fn of_the_log(entry: &Entry<'_>, event: &Event<'_>) -> Map<String, Value> {
    let name = event.as_str();
    let activity = OcsfActivity { id: 99, name: name.into() };
    let severity = match event {
        // Events about requests that were forwarded without an entry are serious.
        Event::Dropped(dropped) if dropped.gaps > 0 => (3, "Medium"),
        Event::Erased(_) | Event::Recovered(_) => (2, "Low"),
        _ => (1, "Informational"),
    };
    let mut of_log = base(0, &activity, severity, entry.time);
    let (message, says) = match event {
        Event::Dropped(dropped) => (
            format!("{} requests without an entry of their own", dropped.seen),
            serde_json::to_value(dropped),
        ),
        Event::Clock(step) => {
            ("the clock of the log stepped".to_owned(), serde_json::to_value(step))
        }
        Event::Rules(rules) => {
            ("the rules in force from here on".to_owned(), serde_json::to_value(rules))
        }
        Event::Recovered(recovery) => (recovery.to_string(), serde_json::to_value(recovery)),
        Event::After(after) => {
            ("this log follows another one".to_owned(), serde_json::to_value(after))
        }
        Event::Closed(closed) => ("the log is closed".to_owned(), serde_json::to_value(closed)),
        Event::Erased(erasure) => ("an entry was erased".to_owned(), serde_json::to_value(erasure)),
        Event::Tombstone(tombstone) => {
            ("what was here was erased".to_owned(), serde_json::to_value(tombstone))
        }
        Event::Request(_) => (String::new(), Ok(Value::Null)),
    };
    of_log.insert("message".to_owned(), json!(message));
    let says =
        json!({"mcpid": { "verified": false, "event": name, name: says.unwrap_or_default() }});
    of_log.insert("unmapped".to_owned(), says);
    of_log
}
