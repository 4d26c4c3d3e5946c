//! Tests of signed notes and checkpoints: the example of the C2SP specification, and notes that
//! differ from it in one point.

use mcpid::audit::checkpoint::{Checkpoint, CheckpointError};
use mcpid::audit::note::{Note, NoteKey, NoteKeyError, NoteKeyKind};
use mcpid::clock::Timestamp;
use mcpid::key::{SecretKey, Sign as _};

/// The key and the note in the documentation of golang.org/x/mod/sumdb/note, which defines the
/// format of a signed note.
const PETER: &str = "PeterNeumann+c74f20a3+ARpc2QcUPDhMQegwxbzhKqiBfsVkmqq/LDE4izWy10TW";
const PETER_NOTE: &str = "If you think cryptography is the answer to your problem,\n\
    then you don't know what your problem is.\n\
    \n\
    \u{2014} PeterNeumann x08go/ZJkuBS9UG/SffcvIAQxVBtiFupLLr8pAcElZInNIuGUgYN1FFYC2pZSNXgKvqfqdngotpRZb6KE6RyyBwJnAM=\n";

fn key(number: u8) -> SecretKey {
    let mut seed = *b"0 seed that no specification has";
    seed[0] = number;
    SecretKey::from_seed(&seed)
}

fn log_key(number: u8) -> NoteKey {
    NoteKey::new("example.com/log", NoteKeyKind::Log, key(number).public().clone()).unwrap()
}

fn checkpoint() -> Checkpoint {
    Checkpoint { origin: "example.com/log".to_owned(), size: 1234, root: [7; 32] }
}

#[test]
fn a_signed_note_of_another_program_is_verified_and_written_unchanged() {
    let peter: NoteKey = PETER.parse().unwrap();
    assert_eq!(peter.to_string(), PETER);
    let note = Note::parse(PETER_NOTE.as_bytes()).unwrap();
    assert_eq!(note.signed_by(&peter), Some(Timestamp::from_unix(0)));
    assert_eq!(note.to_string(), PETER_NOTE);
    let other = NoteKey::new("PeterNeumann", NoteKeyKind::Log, key(1).public().clone()).unwrap();
    assert_eq!(note.signed_by(&other), None);
}

#[test]
fn a_changed_byte_of_a_note_is_never_the_same_note() {
    let peter: NoteKey = PETER.parse().unwrap();
    for at in 0..PETER_NOTE.len() {
        for bit in [0x01, 0x20, 0x80] {
            let mut bytes = PETER_NOTE.as_bytes().to_vec();
            bytes[at] ^= bit;
            if let Ok(note) = Note::parse(&bytes) {
                assert_eq!(note.signed_by(&peter), None, "byte {at} bit {bit:#x}");
            }
        }
    }
}

#[test]
fn a_malformed_note_key_is_refused() {
    let good = log_key(1).to_string();
    assert_eq!(good.parse(), Ok(log_key(1)));
    let wrong = |text: &str| text.parse::<NoteKey>().unwrap_err();
    assert_eq!(wrong(""), NoteKeyError::Form);
    assert_eq!(wrong("example.com/log"), NoteKeyError::Form);
    assert_eq!(wrong("example.com/log+12345678"), NoteKeyError::Form);
    assert_eq!(wrong(&good.replacen("example", "exemple", 1)), NoteKeyError::Hash);
    assert_eq!(wrong(&good.replacen("example.com", "example com", 1)), NoteKeyError::Name);
    assert_eq!(wrong(&format!("+{}", good.split_once('+').unwrap().1)), NoteKeyError::Name);
    assert_eq!(wrong(&good.replace("+A", "+B")), NoteKeyError::Key);
    assert_eq!(wrong(&good[..good.len() - 4]), NoteKeyError::Key);
    assert_eq!(wrong(&format!("{good}=")), NoteKeyError::Key);
    // The public key is the identity point of the curve, under which a valid signature can be
    // made without a private key.
    let weak = "x+00000000+AQEAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA";
    assert_eq!(wrong(weak), NoteKeyError::Weak);
}

#[test]
fn a_checkpoint_is_read_as_it_was_signed() {
    let note = checkpoint().sign(&log_key(1), &key(1)).unwrap();
    let (read, _) = Checkpoint::signed(note.as_bytes(), &log_key(1)).unwrap();
    assert_eq!(read, checkpoint());
    let refused = |note: &str, key: u8| Checkpoint::signed(note.as_bytes(), &log_key(key)).is_err();
    assert!(refused(&note, 2));
    assert!(refused(&note.replace("1234", "1235"), 1));
    assert!(refused(&note.replace("1234", "01234"), 1));
    assert!(refused(&note.replace("example", "another"), 1));
    assert!(refused(&note[..note.len() - 1], 1));
    assert!(refused(note.split("\n\n").next().unwrap(), 1));
    let another = Checkpoint { origin: "example.com/other".to_owned(), ..checkpoint() };
    // One key may sign for two logs. A signature for the other log must not confirm a checkpoint of
    // this log.
    let signed = another.sign(&log_key(1), &key(1)).unwrap();
    let error = Checkpoint::signed(signed.as_bytes(), &log_key(1)).unwrap_err();
    assert!(matches!(error, CheckpointError::Origin { .. }), "{error}");
}

#[test]
fn a_witness_signs_the_text_and_its_time() {
    let witness = NoteKey::new("witness", NoteKeyKind::Witness, key(3).public().clone()).unwrap();
    assert_eq!(witness.to_string().parse(), Ok(witness.clone()));
    let note = checkpoint().sign(&log_key(1), &key(1)).unwrap();
    let note = Note::parse(note.as_bytes()).unwrap();
    let time = Timestamp::from_unix(1_795_392_000);
    let both = note.cosign(&witness, &key(3), time).unwrap();
    let both = Note::parse(both.as_bytes()).unwrap();
    assert_eq!(both.signed_by(&witness), Some(time));
    assert_eq!(both.signed_by(&log_key(1)), Some(Timestamp::from_unix(0)));
    // The same public key is used as a log's key and as a witness's key. These are two different
    // note keys.
    let as_log = NoteKey::new("witness", NoteKeyKind::Log, key(3).public().clone()).unwrap();
    assert_eq!(both.signed_by(&as_log), None);
    assert_eq!(note.signed_by(&witness), None);
}
