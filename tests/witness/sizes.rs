//! Tests of a size that a witness states or stated earlier: it shows that the witness or the log
//! has lost its state.

use std::fs;

use mcpid::audit::witness::{DisputeOutcome, WitnessClient, WitnessError, WitnessOutcome};
use mcpid::audit::{LogError, LogSettings, tree};
use mcpid::clock::{Clock as _, SystemClock};

use crate::asking::{ask, ask_latest, log, old_and_hashes, open, try_open};
use crate::fake::{FakeWitness, Fault, policy};
use crate::fixtures::LogFixture;

#[test]
fn a_size_in_the_answer_changes_the_start_of_the_proof_once() {
    let fixture = log(4);
    let witness = FakeWitness::start(1);
    let client = open(&fixture, &[&witness], 1);
    assert!(matches!(ask_latest(&client), WitnessOutcome::Cosigned(_)));
    let (size, root) = witness.signed().unwrap();
    fixture.fill(6, LogSettings::default());
    // The answer got lost, so the log does not know the size that the witness has signed.
    witness.set(Fault::Lost);
    ask_latest(&client);
    assert_eq!(witness.signed().unwrap().0, 10);
    witness.requests();
    witness.set(Fault::None);
    let reply = ask(&client, 0, &client.latest().unwrap());
    assert!(matches!(reply.outcome, WitnessOutcome::Cosigned(_)), "{reply:?}");
    assert_eq!(reply.forgot, None);
    let fronts: Vec<_> = witness.requests().iter().map(|r| old_and_hashes(r)).collect();
    assert_eq!((fronts[0].0.as_str(), &fronts[1]), ("old 4", &("old 10".to_owned(), 0)));
    assert_eq!(fronts.len(), 2);

    // The witness has lost its state. That is reported once, and counted, also by the next process.
    witness.remember(Some((size, root)));
    fixture.fill(2, LogSettings::default());
    let reply = ask(&client, 0, &client.latest().unwrap());
    assert_eq!(reply.forgot, Some((10, 4)));
    assert!(matches!(reply.outcome, WitnessOutcome::Cosigned(_)));
    assert_eq!((client.rollbacks(0), client.status().figures().rollbacks), (1, 1));
    drop(client);
    let client = open(&fixture, &[&witness], 1);
    assert_eq!(client.rollbacks(0), 1);
    // The witness has lost all of its state.
    witness.remember(None);
    let reply = ask(&client, 0, &client.latest().unwrap());
    assert_eq!((reply.forgot, client.rollbacks(0)), (Some((12, 0)), 2));

    // The witness states another size each time.
    witness.requests();
    fixture.fill(1, LogSettings::default());
    witness.set(Fault::Holds(7));
    let reply = ask(&client, 0, &client.latest().unwrap());
    assert!(matches!(reply.outcome, WitnessOutcome::Failed(_)), "{reply:?}");
    assert_eq!((reply.forgot, client.rollbacks(0)), (Some((12, 7)), 3));
    assert_eq!(witness.requests().len(), 2);
    // Those answers were not signed, so the log's record of what the witness signed stays.
    ask(&client, 0, &client.latest().unwrap());
    assert_eq!(old_and_hashes(&witness.requests()[0]).0, "old 12");
}

/// Checks that the log stops if the other witnesses do not make a quorum: the contradicting answer
/// is not signed, but may be true.
#[track_caller]
fn is_upheld(client: &WitnessClient, why: &str) {
    assert_eq!(client.status().figures().contradiction, None, "nothing is decided yet");
    match &client.settle(false)[..] {
        [DisputeOutcome::Upheld(upheld)] => assert!(upheld.starts_with(why), "{upheld}"),
        other => panic!("{other:?}"),
    }
    assert!(client.status().figures().contradiction.unwrap().starts_with(why));
    assert!(client.status().judge(SystemClock.now()).is_err());
    assert!(client.settle(true).is_empty(), "decided once");
}

#[test]
fn a_witness_that_repeats_our_own_size_disputes_the_root() {
    let fixture = log(4);
    let witness = FakeWitness::start(1);
    let client = open(&fixture, &[&witness], 1);
    witness.set(Fault::Holds(4));
    let why = "the witness w1 refuses the tree of the first 4 entries (409, not signed): it may hold \
               another one";
    assert_eq!(ask_latest(&client), WitnessOutcome::Disputed(why.to_owned()));
    assert_eq!(witness.requests().len(), 2);
    is_upheld(&client, why);
}

