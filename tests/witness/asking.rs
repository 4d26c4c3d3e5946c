//! Tests of every kind of answer of a witness, and of its effect. A witness signs (cosigns)
//! checkpoints of a log that only grew.

use std::fs;
use std::sync::Arc;

use mcpid::audit::LogSettings;
use mcpid::audit::checkpoint::Checkpoint;
use mcpid::audit::note::Note;
use mcpid::audit::witness::{
    Submission, WitnessClient, WitnessError, WitnessOutcome, WitnessPolicy, WitnessReply,
};
use mcpid::clock::SystemClock;
use mcpid::net::{DialRoute, tls};

use crate::fake::{FakeWitness, Fault, http, policy};
use crate::fixtures::LogFixture;
use crate::ports::free_port;

pub(crate) fn try_open(fixture: &LogFixture, text: &str) -> Result<WitnessClient, WitnessError> {
    let policy = Arc::new(WitnessPolicy::parse(text.as_bytes()).unwrap());
    let roots = tls::client_without_roots().unwrap();
    let clock = Arc::new(SystemClock);
    WitnessClient::open(fixture.files(), policy, clock, &roots, |_| Ok(DialRoute::Direct))
}

pub(crate) fn open(fixture: &LogFixture, witnesses: &[&FakeWitness], need: usize) -> WitnessClient {
    try_open(fixture, &policy(&fixture.log_key, witnesses, need)).unwrap()
}

/// Sends a submission to one witness, on a new runtime.
pub(crate) fn ask(client: &WitnessClient, place: usize, submission: &Submission) -> WitnessReply {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
    runtime.block_on(client.ask(place, submission))
}

pub(crate) fn ask_latest(client: &WitnessClient) -> WitnessOutcome {
    ask(client, 0, &client.latest().unwrap()).outcome
}

pub(crate) fn log(entries: u64) -> LogFixture {
    let fixture = LogFixture::new();
    fixture.fill(entries, LogSettings::default());
    fixture
}

/// Returns the first line of a request to a witness, and the number of hashes in it.
pub(crate) fn old_and_hashes(request: &str) -> (String, usize) {
    let (head, note) = request.split_once("\n\n").unwrap();
    assert!(note.ends_with('\n'));
    (head.lines().next().unwrap().to_owned(), head.lines().count() - 1)
}

#[test]
fn two_of_three_witnesses_make_a_quorum_that_grows_with_the_log() {
    let fixture = log(5);
    let witnesses = [FakeWitness::start(1), FakeWitness::start(2), FakeWitness::start(3)];
    let [w1, w2, w3] = &witnesses;
    let client = open(&fixture, &[w1, w2, w3], 2);
    let latest = client.latest().unwrap();
    assert!(matches!(ask(&client, 0, &latest).outcome, WitnessOutcome::Cosigned(_)));
    assert!(client.quorum_of(&latest).is_none() && !client.cosigned().exists());
    assert!(matches!(ask(&client, 2, &latest).outcome, WitnessOutcome::Cosigned(_)));
    assert!(client.quorum_of(&latest).is_some());
    let kept = fs::read(client.cosigned()).unwrap();
    let (checkpoint, note) = Checkpoint::signed(&kept, &fixture.log_key).unwrap();
    assert_eq!(checkpoint.size, 5);
    let by = |note: &Note| {
        let by = client.policy().cosignatures(note).by;
        by.into_iter().map(|(place, _)| place).collect::<Vec<_>>()
    };
    assert_eq!(by(&note), [0, 2]);
    assert!(kept.starts_with(&fixture.checkpoint()));
    // A third witness signs too.
    ask(&client, 1, &latest);
    assert_eq!(by(&Note::parse(&fs::read(client.cosigned()).unwrap()).unwrap()), [0, 1, 2]);
    assert_eq!(old_and_hashes(&w1.requests()[0]), ("old 0".to_owned(), 0));

    fixture.fill(9, LogSettings::default());
    let latest = client.latest().unwrap();
    assert!(matches!(ask(&client, 0, &latest).outcome, WitnessOutcome::Cosigned(_)));
    let requests = w1.requests();
    assert_eq!((requests.len(), old_and_hashes(&requests[0]).0), (1, "old 5".to_owned()));
    assert!(old_and_hashes(&requests[0]).1 > 0);
    let (checkpoint, _) =
        Checkpoint::signed(&fs::read(client.cosigned()).unwrap(), &fixture.log_key).unwrap();
    assert_eq!(checkpoint.size, 5, "one of three is no quorum, and replaces none");
    ask(&client, 1, &latest);
    let (checkpoint, _) =
        Checkpoint::signed(&fs::read(client.cosigned()).unwrap(), &fixture.log_key).unwrap();
    assert_eq!(checkpoint.size, 14);
    let figures = client.status().figures();
    assert_eq!((figures.cosignatures, figures.failures, figures.rollbacks), (5, 0, 0));
    assert_eq!(figures.quorum.unwrap().0, 14);
    #[cfg(unix)]
    for name in ["checkpoint.cosigned", "witnesses.json", "witnesses.lock"] {
        use std::os::unix::fs::PermissionsExt as _;
        let mode = fs::metadata(fixture.path().join(name)).unwrap().permissions().mode();
        assert_eq!(mode & 0o777, 0o600, "{name}");
    }
    // The next process knows what each witness has signed.
    drop(client);
    fixture.fill(1, LogSettings::default());
    let client = open(&fixture, &[w1, w2, w3], 2);
    assert_eq!(client.status().figures().quorum.unwrap().0, 14);
    ask_latest(&client);
    assert_eq!(old_and_hashes(&w1.requests()[0]).0, "old 14");
}

