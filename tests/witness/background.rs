//! Tests of witnesses that are asked in the background while a log is written.

use std::fs;
use std::sync::{Arc, Mutex};
use std::thread::sleep;
use std::time::{Duration, Instant};

use mcpid::audit::checkpoint::Checkpoint;
use mcpid::audit::witness::{
    WitnessClient, WitnessFigures, WitnessNews, WitnessPolicy, WitnessService,
};
use mcpid::audit::{Log, LogError, LogSettings, Policy, Recorder};
use mcpid::clock::{Clock as _, SystemClock};
use mcpid::net::{DialRoute, tls};

use crate::fake::{FakeWitness, Fault, http, policy};
use crate::fixtures::{LogFixture, body, call};

struct Witnessed {
    fixture: LogFixture,
    log: Log,
    recorder: Arc<Recorder>,
    news: Arc<Mutex<Vec<WitnessNews>>>,
    service: WitnessService,
}

/// Returns a log that signs a checkpoint after each entry and sends it to these witnesses.
fn start(
    fixture: LogFixture,
    witnesses: &[&FakeWitness],
    need: usize,
    required: Policy,
) -> Witnessed {
    let text = policy(&fixture.log_key, witnesses, need);
    let parsed = Arc::new(WitnessPolicy::parse(text.as_bytes()).unwrap());
    let mut settings = LogSettings::default();
    (settings.every, settings.pause) = (1, Duration::ZERO);
    let log = fixture.try_open(settings).unwrap();
    let recorder = Arc::new(Recorder::new(log.clone()).with_policy(required));
    let roots = tls::client_without_roots().unwrap();
    let clock = Arc::new(SystemClock);
    let client =
        WitnessClient::open(fixture.files(), parsed, clock, &roots, |_| Ok(DialRoute::Direct))
            .unwrap();
    let news: Arc<Mutex<Vec<WitnessNews>>> = Arc::default();
    let heard = Arc::clone(&news);
    let say = move |one| heard.lock().unwrap().push(one);
    let service = WitnessService::start(client, Arc::clone(&recorder), say).unwrap();
    Witnessed { fixture, log, recorder, news, service }
}

impl Witnessed {
    fn record(&self, n: u64) -> Result<(), LogError> {
        self.fixture.clock.forward(1);
        let call = call(1, self.fixture.clock.now().unix(), &body(n), &[]);
        self.fixture.record(&self.recorder, &call)
    }

    /// Waits until `wanted` returns true for the figures of the service, for at most a minute.
    #[track_caller]
    fn until(&self, wanted: impl Fn(&WitnessFigures) -> bool) {
        let begun = Instant::now();
        while !wanted(&self.service.status().figures()) {
            assert!(begun.elapsed() < Duration::from_secs(60), "{:?}", self.service.status());
            sleep(Duration::from_millis(20));
        }
    }

    fn cosigned(&self) -> u64 {
        let bytes = fs::read(self.fixture.path().join("checkpoint.cosigned")).unwrap();
        Checkpoint::signed(&bytes, &self.fixture.log_key).unwrap().0.size
    }

    fn said(&self) -> Vec<WitnessNews> {
        self.news.lock().unwrap().clone()
    }
}

fn quorum_over(size: u64) -> impl Fn(&WitnessFigures) -> bool {
    move |figures| figures.quorum.is_some_and(|(over, _)| over == size)
}

#[test]
fn each_checkpoint_is_cosigned_though_one_witness_hangs() {
    let (w1, w2, w3) = (FakeWitness::start(1), FakeWitness::start(2), FakeWitness::start(3));
    w3.set(Fault::Hang);
    let one = start(LogFixture::new(), &[&w1, &w2, &w3], 2, Policy::Required);
    one.until(quorum_over(0));
    let mut recording = Duration::ZERO;
    for n in 1..=3 {
        let begun = Instant::now();
        one.record(n).unwrap();
        recording += begun.elapsed();
        one.until(quorum_over(n));
        assert_eq!(one.cosigned(), n);
    }
    // The service waits four seconds for a witness that does not answer.
    assert!(recording < Duration::from_secs(10), "no request waits for a witness: {recording:?}");
    assert_eq!(one.service.status().figures().waiting, None);
    let words = one.service.status().judge(SystemClock.now()).unwrap();
    assert!(words.ends_with(" s old, over 3 entries"), "{words}");
    // A witness that works again is asked again after a pause, and the operator is told.
    w3.set(Fault::None);
    let begun = Instant::now();
    while w3.signed().is_none_or(|(size, _)| size != 3) {
        assert!(begun.elapsed() < Duration::from_secs(60), "{:?}", one.said());
        sleep(Duration::from_millis(50));
    }
    // The last checkpoint covers the last entries, and is sent too.
    one.record(4).unwrap();
    one.log.close();
    let (fixture, service) = (one.fixture, one.service);
    drop(service);
    let bytes = fs::read(fixture.path().join("checkpoint.cosigned")).unwrap();
    assert_eq!(Checkpoint::signed(&bytes, &fixture.log_key).unwrap().0.size, 4);
}

