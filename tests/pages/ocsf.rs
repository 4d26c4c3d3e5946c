//! Tests that the events of `audit show --format ocsf` satisfy a copy of the OCSF schema (a format
//! of security events).

use std::collections::BTreeSet;

use serde_json::{Value, json};

use super::{AuditFolder, HOSTILE, mcpid, stdout};

/// The part of the schema that describes the classes and objects that the program writes.
const SCHEMA: &str = include_str!("ocsf-1.8.0.json");

/// Checks `value` against the schema's class or object `of`, and adds the faults to `wrong`.
fn check(of: &Value, at: &str, value: &Value, wrong: &mut Vec<String>) {
    let schema: Value = serde_json::from_str(SCHEMA).unwrap();
    let Some(members) = value.as_object() else {
        return wrong.push(format!("{at} is no object"));
    };
    let attributes = of["attributes"].as_object().unwrap();
    for (name, rule) in attributes {
        let (kind, required) = match rule[0].as_str().unwrap().strip_suffix(" R") {
            Some(kind) => (kind, true),
            None => (rule[0].as_str().unwrap(), false),
        };
        let Some(value) = members.get(name) else {
            if required {
                wrong.push(format!("{at}.{name} is missing"));
            }
            continue;
        };
        let at = format!("{at}.{name}");
        let (kind, values) = match kind.strip_suffix("[]") {
            Some(kind) => (kind, value.as_array().cloned().unwrap_or_default()),
            None => (kind, vec![value.clone()]),
        };
        for value in &values {
            let fits = match kind {
                "integer_t" | "long_t" | "timestamp_t" | "port_t" => value.is_i64(),
                "boolean_t" => value.is_boolean(),
                "object" | "json_t" => value.is_object(),
                "file_hash_t" => value.as_str().is_some_and(|hash| {
                    hash.len() == 64 && hash.bytes().all(|b| b.is_ascii_hexdigit())
                }),
                text if text.ends_with("_t") => value.as_str().is_some_and(|text| !text.is_empty()),
                object => {
                    let object = &schema["objects"][object];
                    assert!(object.is_object(), "{at}: the data has no such object");
                    check(object, &at, value, wrong);
                    true
                }
            };
            let listed = rule.get(1).and_then(Value::as_array);
            if !fits || listed.is_some_and(|listed| !listed.contains(value)) {
                wrong.push(format!("{at} cannot be {value}"));
            }
        }
    }
    for name in members.keys().filter(|name| !attributes.contains_key(*name)) {
        wrong.push(format!("{at}.{name} is no attribute"));
    }
    let one = of["at_least_one"].as_array().unwrap();
    if !one.is_empty() && !one.iter().any(|name| members.contains_key(name.as_str().unwrap())) {
        wrong.push(format!("{at} has none of {one:?}"));
    }
}

fn faults(event: &Value) -> Vec<String> {
    let schema: Value = serde_json::from_str(SCHEMA).unwrap();
    let class = &schema["classes"][event["class_uid"].to_string()];
    let mut wrong = Vec::new();
    check(class, "", event, &mut wrong);
    let number = |name: &str| event[name].as_i64().unwrap_or(-1);
    if number("type_uid") != number("class_uid") * 100 + number("activity_id") {
        wrong.push("type_uid does not follow".to_owned());
    }
    if number("category_uid") != number("class_uid") / 1_000 {
        wrong.push("category_uid is not that of the class".to_owned());
    }
    for (id, name) in [("activity_id", "activity_name"), ("status_id", "status")] {
        if event[id] == 99 && !event[name].is_string() {
            wrong.push(format!("{name} has to say what Other is"));
        }
    }
    wrong
}

fn events(text: &str) -> Vec<Value> {
    text.lines().map(|line| serde_json::from_str(line).unwrap()).collect()
}

