//! Tests of `verify` and `inspect` on HTTP archives (HAR files) that the tests make.

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use serde_json::{Value, json};

use super::{CALL, Home, NOON, NOON_TEXT, URL};
use crate::json::has_all_members;

fn headers(home: &Home) -> Value {
    let args = ["sign", "--json", "--url", URL, "--at", NOON_TEXT, "body.json"];
    let signed = home.mcpid(&args).ends(0).json();
    let list = signed["headers"].as_array().unwrap().iter();
    list.map(|header| json!({ "name": header[0], "value": header[1] })).collect()
}

fn entry(method: &str, url: &str, headers: Value, body: Option<Value>) -> Value {
    let mut request = json!({
        "method": method, "url": url, "httpVersion": "HTTP/1.1", "headers": headers,
        "cookies": [], "queryString": [], "headersSize": -1, "bodySize": CALL.len(),
    });
    if let Some(body) = body {
        request["postData"] = body;
    } else {
        request["bodySize"] = json!(0);
    }
    json!({ "startedDateTime": "2026-11-27T11:00:00.250+01:00", "time": 1, "request": request,
        "response": { "status": 200 }, "cache": {}, "timings": {} })
}

fn archive(entries: &[Value]) -> String {
    json!({ "log": { "version": "1.2", "creator": { "name": "t", "version": "1" }, "entries": entries } }).to_string()
}

fn text(body: &str) -> Option<Value> {
    Some(json!({ "mimeType": "application/json", "text": body }))
}

#[test]
fn every_request_but_preflights_is_judged_at_its_own_time() {
    let home = Home::new();
    let preflight = json!([
        { "name": "Origin", "value": "https://app.example.com" },
        { "name": "Access-Control-Request-Method", "value": "POST" },
    ]);
    let pseudo = {
        let mut all = headers(&home).as_array().unwrap().clone();
        for (name, value) in [
            (":method", "POST"),
            (":authority", "mcp.example.com"),
            (":scheme", "https"),
            (":path", "/mcp"),
        ] {
            all.insert(0, json!({ "name": name, "value": value }));
        }
        Value::Array(all)
    };
    let encoded = json!({ "mimeType": "application/json", "text": STANDARD.encode(CALL), "encoding": "base64" });
    let entries = [
        entry("OPTIONS", URL, preflight, None),
        entry("POST", URL, headers(&home), text(CALL)),
        entry("POST", URL, pseudo, text(CALL)),
        entry("POST", URL, headers(&home), Some(encoded)),
        entry("GET", "https://app.example.com/logo.png", json!([]), None),
    ];
    home.write("h.har", archive(&entries));
    let ran = home
        .mcpid(&[
            "verify",
            "--at",
            "capture",
            "--json",
            "--only",
            "https://mcp.example.com/",
            "h.har",
        ])
        .ends(0);
    let verdicts: Vec<_> = ran.out.lines().map(has_all_members).collect();
    let places: Vec<_> = verdicts.iter().map(|v| v["index"].as_u64().unwrap()).collect();
    assert_eq!(places, [1, 2, 3]);
    for verdict in &verdicts {
        assert_eq!(
            (&verdict["verdict"], &verdict["now"], &verdict["time_source"]),
            (&json!("accepted"), &json!(NOON), &json!("capture"))
        );
    }
    assert_eq!(
        ran.err,
        "mcpid: 3 accepted, 0 rejected, 1 preflights passed over, 1 for other targets passed over\n"
    );
    let ran = home.mcpid(&["verify", "--at", "capture", "h.har"]).ends(1);
    assert!(ran.out.contains("h.har [4]: rejected at step 2 (present)"), "{}", ran.out);
    let marked = [b"\xef\xbb\xbf", archive(&entries).as_bytes()].concat();
    home.write("h.har", marked);
    home.mcpid(&["inspect", "h.har"]).well();
}

#[test]
fn a_body_that_may_not_be_exact_is_unjudged_rather_than_mismatched() {
    let home = Home::new();
    // The export replaced one character of the body that was signed.
    let entries = [
        entry("POST", URL, headers(&home), text(&CALL.replace("here", "h\u{fffd}re"))),
        entry("POST", URL, headers(&home), None),
    ];
    let mut entries = entries.to_vec();
    entries[1]["request"]["bodySize"] = json!(CALL.len());
    home.write("h.har", archive(&entries));
    let ran = home.mcpid(&["verify", "--at", "capture", "--json", "h.har"]).ends(5);
    for line in ran.out.lines() {
        let verdict = has_all_members(line);
        assert_eq!(
            (&verdict["verdict"], &verdict["unjudged"]),
            (&json!("unjudged"), &json!([9, 10, 11])),
            "{line}"
        );
        assert!(verdict["message"].is_string());
    }
    assert_eq!(ran.err, "mcpid: 0 accepted, 0 rejected, 2 unjudged\n");
}