/// Returns the faults of a witness, and whether an answer with the fault is final.
fn faults() -> Vec<(Fault, bool)> {
    let raw = |status: u16, media: &str, body: &[u8]| Fault::Raw(http(status, media, body));
    let size = "text/x.tlog.size";
    let body = |text: &str| Fault::Body(text.as_bytes().to_vec());
    let chunk = format!("4000\r\n{}\r\n", "a".repeat(0x4000));
    let endless = format!(
        "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n{}0\r\n\r\n",
        chunk.repeat(5)
    );
    let mut faults: Vec<(Fault, bool)> = [400, 403, 404, 422]
        .into_iter()
        .map(|status| (raw(status, "text/plain", b"no\n"), true))
        .collect();
    for status in [201, 204, 301, 302, 307, 308, 401, 405, 408, 410, 418, 425, 429, 500, 502, 503] {
        faults.push((raw(status, "text/plain", b"1\n"), false));
    }
    for words in
        ["", "3", "03\n", "+3\n", "-1\n", " 3\n", "3\n\n", "3\r\n", "x\n", "18446744073709551616\n"]
    {
        faults.push((raw(409, size, words.as_bytes()), false));
    }
    faults.push((raw(409, "text/plain", b"3\n"), false));
    faults.push((raw(409, "text/x.tlog.size2", b"3\n"), false));
    for words in [
        "",
        "\n",
        "hello\n",
        "\u{2014} w1.example.com AAAA\n",
        "\u{2014} w1.example.com !!!!\n",
        "\0\n",
    ] {
        faults.push((body(words), false));
    }
    faults.push((Fault::Body(vec![b'a'; 64 * 1024]), false));
    faults.push((Fault::Body(vec![b'a'; 64 * 1024 + 1]), false));
    faults.push((Fault::Body(vec![0xff; 100]), false));
    faults.push((Fault::Raw(endless.into_bytes()), false));
    faults.push((Fault::Raw(b"HTTP/1.1 200 OK\r\nContent-Length: 100\r\n\r\nab".to_vec()), false));
    faults.push((Fault::Raw(b"SSH-2.0-OpenSSH_9.2\r\n".to_vec()), false));
    faults.push((Fault::Raw(Vec::new()), false));
    for fault in [Fault::WrongKey, Fault::OtherText, Fault::Ahead(40), Fault::At(0), Fault::At(-1)]
    {
        faults.push((fault, false));
    }
    faults
}