#[test]
fn a_witness_of_another_tree_of_this_size_disputes_the_root() {
    let fixture = log(4);
    let witness = FakeWitness::start(1);
    let client = open(&fixture, &[&witness], 1);
    witness.remember(Some((4, [7; 32])));
    let why = "the witness w1 refuses the tree of the first 4 entries (422, not signed): it may hold \
               another one";
    assert_eq!(ask_latest(&client), WitnessOutcome::Disputed(why.to_owned()));
    is_upheld(&client, why);
    // If the witness has signed another tree of a smaller size, only the consistency proof fails.
    witness.remember(Some((3, [7; 32])));
    assert!(matches!(ask_latest(&client), WitnessOutcome::Refused(why) if why.contains("422")));
}

#[test]
fn a_witness_that_answers_with_a_larger_size_disputes_the_log() {
    let fixture = log(4);
    let witness = FakeWitness::start(1);
    let client = open(&fixture, &[&witness], 1);
    let old = client.latest().unwrap();
    witness.remember(Some((5, [7; 32])));
    let why = "the witness w1 answers that it holds 5 entries (409, not signed), and the latest \
               checkpoint is over 4: the log may have been rolled back";
    assert_eq!(ask_latest(&client), WitnessOutcome::Disputed(why.to_owned()));
    assert_eq!(witness.requests().len(), 1, "there is nothing to try again");
    is_upheld(&client, why);
    // If the log has grown in the meantime, it was not replaced by an older copy.
    fixture.fill(1, LogSettings::default());
    assert_eq!(ask(&client, 0, &old).outcome, WitnessOutcome::Superseded);
}

#[test]
fn a_kept_checkpoint_shows_a_rollback_and_a_fork_without_a_request() {
    let fixture = log(4);
    let witness = FakeWitness::start(1);
    let copy = tempfile::tempdir().unwrap();
    let own = ["tree", "checkpoint", "checkpoints"];
    for name in own {
        fs::copy(fixture.path().join(name), copy.path().join(name)).unwrap();
    }
    fixture.fill(4, LogSettings::default());
    let client = open(&fixture, &[&witness], 1);
    assert!(matches!(ask_latest(&client), WitnessOutcome::Cosigned(_)));
    assert_eq!(client.contradiction().unwrap(), None);
    witness.requests();
    for name in own {
        fs::copy(copy.path().join(name), fixture.path().join(name)).unwrap();
    }
    assert!(client.contradiction().unwrap().unwrap().contains("rolled back"));
    assert!(matches!(ask_latest(&client), WitnessOutcome::Contradicted(_)));
    assert!(witness.requests().is_empty());
    drop(client);

    let fixture = log(4);
    let client = open(&fixture, &[&witness], 1);
    witness.remember(None);
    assert!(matches!(ask_latest(&client), WitnessOutcome::Cosigned(_)));
    drop(client);
    let ledger = fixture.path().join("witnesses.json");
    let root = client_root(&fixture);
    let text = fs::read_to_string(&ledger).unwrap();
    fs::write(&ledger, text.replace(&root, "AAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA="))
        .unwrap();
    witness.requests();
    let client = open(&fixture, &[&witness], 1);
    assert!(client.contradiction().unwrap().unwrap().contains("forked"));
    fixture.fill(3, LogSettings::default());
    assert!(client.contradiction().unwrap().unwrap().contains("first 4 entries"));
    assert!(matches!(ask_latest(&client), WitnessOutcome::Contradicted(_)));
    assert!(witness.requests().is_empty());
}

fn client_root(fixture: &LogFixture) -> String {
    let text = String::from_utf8(fixture.checkpoint()).unwrap();
    text.lines().nth(2).unwrap().to_owned()
}

#[test]
fn an_empty_log_is_witnessed_too() {
    let fixture = LogFixture::new();
    let witness = FakeWitness::start(1);
    let client = open(&fixture, &[&witness], 1);
    assert!(matches!(ask_latest(&client), WitnessOutcome::Cosigned(_)));
    assert_eq!(witness.signed(), Some((0, tree::empty())));
    witness.remember(Some((3, [7; 32])));
    assert!(matches!(ask_latest(&client), WitnessOutcome::Disputed(_)));
}