#[test]
fn a_failed_quorum_is_reported_and_entries_are_still_written() {
    let (w1, w2) = (FakeWitness::start(1), FakeWitness::start(2));
    for witness in [&w1, &w2] {
        witness.set(Fault::Raw(http(500, "text/plain", b"no\n")));
    }
    let one = start(LogFixture::new(), &[&w1, &w2], 2, Policy::Required);
    for n in 1..=5 {
        one.record(n).unwrap();
    }
    one.until(|figures| figures.failures >= 2);
    let figures = one.service.status().figures();
    let (_, since) = figures.waiting.unwrap();
    assert_eq!(figures.quorum, None);
    assert!(one.service.status().judge(since.plus(60)).is_ok());
    let why = one.service.status().judge(since.plus(61)).unwrap_err();
    assert!(why.contains("waits for its quorum for 61 s; there was no quorum"), "{why}");
    let warning = WitnessNews::Warning("the witness w1: its answer has the status 500".to_owned());
    assert_eq!(one.said().iter().filter(|news| **news == warning).count(), 1, "said once");
    w1.set(Fault::None);
    w2.set(Fault::None);
    one.until(quorum_over(5));
    one.record(6).unwrap();
    one.until(quorum_over(6));
}

#[test]
fn a_witness_with_a_final_answer_is_not_asked_again() {
    let (w1, w2) = (FakeWitness::start(1), FakeWitness::start(2));
    w2.set(Fault::Raw(http(404, "text/plain", b"no\n")));
    let one = start(LogFixture::new(), &[&w1, &w2], 1, Policy::Required);
    one.until(quorum_over(0));
    one.until(|figures| figures.failures == 1);
    for n in 1..=3 {
        one.record(n).unwrap();
        one.until(quorum_over(n));
    }
    assert_eq!(w2.requests().len(), 1);
    assert_eq!(one.said().len(), 1, "{:?}", one.said());
}

#[test]
fn a_rollback_stops_a_required_log_and_no_other() {
    for (policy, goes_on) in [(Policy::Required, false), (Policy::BestEffort, true)] {
        for fault in [Fault::Holds(9), Fault::Holds(2)] {
            let fixture = LogFixture::new();
            fixture.fill(2, LogSettings::default());
            let (w1, w2) = (FakeWitness::start(1), FakeWitness::start(2));
            w1.set(fault);
            let one = start(fixture, &[&w1, &w2], 2, policy);
            one.until(|figures| figures.contradiction.is_some());
            let why = one.service.status().judge(SystemClock.now()).unwrap_err();
            assert!(why.contains("not signed") && why.contains("made no quorum"), "{why}");
            assert_eq!(one.record(3).is_ok(), goes_on);
            if !goes_on {
                let trouble = one.log.trouble().unwrap();
                assert!(matches!(trouble, LogError::Contradicted { .. }));
                assert_eq!(one.fixture.lines().len(), 2);
            }
            one.log.close();
            assert!(one.said().iter().any(|n| matches!(n, WitnessNews::Contradicted(_))));
            // Closing the log has added no entry.
            assert_eq!(one.fixture.lines().len(), if goes_on { 3 } else { 2 });
        }
    }
}

#[test]
fn a_kept_checkpoint_stops_a_required_log_before_its_first_entry() {
    let fixture = LogFixture::new();
    fixture.fill(2, LogSettings::default());
    let copy = tempfile::tempdir().unwrap();
    let names: Vec<_> =
        fs::read_dir(fixture.path()).unwrap().map(|e| e.unwrap().file_name()).collect();
    for name in &names {
        fs::copy(fixture.path().join(name), copy.path().join(name)).unwrap();
    }
    let w1 = FakeWitness::start(1);
    let one = start(fixture, &[&w1], 1, Policy::Required);
    one.record(3).unwrap();
    one.until(quorum_over(3));
    one.log.close();
    let Witnessed { fixture, service, log, recorder, .. } = one;
    drop((service, log, recorder));
    for name in &names {
        fs::copy(copy.path().join(name), fixture.path().join(name)).unwrap();
    }
    w1.set(Fault::Hang);
    let one = start(fixture, &[&w1], 1, Policy::Required);
    assert!(matches!(one.record(3), Err(LogError::Contradicted { .. })));
}