#[test]
fn a_wrong_answer_of_a_witness_is_not_counted_as_a_cosignature() {
    for (fault, is_final) in faults() {
        let fixture = LogFixture::new();
        fixture.fill(3, LogSettings::default());
        let witness = FakeWitness::start(1);
        let client = open(&fixture, &[&witness], 1);
        witness.set(fault.clone());
        match ask_latest(&client) {
            WitnessOutcome::Refused(_) if is_final => {}
            WitnessOutcome::Failed(_) if !is_final => {}
            other => panic!("{fault:?}: {other:?}"),
        }
        assert!(!client.cosigned().exists(), "{fault:?}");
        assert!(!fixture.path().join("witnesses.json").exists(), "{fault:?}");
        assert_eq!(client.status().figures().failures, 1);
        // Without the fault the request succeeds, so only the fault made it fail.
        witness.set(Fault::None);
        witness.remember(None);
        assert!(matches!(ask_latest(&client), WitnessOutcome::Cosigned(_)), "{fault:?}");
    }
}

#[test]
fn a_cosignature_slightly_ahead_of_our_clock_and_lines_of_other_keys_are_accepted() {
    let fixture = log(3);
    let witness = FakeWitness::start(1);
    let client = open(&fixture, &[&witness], 1);
    witness.set(Fault::Ahead(25));
    assert!(matches!(ask_latest(&client), WitnessOutcome::Cosigned(_)));
    // Lines of unknown keys are ignored, and not stored.
    let kept = fs::read_to_string(client.cosigned()).unwrap();
    let line = kept.lines().last().unwrap();
    let other = "\u{2014} other.example.com AAAAAAAAAAAAAAAAAAAAAA==";
    witness.set(Fault::Body(format!("{other}\n{line}\n").into_bytes()));
    assert!(matches!(ask_latest(&client), WitnessOutcome::Cosigned(_)));
    assert_eq!(fs::read_to_string(client.cosigned()).unwrap(), kept);
    // After an empty line, the lines before it would be part of the signed text.
    witness.set(Fault::Body(format!("{other}\n\n{line}\n").into_bytes()));
    assert!(matches!(ask_latest(&client), WitnessOutcome::Failed(_)));
}

#[test]
fn a_witness_without_an_answer_in_time_is_given_up() {
    let fixture = log(1);
    let witness = FakeWitness::start(1);
    let client = open(&fixture, &[&witness], 1);
    for fault in [Fault::Hang, Fault::Slow, Fault::Lost] {
        witness.set(fault);
        let begun = std::time::Instant::now();
        let outcome = ask_latest(&client);
        assert!(matches!(&outcome, WitnessOutcome::Failed(why) if why.contains("within 4 s")));
        assert!(begun.elapsed().as_secs() < 30, "{:?}", begun.elapsed());
        if witness.signed().is_some() {
            witness.remember(None);
        }
    }
    // No process listens at this port any more.
    let free = format!("127.0.0.1:{}", free_port());
    let text =
        policy(&fixture.log_key, &[&witness], 1).replace(&witness.address.to_string(), &free);
    drop(client);
    let client = try_open(&fixture, &text).unwrap();
    assert_eq!(
        ask_latest(&client),
        WitnessOutcome::Failed("no answer: Connection refused".to_owned())
    );
}

#[test]
fn a_redirect_is_not_followed() {
    let fixture = log(1);
    let (witness, other) = (FakeWitness::start(1), FakeWitness::start(1));
    let client = open(&fixture, &[&witness], 1);
    for status in [301, 302, 303, 307, 308] {
        let there = format!(
            "HTTP/1.1 {status} Moved\r\nLocation: http://{}/prefix/add-checkpoint\r\nContent-Length: 0\r\n\r\n",
            other.address
        );
        witness.set(Fault::Raw(there.into_bytes()));
        assert!(matches!(ask_latest(&client), WitnessOutcome::Failed(_)));
    }
    assert!(other.requests().is_empty());
}
