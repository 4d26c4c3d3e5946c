//! Attacks on the touch of a security key. Each front of a server has to give each of them the same
//! answer: the command line, the gateway, the authorizer and the tower layer.

use std::sync::Arc;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use mcpid::clock::Timestamp;
use mcpid::key::{SecretKey, Sign as _, format};
use mcpid::message::digest::content_digest;
use mcpid::message::target::Origins;
use mcpid::message::{Head, RequestTarget};
use mcpid::profile::Profile;
use mcpid::sign::{Nonce, Signed, Signer};
use rand::rngs::SysRng;
use serde_json::{Value, json};

use crate::software_key::SoftwareKey;

/// A moment that is over.
const PAST: &str = "2026-01-01T00:00:00Z";

/// What a server that demands a touch does with a request.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Judged {
    /// The server refuses the request, by this code for the operator and this one for the client.
    Refused(&'static str, &'static str),
    /// The server accepts the request, and names this signer.
    Accepted(&'static str),
}

const UNTOUCHED: Judged = Judged::Refused("touch_required", "touch_required");

/// A signed request, and the keys that its server trusts.
pub(crate) struct Attack {
    /// The entries of the trust file: alice, bob, the security key of each.
    pub(crate) trust: Vec<Value>,
    members: Vec<Members>,
    pub(crate) judged: Judged,
}

/// A signature: its members of `Signature-Input` and `Signature`.
type Members = [String; 2];

impl Attack {
    /// Returns the fields of the signatures, and the digest that they cover.
    pub(crate) fn fields(&self, body: &[u8]) -> [(&'static str, String); 3] {
        let all = |at: usize| {
            let members: Vec<&str> = self.members.iter().map(|one| one[at].as_str()).collect();
            members.join(", ")
        };
        let digest = content_digest(body);
        [("content-digest", digest), ("signature-input", all(0)), ("signature", all(1))]
    }

    fn by(members: Vec<Members>, judged: Judged) -> Self {
        Attack { trust: trust(), members, judged }
    }

    /// Changes the trust entry at `at`.
    fn trusting(mut self, at: usize, change: impl FnOnce(&mut Value)) -> Self {
        change(&mut self.trust[at]["mcpid"]);
        self
    }

    /// Turns the order of the signatures round.
    fn reversed(mut self) -> Self {
        self.members.reverse();
        self
    }
}

fn secret(name: &str) -> SecretKey {
    let mut seed = *b"a seed of an attack on a touch: ";
    seed[..name.len()].copy_from_slice(name.as_bytes());
    SecretKey::from_seed(&seed)
}

/// Returns the security key with this name: `alice-sk` is that of alice.
fn security_key(name: &str) -> SoftwareKey {
    SoftwareKey::new(secret(name))
}

fn trust() -> Vec<Value> {
    let plain = |name: &str| {
        let mut jwk: Value =
            serde_json::from_str(&format::jwk(secret(name).public(), None)).unwrap();
        jwk["mcpid"] = json!({"name": name});
        jwk
    };
    let touching =
        |name: &str, signer: &str| security_key(name).entry(name, &json!({"for": [signer]}));
    vec![plain("alice"), plain("bob"), touching("alice-sk", "alice"), touching("bob-sk", "bob")]
}

/// A request that is not signed yet.
pub(crate) struct Draft {
    pub(crate) head: Head<'static>,
    pub(crate) body: Vec<u8>,
    pub(crate) now: Timestamp,
}

impl Draft {
    /// Signs by the key `name` under `label`, with a fresh nonce.
    fn signed(&self, name: &str, label: &str) -> Signed {
        let signer = Signer::new(Arc::new(secret(name)), &Profile::mcp()).unwrap();
        let (any, nonce) = (Origins::unknown(), Nonce::generate(&mut SysRng).unwrap());
        signer.with_label(label).sign(&self.head, &any, &self.body, self.now, &nonce).unwrap()
    }

    /// Returns the signature `first` and the touch of `toucher` that joins it.
    fn touch(&self, first: &Signed, toucher: &SoftwareKey) -> Vec<Members> {
        members(&self.touch_of(first, toucher))
    }