#[test]
fn every_event_has_exactly_the_members_of_the_schema() {
    let folder = concat!(env!("CARGO_MANIFEST_DIR"), "/tests/cmd/audit.in");
    let show = ["audit", "show", "--audit", "log", "--format", "ocsf"];
    let kept = events(&stdout(&mcpid(folder.as_ref(), &show), 0));
    assert_eq!(kept.len(), 3, "an event for each entry, those about the log included");
    let mut tools: Vec<String> = HOSTILE.iter().map(|name| (*name).to_owned()).collect();
    tools.push("n".repeat(1_000_000));
    let audit = AuditFolder::new(&tools, "alice");
    let more = events(&stdout(&audit.run(&show), 0));
    assert_eq!(more.len(), tools.len());
    for event in kept.iter().chain(&more) {
        assert_eq!(faults(event), [""; 0], "{event}");
        assert!(event.to_string().len() < 20_000);
    }
    let classes: BTreeSet<_> = kept.iter().map(|event| event["class_uid"].as_i64()).collect();
    assert_eq!(classes, BTreeSet::from([Some(0), Some(6003)]));
}

#[test]
fn an_event_states_the_key_the_operation_the_time_and_the_outcome() {
    let folder = concat!(env!("CARGO_MANIFEST_DIR"), "/tests/cmd/audit.in");
    let show = ["audit", "show", "--audit", "log", "--format", "ocsf", "--status"];
    let of = |status: &str| {
        let text = stdout(&mcpid(folder.as_ref(), &[&show[..], &[status]].concat()), 0);
        events(&text).remove(0)
    };
    let (yes, no) = (of("verified"), of("refused"));
    for (path, yes_value, no_value) in [
        ("/class_uid", json!(6003), json!(6003)),
        ("/type_uid", json!(600_399), json!(600_399)),
        ("/activity_name", json!("tools/call"), json!("tools/call")),
        ("/status_id", json!(1), json!(2)),
        ("/status_code", Value::Null, json!("nonce_replayed")),
        ("/severity_id", json!(1), json!(2)),
        ("/time", json!(1_795_744_523_000_i64), json!(1_795_744_523_000_i64)),
        ("/metadata/version", json!("1.8.0"), json!("1.8.0")),
        ("/metadata/uid", json!("example.com/audit#0"), json!("example.com/audit#1")),
        ("/actor/user/name", json!("alice"), json!("alice")),
        ("/api/operation", json!("tools/call"), json!("tools/call")),
        ("/resources/0/name", json!("delete_db"), json!("delete_db")),
        ("/http_request/url/port", json!(18_080), json!(18_080)),
        ("/dst_endpoint/hostname", json!("127.0.0.1"), json!("127.0.0.1")),
        ("/unmapped/mcpid/verified", json!(false), json!(false)),
    ] {
        let value = |event: &Value| event.pointer(path).cloned().unwrap_or_default();
        assert_eq!((value(&yes), value(&no)), (yes_value, no_value), "{path}");
    }
}

#[test]
fn the_schema_check_finds_each_fault_of_an_event() {
    let folder = concat!(env!("CARGO_MANIFEST_DIR"), "/tests/cmd/audit.in");
    let show = ["audit", "show", "--audit", "log", "--format", "ocsf", "0"];
    let good = events(&stdout(&mcpid(folder.as_ref(), &show), 0)).remove(0);
    assert_eq!(faults(&good), [""; 0]);
    let without = ["/actor", "/api", "/src_endpoint", "/metadata", "/time", "/severity_id"];
    let nested = [
        "/metadata/version",
        "/metadata/product",
        "/api/operation",
        "/actor/user",
        "/activity_name",
        "/src_endpoint/uid",
        "/raw_data_hash/value",
        "/category_uid",
        "/type_uid",
    ];
    for path in without.iter().chain(&nested) {
        let (parent, name) = path.rsplit_once('/').unwrap();
        let mut event = good.clone();
        let parent = event.pointer_mut(parent).unwrap().as_object_mut().unwrap();
        parent.remove(name).unwrap();
        if *path == "/actor/user" {
            parent.remove("app_uid");
        }
        assert_ne!(faults(&event), [""; 0], "without {path}");
    }
    for (path, value) in [
        ("/time", json!("2026-11-27T01:55:23Z")),
        ("/severity_id", json!(7)),
        ("/type_uid", json!(600_301)),
        ("/actor/user/uid", json!("")),
        ("/raw_data_hash/value", json!("abc")),
        ("/mcpid", json!(1)),
    ] {
        let mut event = good.clone();
        match event.pointer_mut(path) {
            Some(member) => *member = value,
            None => event[&path[1..]] = value,
        }
        assert_ne!(faults(&event), [""; 0], "{path}");
    }
}