/// One of three witnesses contradicts the log, in each possible way. The other two make the quorum,
/// so the log continues.
#[test]
fn a_quorum_of_other_witnesses_overrules_an_unsigned_answer() {
    for fault in ["more", "the same size", "another root"] {
        let fixture = log(4);
        let witnesses = [FakeWitness::start(1), FakeWitness::start(2), FakeWitness::start(3)];
        let [w1, w2, w3] = &witnesses;
        let client = open(&fixture, &[w1, w2, w3], 2);
        match fault {
            "more" => w3.set(Fault::Holds(9)),
            "the same size" => w3.set(Fault::Holds(4)),
            _ => w3.remember(Some((4, [7; 32]))),
        }
        let latest = client.latest().unwrap();
        assert!(matches!(ask(&client, 2, &latest).outcome, WitnessOutcome::Disputed(_)), "{fault}");
        assert!(client.settle(false).is_empty(), "{fault}: the others can still make the quorum");
        assert!(matches!(ask(&client, 0, &latest).outcome, WitnessOutcome::Cosigned(_)));
        assert!(client.settle(false).is_empty(), "{fault}: one is no quorum");
        assert!(matches!(ask(&client, 1, &latest).outcome, WitnessOutcome::Cosigned(_)));
        let outcomes = client.settle(false);
        assert!(matches!(&outcomes[..], [DisputeOutcome::Overruled(_)]), "{fault}: {outcomes:?}");
        assert_eq!(client.status().figures().contradiction, None, "{fault}");
        assert!(client.status().judge(SystemClock.now()).is_ok(), "{fault}");
    }
}

/// The log's own record of what a witness signed is evidence, unlike an unsigned answer. No quorum
/// of other witnesses overrules it.
#[test]
fn a_record_of_a_signature_stays_a_contradiction() {
    let fixture = log(4);
    let (w1, w2) = (FakeWitness::start(1), FakeWitness::start(2));
    let client = open(&fixture, &[&w1, &w2], 1);
    assert!(matches!(ask_latest(&client), WitnessOutcome::Cosigned(_)));
    drop(client);
    let ledger = fixture.path().join("witnesses.json");
    let text = fs::read_to_string(&ledger).unwrap();
    fs::write(&ledger, text.replace("\"size\": 4", "\"size\": 5")).unwrap();
    let client = open(&fixture, &[&w1, &w2], 1);
    let latest = client.latest().unwrap();
    assert!(matches!(ask(&client, 1, &latest).outcome, WitnessOutcome::Cosigned(_)));
    assert!(client.quorum_of(&latest).is_some());
    let outcome = ask(&client, 0, &latest).outcome;
    assert!(
        matches!(&outcome, WitnessOutcome::Contradicted(why)
        if why == "the log was rolled back: the witness w1 has signed 5 entries of it, and its \
                   latest checkpoint is over 4"),
        "{outcome:?}"
    );
    assert!(client.settle(true).is_empty());
    assert!(client.status().figures().contradiction.is_some());
}

#[test]
fn kept_checkpoints_are_locked_by_one_process_and_must_be_readable() {
    let fixture = log(2);
    let witness = FakeWitness::start(1);
    let client = open(&fixture, &[&witness], 1);
    let text = policy(&fixture.log_key, &[&witness], 1);
    assert!(matches!(try_open(&fixture, &text), Err(WitnessError::Log(LogError::Locked(_)))));
    ask_latest(&client);
    drop(client);
    let ledger = fixture.path().join("witnesses.json");
    let good = fs::read_to_string(&ledger).unwrap();
    for bad in [
        String::new(),
        "{}".to_owned(),
        good[..good.len() / 2].to_owned(),
        good.replace("witnesses/1", "witnesses/2"),
        good.replace("\"size\"", "\"length\""),
        good.replace("\"size\": 2", "\"size\": -2"),
        good.replace("\"root\": \"", "\"root\": \"A"),
        good.replace("\"rollbacks\": 0", "\"rollbacks\": 0, \"more\": 1"),
        good.replace("T", " "),
    ] {
        assert_ne!(bad, good);
        fs::write(&ledger, bad).unwrap();
        assert!(matches!(
            try_open(&fixture, &text),
            Err(WitnessError::Log(LogError::Changed { .. }))
        ));
    }
    fs::write(&ledger, &good).unwrap();
    try_open(&fixture, &text).unwrap();
    // The policy is for another log.
    let other = mcpid::audit::note::NoteKey::new(
        "example.com/other",
        mcpid::audit::note::NoteKeyKind::Log,
        fixture.log_key.public().clone(),
    );
    let text = policy(&other.unwrap(), &[&witness], 1);
    assert!(matches!(try_open(&fixture, &text), Err(WitnessError::Policy(_))));
}
