//! Tests of answers that state a size, and of sizes from earlier requests: they show that the
//! witness or the log has lost its state.

use std::fs;

use mcpid::audit::witness::{WitnessError, WitnessOutcome};
use mcpid::audit::{LogError, Settings, tree};
use mcpid::clock::Clock as _;

use crate::asking::{ask, ask_latest, front, log, open, try_open};
use crate::fake::{FakeWitness, Fault, policy};
use crate::fixtures::LogFixture;

#[test]
fn a_size_in_the_answer_moves_the_proof_there_once() {
    let fixture = log(4);
    let witness = FakeWitness::start(1);
    let client = open(&fixture, &[&witness], 1);
    assert!(matches!(ask_latest(&client), WitnessOutcome::Cosigned(_)));
    let (size, root) = witness.signed().unwrap();
    fixture.fill(6, Settings::default());
    // The answer got lost, so the witness has a size that this log does not know.
    witness.set(Fault::Lost);
    ask_latest(&client);
    assert_eq!(witness.signed().unwrap().0, 10);
    witness.requests();
    witness.set(Fault::None);
    let reply = ask(&client, 0, &client.latest().unwrap());
    assert!(matches!(reply.outcome, WitnessOutcome::Cosigned(_)), "{reply:?}");
    assert_eq!(reply.forgot, None);
    let fronts: Vec<_> = witness.requests().iter().map(|r| front(r)).collect();
    assert_eq!((fronts[0].0.as_str(), &fronts[1]), ("old 4", &("old 10".to_owned(), 0)));
    assert_eq!(fronts.len(), 2);

    // The witness has lost its state. That is reported once and counted, also by the next process.
    witness.remember(Some((size, root)));
    fixture.fill(2, Settings::default());
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
    fixture.fill(1, Settings::default());
    witness.set(Fault::Holds(7));
    let reply = ask(&client, 0, &client.latest().unwrap());
    assert!(matches!(reply.outcome, WitnessOutcome::Failed(_)), "{reply:?}");
    assert_eq!((reply.forgot, client.rollbacks(0)), (Some((12, 7)), 3));
    assert_eq!(witness.requests().len(), 2);
    // Those answers were not signed, so the record of what the witness signed stays.
    ask(&client, 0, &client.latest().unwrap());
    assert_eq!(front(&witness.requests()[0]).0, "old 12");
}

#[test]
fn a_witness_that_holds_our_own_size_for_ever_is_a_fork() {
    let fixture = log(4);
    let witness = FakeWitness::start(1);
    let client = open(&fixture, &[&witness], 1);
    witness.set(Fault::Holds(4));
    let outcome = ask_latest(&client);
    assert!(matches!(&outcome, WitnessOutcome::Contradicted(why) if why.contains("forked")));
    assert_eq!(witness.requests().len(), 2);
    assert!(client.status().figures().contradiction.is_some());
    assert!(client.status().judge(fixture.clock.now()).is_err());
}

#[test]
fn a_witness_of_another_tree_of_this_size_shows_a_fork() {
    let fixture = log(4);
    let witness = FakeWitness::start(1);
    let client = open(&fixture, &[&witness], 1);
    witness.remember(Some((4, [7; 32])));
    let outcome = ask_latest(&client);
    assert!(matches!(&outcome, WitnessOutcome::Contradicted(why) if why.contains("forked")));
    // If the witness has another tree of a smaller size, only the proof fails.
    witness.remember(Some((3, [7; 32])));
    assert!(matches!(ask_latest(&client), WitnessOutcome::Refused(why) if why.contains("422")));
}

#[test]
fn a_witness_that_holds_more_shows_that_the_log_was_rolled_back() {
    let fixture = log(4);
    let witness = FakeWitness::start(1);
    let client = open(&fixture, &[&witness], 1);
    let old = client.latest().unwrap();
    witness.remember(Some((5, [7; 32])));
    let outcome = ask_latest(&client);
    assert!(matches!(&outcome, WitnessOutcome::Contradicted(why)
        if why.contains("rolled back") && why.contains("5 entries") && why.contains("over 4")));
    assert_eq!(witness.requests().len(), 1, "there is nothing to try again");
    // If the log has grown in the meantime, it was not rolled back.
    fixture.fill(1, Settings::default());
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
    fixture.fill(4, Settings::default());
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
    fixture.fill(3, Settings::default());
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
    assert!(matches!(ask_latest(&client), WitnessOutcome::Contradicted(_)));
}

#[test]
fn kept_checkpoints_belong_to_one_process_and_are_not_guessed() {
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
        mcpid::audit::note::Kind::Log,
        fixture.log_key.public().clone(),
    );
    let text = policy(&other.unwrap(), &[&witness], 1);
    assert!(matches!(try_open(&fixture, &text), Err(WitnessError::Policy(_))));
}