/// If one witness that is not needed for the quorum answers 409 or 422, the log continues and
/// reports the answer.
#[test]
fn an_unsigned_answer_of_one_witness_does_not_stop_a_log_that_has_its_quorum() {
    for fault in [Some(Fault::Holds(9)), Some(Fault::Holds(2)), None] {
        let fixture = LogFixture::new();
        fixture.fill(2, LogSettings::default());
        let (w1, w2, w3) = (FakeWitness::start(1), FakeWitness::start(2), FakeWitness::start(3));
        match &fault {
            Some(fault) => w3.set(fault.clone()),
            // The witness has signed another root for the same size, so it answers 422.
            None => w3.remember(Some((2, [7; 32]))),
        }
        let one = start(fixture, &[&w1, &w2, &w3], 2, Policy::Required);
        one.until(quorum_over(2));
        one.until(|figures| figures.failures == 1);
        for n in 3..=4 {
            one.record(n).unwrap();
            one.until(quorum_over(n));
        }
        assert_eq!(one.service.status().figures().contradiction, None, "{fault:?}");
        let said = one.said();
        let is_warning = |news: &WitnessNews| matches!(news, WitnessNews::Warning(why) if why.starts_with("the witness w3 "));
        let is_note =
            |news: &WitnessNews| matches!(news, WitnessNews::Note(why) if why.contains("goes on"));
        assert_eq!(said.iter().filter(|news| is_warning(news)).count(), 1, "{said:?}");
        assert_eq!(said.iter().filter(|news| is_note(news)).count(), 1, "{said:?}");
        assert_eq!(said.len(), 2, "{said:?}");
    }
}

/// The other two witnesses could make the quorum and do not. The unsigned answer of the third may
/// then be true, so the log stops.
#[test]
fn an_unsigned_answer_stops_a_log_whose_quorum_does_not_come() {
    let fixture = LogFixture::new();
    fixture.fill(2, LogSettings::default());
    let (w1, w2, w3) = (FakeWitness::start(1), FakeWitness::start(2), FakeWitness::start(3));
    w2.set(Fault::Raw(http(500, "text/plain", b"no\n")));
    w3.set(Fault::Holds(9));
    let one = start(fixture, &[&w1, &w2, &w3], 2, Policy::Required);
    one.until(|figures| figures.failures >= 2);
    one.record(3).unwrap();
    let begun = Instant::now();
    while one.service.status().figures().contradiction.is_none() {
        assert!(begun.elapsed() < Duration::from_secs(60), "{:?}", one.said());
        sleep(Duration::from_millis(50));
    }
    assert!(matches!(one.record(4), Err(LogError::Contradicted { .. })));
}

#[test]
fn a_new_witness_policy_takes_effect_while_the_log_is_written() {
    let (w1, w2) = (FakeWitness::start(1), FakeWitness::start(2));
    w1.set(Fault::Hang);
    let mut one = start(LogFixture::new(), &[&w1], 1, Policy::Required);
    one.record(1).unwrap();
    assert_eq!(one.service.status().figures().quorum, None);
    let status = Arc::clone(one.service.status());
    let renewed = |one: &Witnessed, text: &str| {
        let parsed = Arc::new(WitnessPolicy::parse(text.as_bytes()).unwrap());
        let roots = tls::client_without_roots().unwrap();
        one.service.client().with_policy(parsed, &roots, |_| Ok(DialRoute::Direct))
    };
    // Waiting for the witness that does not answer would take four seconds each time.
    let mut replacing = Duration::ZERO;
    for witness in [&w1, &w1, &w1, &w2] {
        let begun = Instant::now();
        while w1.requests().is_empty() {
            assert!(begun.elapsed() < Duration::from_secs(60), "the witness is not asked");
            sleep(Duration::from_millis(20));
        }
        let client = renewed(&one, &policy(&one.fixture.log_key, &[witness], 1)).unwrap();
        let begun = Instant::now();
        one.service.replace(client).unwrap();
        replacing += begun.elapsed();
    }
    assert!(replacing < Duration::from_secs(10), "a witness that hangs is not waited for");
    one.until(quorum_over(1));
    assert!(Arc::ptr_eq(&status, one.service.status()), "metrics go on with the same status");
    one.record(2).unwrap();
    one.until(quorum_over(2));
    assert_eq!((w2.signed().unwrap().0, one.cosigned()), (2, 2));
    // A checkpoint that had the quorum of the old policy does not have that of the new one.
    w1.set(Fault::Raw(http(500, "text/plain", b"no\n")));
    let client = renewed(&one, &policy(&one.fixture.log_key, &[&w1, &w2], 2)).unwrap();
    one.service.replace(client).unwrap();
    assert_eq!(one.service.status().figures().quorum, None);
    // A policy that is for another log changes nothing.
    let other = mcpid::audit::note::NoteKey::new(
        "example.com/other",
        mcpid::audit::note::NoteKeyKind::Log,
        one.fixture.log_key.public().clone(),
    );
    assert!(renewed(&one, &policy(&other.unwrap(), &[&w2], 1)).is_err());
    assert_eq!(one.service.client().policy().witnesses().len(), 2);
}
