//! Tests that every changed bit in the signature fields changes what a verifier checks.

use std::collections::HashSet;

use mcpid::base::header;
use mcpid::base::signature_base;
use mcpid::message::target::Origins;
use mcpid::message::{Head, RequestTarget};
use proptest::prelude::*;

const FULL_INPUT: &str = "mcp=(\"@method\" \"@target-uri\" \"content-digest\" \"content-type\" \"priority\";key=\"u\" \"mcp-name\");created=1795392000;expires=1795392030;nonce=\"AAECAwQFBgcICQoLDA0ODw\";keyid=\"poqkLGiymh_W0uP6PZFw-dvez3QJT5SolqXBCW38r0U\";tag=\"a\\\"b\";x=1.5;y=:AQ==:;z";
const FULL_SIGNATURE: &str = "mcp=:P796UIkrO/rXTAAmebJUMvFC+NL2xBEGa4OxvwyKO/hAkc8T7izOsPg+p+bkrHaKZTnm5ADojk0euaXgxp+vDQ==:";

/// The fields of a request that its signature covers.
const FULL_FIELDS: &[(&str, &str)] = &[
    ("content-digest", "sha-256=:cjKL/VKC9HkV4LzIEQhMBsusHO++jP7GcW/Wj79H6VE=:"),
    ("content-type", "application/json"),
    ("priority", "u=(1 2)"),
    ("mcp-name", "get_weather"),
    ("signature-input", FULL_INPUT),
    ("signature", FULL_SIGNATURE),
];

/// Returns the signature base and the signature that a verifier would check.
fn judged(fields: &[(&str, Vec<u8>)]) -> Option<(String, Vec<u8>)> {
    let mut head = Head::new("POST", RequestTarget::Origin("/mcp?a=1".into())).ok()?;
    head.push("host", &b"mcp.example.com"[..]).ok()?;
    for (name, value) in fields {
        head.push(*name, value.as_slice()).ok()?;
    }
    let mut candidates = header::read(&head).ok()?;
    let candidate = candidates.pop()?;
    let origins = Origins::unknown();
    let target = origins.resolve(&head).ok()?;
    let base = signature_base(&candidate.params.ok()?, &head, &target).ok()?;
    Some((base, candidate.signature.ok()?))
}

/// Every bit of every covered field and of both signature fields is changed, one at a time.
#[test]
fn every_changed_bit_changes_the_parsed_signature() {
    let fields: Vec<_> =
        FULL_FIELDS.iter().map(|(name, value)| (*name, value.as_bytes().to_vec())).collect();
    let original = judged(&fields).unwrap();
    assert!(original.0.contains("\"priority\";key=\"u\": (1 2)\n"));
    let (mut bits, mut seen) = (0, HashSet::new());
    for at in 0..fields.len() {
        for byte in 0..fields[at].1.len() {
            for bit in 0..8 {
                let mut changed = fields.clone();
                changed[at].1[byte] ^= 1 << bit;
                bits += 1;
                if let Some(judged) = judged(&changed) {
                    let name = fields[at].0;
                    assert_ne!(judged, original, "{name}, byte {byte}, bit {bit}");
                    seen.insert(judged);
                }
            }
        }
    }
    let bytes: usize = FULL_FIELDS.iter().map(|(_, value)| value.len()).sum();
    assert_eq!(bits, bytes * 8);
    assert!(seen.len() > 1000, "most of them are still readable: {}", seen.len());
}

proptest! {
    #[test]
    fn no_header_bytes_make_the_header_reader_panic(
        input in prop::collection::vec(any::<u8>(), 0..80),
        signature in prop::collection::vec(any::<u8>(), 0..40),
    ) {
        let _ = judged(&[("signature-input", input), ("signature", signature)]);
    }

    /// The generated texts are made of parts of real fields, so that a signature base can be built
    /// for many of them.
    #[test]
    fn no_header_text_makes_the_header_reader_panic(
        input in r#"a=\(("(@method|@query|@query-param|content-type|priority|@x)"(;(sf|bs|key="u"|name="a"|req|[a-z]))? ?){0,4}\)(;(created|tag|x)(=1|="b")?){0,3}"#,
    ) {
        let fields = [
            ("content-type", b"a/b".to_vec()),
            ("priority", b"u=1".to_vec()),
            ("signature-input", input.clone().into_bytes()),
            ("signature", b"a=:AQ==:".to_vec()),
        ];
        if let Some((base, _)) = judged(&fields) {
            prop_assert!(base.is_ascii() && !base.ends_with('\n'));
            let last = base.lines().last().unwrap();
            prop_assert!(last.starts_with("\"@signature-params\": ("));
            prop_assert_eq!(base.lines().count(), base.matches('\n').count() + 1);
        }
    }
}
