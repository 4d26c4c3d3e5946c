//! Makes forged logs: a log with every kind of entry, and changes that the holder of the log's key
//! can make.

use std::fs;
use std::path::Path;
use std::sync::Arc;

use mcpid::audit::checkpoint::Checkpoint;
use mcpid::audit::note::{NoteKey, NoteKeyKind};
use mcpid::audit::tree::{self, Frontier, Hash};
use mcpid::audit::{Evidence, Recorder, entry, erase};
use mcpid::base::Component;
use mcpid::clock::Clock;
use mcpid::key::Sign as _;
use mcpid::profile::Profile;
use mcpid::sign::Signer;
use mcpid::verify::coverage::CoverageOverrides;
use serde_json::{Value, json};

use crate::fixtures::{self, LogFixture, NAME, body, call, key, wait};

pub(crate) fn write_lines(path: &Path, lines: &[String]) {
    fs::write(path, lines.iter().map(|line| format!("{line}\n")).collect::<String>()).unwrap();
}

/// Returns a checkpoint over this size and root hash, signed by the log's key.
pub(crate) fn sealed(size: u64, root: Hash, signer: u8) -> String {
    let checkpoint = Checkpoint { origin: NAME.to_owned(), size, root };
    let as_key = NoteKey::new(NAME, NoteKeyKind::Log, key(signer).public().clone()).unwrap();
    checkpoint.sign(&as_key, &key(signer)).unwrap()
}

/// Replaces all entries with `lines`, and makes the hashes and the checkpoint match.
pub(crate) fn forge(fixture: &LogFixture, lines: &[String], signer: u8) {
    let mut frontier = Frontier::new();
    let mut hashes = Vec::new();
    for line in lines {
        frontier.push(entry::leaf(line.as_bytes()), |hash| hashes.extend_from_slice(hash));
    }
    write_lines(&fixture.only_segment(), lines);
    fs::write(fixture.path().join("tree"), hashes).unwrap();
    let first = sealed(0, tree::empty(), signer);
    let note = sealed(frontier.size(), frontier.root(), signer);
    fs::write(fixture.path().join("checkpoint"), &note).unwrap();
    fs::write(fixture.path().join("checkpoints"), first + &note).unwrap();
}

/// Returns a request signed by this signer, which may cover more or less than the profile requires.
pub(crate) fn signed_by(signer: &Signer, at: i64, text: &str) -> fixtures::Call {
    let mut call = call(1, at, text, &[]);
    call.fields.retain(|(name, _)| {
        !name.eq_ignore_ascii_case("signature") && !name.eq_ignore_ascii_case("signature-input")
    });
    fixtures::sign(&mut call, signer, at);
    call
}

/// Makes a log with an entry of each kind: verified requests with a body, without one, with values
/// cut out, with signed `Mcp-*` fields, and with two signatures; refused and passed-on requests,
/// for several reasons; counts; a client's entry of a request that it sent; a signature without its
/// base; changed rules; a step of the clock; and an erased entry.
pub(crate) fn various() -> LogFixture {
    let fixture = LogFixture::new();
    let now = || fixture.clock.now().unix();
    let log = fixture.open();
    let plain = Recorder::new(log.clone());
    let bodies = Recorder::new(log.clone()).with_bodies(Vec::new());
    let cut = "tools/call:*:arguments.password".parse().unwrap();
    let redacting = Recorder::new(log.clone()).with_bodies(vec![cut]);
    let mirrored = [("mcp-method", "tools/call"), ("mcp-name", "pay")];
    fixture.record(&plain, &call(1, now(), &body(0), &mirrored)).unwrap();
    fixture.record(&bodies, &call(1, now(), &body(1), &[])).unwrap();
    fixture.record(&redacting, &call(1, now(), &body(2), &mirrored)).unwrap();
    // The body of these requests is not the signed one, so they are refused after their signature
    // was verified. One recorder keeps the body, and the other does not.
    for recorder in [&plain, &bodies] {
        let mut other = call(1, now(), &body(3), &[]);
        other.body = body(4).into_bytes();
        fixture.record(recorder, &other).unwrap();
    }
    // No trusted key signed this request, so the log only counts it.
    fixture.record(&plain, &call(9, now(), &body(5), &[])).unwrap();
    // This is the entry of a client that signed the request.
    let sent = call(1, now(), &body(6), &mirrored);
    let (head, verifier) = (sent.head(), fixture.verifier());
    let held = verifier.judge_head(&head).unwrap();
    let one = held.signatures().next().unwrap();
    let evidence = Evidence::signed(
        &Profile::mcp(),
        &head,
        one.label,
        key(1).public(),
        one.base,
        one.signature,
    );
    let by = (&Profile::mcp(), &fixtures::origins());
    wait(bodies.signed(&head, by, &sent.body, &evidence, fixture.clock.now())).unwrap();
    // The signature covers a field that no log keeps.
    let signer = Signer::new(Arc::new(key(1)), &Profile::mcp()).unwrap();
    let signer = signer.cover(Component::new("authorization").unwrap());
    fixture.record(&bodies, &signed_by(&signer, now(), &body(7))).unwrap();
    // The verifier of this request has other rules, and the log records the change in an entry.
    let changes = CoverageOverrides {
        require: vec!["mcp-method".to_owned()],
        allow_uncovered: vec!["last-event-id".to_owned()],
    };
    let by = fixture.verifier().with_coverage_overrides(changes);
    fixture.record_by(&plain, &call(1, now(), &body(10), &mirrored), &by).unwrap();
    fixture.record_by(&bodies, &call(1, now(), &body(11), &mirrored), &by).unwrap();
    // The clock is set back.
    fixture.clock.forward(1_000);
    fixture.record(&plain, &call(1, now(), &body(8), &mirrored)).unwrap();
    fixture.clock.forward(-2_000);
    fixture.record(&plain, &call(1, now(), &body(9), &mirrored)).unwrap();
    drop((log, plain, bodies, redacting));
    // One entry is erased.
    let clock: Arc<dyn Clock> = fixture.clock.clone();
    erase::erase(&fixture.files(), 1, "order of a court", clock).unwrap();
    fixture
}

/// Returns the line of an entry. A tombstone's members must be in one order, because a tombstone is
/// accepted in one spelling only.
pub(crate) fn text(value: &Value) -> String {
    let members = ["mcpid", "n", "time", "event", "tombstone"];
    if value["event"] != "tombstone" || value.as_object().is_none_or(|all| all.len() != 5) {
        return value.to_string();
    }
    let members = members.map(|name| format!("{}:{}", json!(name), value[name]));
    format!("{{{}}}", members.join(","))
}