    fn touch_of(&self, first: &Signed, toucher: &SoftwareKey) -> Signed {
        let (label, _) = first.signature.split_once('=').unwrap();
        let signer = Signer::new(Arc::new(secret("alice")), &Profile::mcp()).unwrap();
        let signer = signer.with_label(label);
        signer.sign_touch(toucher, &self.head, &Origins::unknown(), first).unwrap()
    }

    /// Returns a signature of the key `name` with the touch of `toucher`.
    fn touched(&self, name: &str, toucher: &SoftwareKey) -> Vec<Members> {
        self.touch(&self.signed(name, "mcp"), toucher)
    }

    /// Returns a signature of alice's key, with the touch of the same request after a change.
    fn with_touch_of(&self, change: impl FnOnce(&mut Draft)) -> Vec<Members> {
        let mut donor = Draft { head: self.head.clone(), body: self.body.clone(), now: self.now };
        change(&mut donor);
        let touch = donor.touched("alice", &security_key("alice-sk")).remove(1);
        vec![members(&self.signed("alice", "mcp")).remove(0), touch]
    }

    /// Returns what a security key alone signs as an ordinary key does, and its base.
    fn alone(&self) -> (Members, String) {
        let signed = self.signed("alice-sk", "mcp");
        (members(&signed).remove(0), signed.base)
    }
}

fn members(signed: &Signed) -> Vec<Members> {
    let split = |text: &str| text.split(", ").map(str::to_owned).collect::<Vec<_>>();
    let both = split(&signed.signature_input).into_iter().zip(split(&signed.signature));
    both.map(|(input, signature)| [input, signature]).collect()
}

/// Returns the same signature with other bytes.
fn with_bytes([input, signature]: &Members, change: impl FnOnce(&mut Vec<u8>)) -> Members {
    let (label, value) = signature.split_once('=').unwrap();
    let mut bytes = STANDARD.decode(value.trim_matches(':')).unwrap();
    change(&mut bytes);
    [input.clone(), format!("{label}=:{}:", STANDARD.encode(bytes))]
}

/// Returns the same signature under another label.
fn relabelled(one: &Members, old: &str, new: &str) -> Members {
    one.clone().map(|member| member.replacen(&format!("{old}="), &format!("{new}="), 1))
}

fn alices() -> SoftwareKey {
    security_key("alice-sk")
}

fn bobs() -> SoftwareKey {
    security_key("bob-sk")
}

/// An attack's name, and the request of it.
type NamedAttack = (&'static str, fn(&Draft) -> Attack);

/// All attacks. The first four are no attacks: a server that refused everything would pass the rest.
pub(crate) const ATTACKS: &[NamedAttack] = &[
    ("a good touch", |it| Attack::by(it.touched("alice", &alices()), Judged::Accepted("alice"))),
    ("a good touch first", |it| {
        Attack::by(it.touched("alice", &alices()), Judged::Accepted("alice")).reversed()
    }),
    ("a good touch beside that of another person", |it| {
        let first = it.signed("alice", "mcp");
        let mut both = it.touch(&first, &bobs());
        both[1] = relabelled(&both[1], "touch", "other");
        both.extend(it.touch(&first, &alices()).into_iter().skip(1));
        Attack::by(both, Judged::Accepted("alice"))
    }),
    ("a third signature first, and the touched one is good", |it| {
        let mut all = members(&it.signed("bob", "bob"));
        all.extend(it.touched("alice", &alices()));
        Attack::by(all, Judged::Accepted("alice"))
    }),
    // The touch must not vouch for another signer.
    ("a stolen key with the touch of another person", |it| {
        Attack::by(it.touched("alice", &bobs()), UNTOUCHED)
    }),
    ("the same with the touch first", |it| {
        Attack::by(it.touched("alice", &bobs()), UNTOUCHED).reversed()
    }),
    ("two touches, of another person and of a key that is not trusted", |it| {
        let first = it.signed("alice", "mcp");
        let mut both = it.touch(&first, &bobs());
        both[1] = relabelled(&both[1], "touch", "other");
        both.extend(it.touch(&first, &security_key("eve-sk")).into_iter().skip(1));
        Attack::by(both, UNTOUCHED)
    }),
    ("a touch that joins another signature than the one that names the request", |it| {
        // Bob may not do this, so the request is alice's; bob touched for bob's signature.
        let mut all = members(&it.signed("alice", "mcp"));
        all.extend(it.touch(&it.signed("bob", "bob"), &bobs()));
        Attack::by(all, UNTOUCHED).trusting(1, |bob| bob["allow"] = json!(["tools/list"]))
    }),
    ("a third signature first, and the touched one is limited", |it| {
        let mut all = members(&it.signed("bob", "bob"));
        all.extend(it.touched("alice", &alices()));
        Attack::by(all, UNTOUCHED).trusting(0, |alice| alice["allow"] = json!(["tools/list"]))
    }),
    // The touch must not widen rights.
    ("a limited signer", |it| {
        let judged = Judged::Refused("not_allowed", "not_allowed");
        Attack::by(it.touched("alice", &alices()), judged)
            .trusting(0, |alice| alice["allow"] = json!(["tools/list"]))
    }),
    ("a limited signer behind the touch", |it| {
        let judged = Judged::Refused("not_allowed", "not_allowed");
        Attack::by(it.touched("alice", &alices()), judged)
            .trusting(0, |alice| alice["allow"] = json!(["tools/list"]))
            .reversed()
    }),
    ("a revoked signer", |it| {
        let judged = Judged::Refused("key_revoked", "key_revoked");
        Attack::by(it.touched("alice", &alices()), judged)
            .trusting(0, |alice| alice["revoked_at"] = json!(PAST))
    }),
    ("a revoked signer behind the touch of a key that signs alone", |it| {
        let judged = Judged::Refused("key_revoked", "key_revoked");
        Attack::by(it.touched("alice", &alices()), judged)
            .trusting(0, |alice| alice["revoked_at"] = json!(PAST))
            .trusting(2, |key| key["security_key"]["alone"] = json!(true))
            .reversed()
    }),
    ("a removed signer", |it| {
        let judged = Judged::Refused("key_unknown", "key_unknown");
        let mut attack = Attack::by(it.touched("alice", &alices()), judged);
        attack.trust.remove(0);
        attack
    }),
    // What the touch says.
    ("no presence flag", |it| {
        let key = SoftwareKey { flags: 0x00, ..alices() };
        Attack::by(it.touched("alice", &key), UNTOUCHED)
    }),
    ("verified without presence", |it| {
        let key = SoftwareKey { flags: 0x04, ..alices() };
        Attack::by(it.touched("alice", &key), UNTOUCHED)
    }),
    ("attestation data", |it| {
        let key = SoftwareKey { flags: 0x41, ..alices() };
        Attack::by(it.touched("alice", &key), UNTOUCHED)
    }),
    ("extension data", |it| {
        let key = SoftwareKey { flags: 0x81, ..alices() };
        Attack::by(it.touched("alice", &key), UNTOUCHED)
    }),
    ("changed flags", |it| {
        let mut both = it.touched("alice", &alices());
        both[1] = with_bytes(&both[1], |bytes| bytes[64] ^= 0x04);
        Attack::by(both, UNTOUCHED)
    }),
    ("a changed counter", |it| {
        let mut both = it.touched("alice", &alices());
        both[1] = with_bytes(&both[1], |bytes| bytes[68] ^= 1);
        Attack::by(both, UNTOUCHED)
    }),
    ("another application", |it| {
        let key = SoftwareKey { application: "ssh:other", ..alices() };
        Attack::by(it.touched("alice", &key), UNTOUCHED)
    }),
    // What the touch is for.
    ("the touch of another request, with another nonce", |it| {
        Attack::by(it.with_touch_of(|_| {}), UNTOUCHED)
    }),
    ("the touch of another target", |it| {
        let other = |donor: &mut Draft| {
            let longer = |text: &str| format!("{text}x").into();
            let target = match donor.head.target() {
                RequestTarget::Origin(path) => RequestTarget::Origin(longer(path)),
                RequestTarget::Uri(uri) => RequestTarget::Uri(longer(uri)),
                other => panic!("{other:?}"),
            };
            let mut head = Head::new("POST", target).unwrap();
            for field in donor.head.fields() {
                head.push(field.name().to_owned(), field.value().to_vec()).unwrap();
            }
            donor.head = head;
        };
        Attack::by(it.with_touch_of(other), UNTOUCHED)
    }),
    ("the touch of another body", |it| {
        Attack::by(it.with_touch_of(|donor| donor.body.push(b' ')), UNTOUCHED)
    }),
    ("the touch of a request one second later", |it| {
        Attack::by(it.with_touch_of(|donor| donor.now = donor.now.plus(1)), UNTOUCHED)
    }),
    ("the touch stripped", |it| {
        let mut both = it.touched("alice", &alices());
        both.truncate(1);
        Attack::by(both, UNTOUCHED)
    }),
    ("the signature stripped", |it| {
        let judged = Judged::Refused("signature_invalid", "key_unknown");
        Attack::by(it.touched("alice", &alices()).split_off(1), judged)
    }),
    ("the signature relabelled", |it| {
        let mut both = it.touched("alice", &alices());
        both[0] = relabelled(&both[0], "mcp", "sig1");
        Attack::by(both, UNTOUCHED)
    }),
    // Kinds of keys.
    ("a security key as an ordinary key", |it| {
        let (one, base) = it.alone();
        let one = with_bytes(&one, |bytes| *bytes = alices().sign(base.as_bytes()).to_vec());
        Attack::by(vec![one], Judged::Refused("not_allowed", "not_allowed"))
    }),
    ("64 bytes of a security key", |it| {
        let judged = Judged::Refused("signature_invalid", "key_unknown");
        Attack::by(vec![it.alone().0], judged)
            .trusting(2, |key| key["security_key"]["alone"] = json!(true))
    }),
    ("69 bytes of an ordinary key", |it| {
        let judged = Judged::Refused("signature_invalid", "key_unknown");
        let mut both = it.touched("alice", &alices());
        both[0] = with_bytes(&both[0], |bytes| bytes.extend([1, 0, 0, 0, 7]));
        Attack::by(both, judged)
    }),
    ("an ordinary key that is declared a security key", |it| {
        let judged = Judged::Refused("signature_invalid", "key_unknown");
        Attack::by(it.touched("alice", &alices()), judged).trusting(0, |alice| {
            alice["security_key"] = json!({"application": "ssh:mcpid", "alone": true});
        })
    }),
    ("a touch by an ordinary key", |it| {
        Attack::by(it.touched("alice", &security_key("bob")), UNTOUCHED)
    }),
    ("a plain signature of the security key's own key, over the base of the touch", |it| {
        let touch = it.touch_of(&it.signed("alice", "mcp"), &alices());
        let bare = secret("alice-sk").sign(touch.base.as_bytes()).unwrap();
        let mut both = members(&touch);
        both[1] = with_bytes(&both[1], |bytes| *bytes = bare.to_vec());
        Attack::by(both, UNTOUCHED)
    }),
    // What the security key may do.
    ("a revoked security key", |it| {
        Attack::by(it.touched("alice", &alices()), UNTOUCHED)
            .trusting(2, |key| key["revoked_at"] = json!(PAST))
    }),
    ("a security key that is not allowed this tool", |it| {
        Attack::by(it.touched("alice", &alices()), UNTOUCHED)
            .trusting(2, |key| key["allow"] = json!(["tools/list"]))
    }),
    ("a security key for no signer", |it| {
        Attack::by(it.touched("alice", &alices()), UNTOUCHED)
            .trusting(2, |key| key["security_key"]["for"] = json!([]))
    }),
    ("a security key that has to verify the person", |it| {
        Attack::by(it.touched("alice", &alices()), UNTOUCHED)
            .trusting(2, |key| key["security_key"]["require"] = json!("verified"))
    }),
];