/// The exporter did not keep the body. Its entry has the form of Chrome, Firefox, Safari, mitmproxy
/// or Charles.
#[test]
fn a_body_that_was_not_kept_is_unjudged() {
    let home = Home::new();
    let post = |post: Value| Some(post);
    let mime = "application/json";
    let bodies = [
        (None, json!(0)),
        (None, json!(-1)),
        (None, json!(null)),
        (None, json!(CALL.len())),
        (post(json!(null)), json!(0)),
        (post(json!({ "mimeType": mime, "text": "" })), json!(0)),
        (post(json!({ "mimeType": mime, "text": "", "params": [] })), json!(-1)),
        (post(json!({ "mimeType": mime, "params": [], "comment": "too large" })), json!(0)),
        (post(json!({ "mimeType": mime, "params": [{ "name": "a" }] })), json!(0)),
        (post(json!({ "mimeType": mime, "text": null })), json!(CALL.len())),
        (post(json!({ "mimeType": mime, "comment": "discarded" })), json!(CALL.len())),
    ];
    for (post, size) in bodies {
        let mut one = entry("POST", URL, headers(&home), post);
        one["request"]["bodySize"] = size;
        one["request"]["_transferSize"] = json!(12);
        one["request"]["comment"] = json!("x");
        home.write("h.har", archive(&[one.clone()]));
        let verdict = has_all_members(&home.verify(&["--json", "h.har"]).ends(5).out);
        assert_eq!(verdict["unjudged"], json!([9, 10, 11]), "{one}");
        // The output still shows what the signature states.
        assert_eq!(verdict["verdict"], "unjudged", "{one}");
        assert_eq!(verdict["key"]["name"], "alice");
    }
    // If the request itself says that it has no body, nothing is missing.
    let mut one = entry("POST", URL, headers(&home), None);
    let length = json!({ "name": "Content-Length", "value": "0" });
    one["request"]["headers"].as_array_mut().unwrap().push(length);
    home.write("h.har", archive(&[one]));
    let ran = home.verify(&["h.har"]).ends(1);
    assert!(ran.out.starts_with("rejected at step 9 (digest)"), "{}", ran.out);
}

#[test]
fn times_of_exporters_are_read_and_those_without_a_zone_are_unjudged() {
    let home = Home::new();
    let at = |time: Value| {
        let mut one = entry("POST", URL, headers(&home), text(CALL));
        one["startedDateTime"] = time;
        home.write("h.har", archive(&[one]));
        home.mcpid(&["verify", "--at", "capture", "--json", "h.har"])
    };
    for time in ["2026-11-27T11:00:00+0100", "2026-11-27t10:00:00z", "2026-11-27 10:00:00 UTC"] {
        assert_eq!(at(json!(time)).ends(0).json()["captured"], NOON, "{time}");
    }
    for time in [json!("2026-11-27T10:00:00"), json!("yesterday"), json!(1_795_773_600)] {
        let verdict = has_all_members(&at(time.clone()).ends(5).out);
        assert_eq!(verdict["verdict"], "unjudged");
        assert!(verdict["message"].as_str().unwrap().starts_with("its time "), "{time}");
        assert_eq!(verdict["target"], URL);
        // If a flag gives the time, the requests in the archive are judged.
        home.verify(&["h.har"]).ends(0);
    }
    assert!(at(json!(null)).ends(3).err.contains("bears no time of its own"));
}

#[test]
fn archives_without_requests_and_files_that_are_no_archives_are_refused() {
    let home = Home::new();
    home.write("none.har", archive(&[]));
    let ran = home.verify(&["none.har"]).ends(3);
    assert!(ran.err.ends_with("mcpid: there is no request to judge\n"), "{}", ran.err);
    home.write("cut.har", &archive(&[entry("GET", URL, json!([]), None)])[..300]);
    let ran = home.verify(&["cut.har"]).ends(3);
    assert!(ran.err.starts_with("mcpid: cut.har: "), "{}", ran.err);
    let odd = entry("GET", "chrome-extension://abc/x", json!([]), None);
    home.write("odd.har", archive(&[odd, entry("GET", URL, json!([]), None)]));
    let ran = home.verify(&["odd.har"]).ends(3);
    assert!(ran.err.starts_with("mcpid: odd.har: entry 0: "), "{}", ran.err);
    assert!(ran.out.starts_with("odd.har [1]: rejected at step 2"), "{}", ran.out);
}
