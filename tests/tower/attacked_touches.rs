//! The attacks on a touch that every front has to refuse, against the tower layer.

use mcpid::clock::Clock as _;
use mcpid::tower::Modes;

use crate::servers::*;
use crate::touch_attacks::{ATTACKS, Draft, Judged};
use crate::touched::{self, DELETE, layer_of};

#[tokio::test]
async fn no_attack_on_a_touch_passes_the_layer() {
    let clock = clock();
    for modes in [Modes::strict(), Modes::permissive()] {
        for (what, attack) in ATTACKS {
            let head = touched::Draft::new(&clock, DELETE).head;
            let draft = Draft { head, body: DELETE.into(), now: clock.now() };
            let attack = attack(&draft);
            let layer = layer_of(&clock, attack.trust.clone()).with_modes(modes.clone());
            let mut request = plain(DELETE);
            for (name, value) in attack.fields(DELETE.as_bytes()) {
                request.headers_mut().insert(name, value.parse().unwrap());
            }
            match attack.judged {
                Judged::Accepted(name) => {
                    let seen = Seen::default();
                    assert_eq!(
                        through(&layer, &seen, request.clone()).await.status(),
                        202,
                        "{what}"
                    );
                    let status = seen.status();
                    let verified = status.verified().unwrap();
                    assert_eq!(verified.name(), Some(name), "{what}");
                    assert!(verified.touch().is_some(), "{what}");
                    // The same touch a second time.
                    let again = refused(&layer, request).await;
                    assert_eq!(again.reason(), "nonce_replayed", "{what}");
                }
                Judged::Refused(code, public) => {
                    let answer = refused(&layer, request).await;
                    assert_eq!((answer.status, answer.reason()), (403, public), "{what}");
                    assert_eq!(answer.refused.unwrap().code(), code, "{what}");
                }
            }
        }
    }
}
