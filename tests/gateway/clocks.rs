//! Tests with a gateway whose clock is set forward and back. A request that was accepted is never
//! accepted again. A request whose age the gateway cannot know is refused until its clock is right.

use std::sync::Arc;
use std::sync::atomic::{AtomicI64, Ordering};

use mcpid::clock::{Clock, SystemClock, Timestamp};
use mcpid::net::ServerLimits;

use crate::servers::{CALL, TestGateway, TestUpstream, Wire, ok};

/// A clock that shows the true time plus this many seconds.
#[derive(Default)]
pub(crate) struct Stepped(pub(crate) AtomicI64);

impl Clock for Stepped {
    fn now(&self) -> Timestamp {
        SystemClock.now().plus(self.0.load(Ordering::SeqCst))
    }
}

const HOUR: i64 = 3_600;

/// Returns a request that was signed by a client whose clock is `off` seconds ahead.
fn signed(gateway: &TestGateway, off: i64) -> Wire {
    let now = SystemClock.now().plus(off);
    gateway.plain(CALL).sign_at(now, 1, &gateway.url("/mcp"))
}

async fn start(behind: &TestUpstream) -> (Arc<Stepped>, TestGateway) {
    let clock = Arc::new(Stepped::default());
    let by: Arc<dyn Clock> = clock.clone();
    let gateway = TestGateway::by_clock(by, behind, ServerLimits::default(), |config| config).await;
    (clock, gateway)
}

#[tokio::test]
async fn a_clock_step_forward_and_back_accepts_no_request_twice() {
    let behind = TestUpstream::with(|_| ok("{}")).await;
    let (clock, gateway) = start(&behind).await;
    let answer = async |wire: &Wire| {
        let reply = gateway.send(wire).await;
        (reply.status, if reply.status == 200 { String::new() } else { reply.reason() })
    };
    let no = |status: u16, reason: &str| (status, reason.to_owned());
    let yes = (200, String::new());

    let first = signed(&gateway, 0);
    assert_eq!(answer(&first).await, yes);
    assert_eq!(answer(&first).await, no(403, "nonce_replayed"));

    // The gateway's clock is set an hour ahead. Requests of clients with a right clock now look
    // old. The requests that are accepted make the store delete the first nonce.
    clock.0.store(HOUR, Ordering::SeqCst);
    assert_eq!(answer(&first).await, no(403, "expired"));
    assert_eq!(answer(&signed(&gateway, 0)).await, no(403, "expired"));
    let ahead = signed(&gateway, HOUR);
    assert_eq!(answer(&ahead).await, yes);
    for _ in 0..64 {
        assert_eq!(answer(&signed(&gateway, HOUR)).await, yes);
    }

    // After the clock is set back, no earlier request is accepted again. The store cannot tell
    // whether a nonce is new, so it refuses new requests as unavailable.
    clock.0.store(0, Ordering::SeqCst);
    let (status, reason) = answer(&first).await;
    assert!([403, 503].contains(&status), "{status} {reason}");
    assert_eq!(answer(&ahead).await, no(403, "not_yet_valid"));
    assert_eq!(answer(&signed(&gateway, 0)).await, no(503, "unavailable"));

    // When the clock shows the later time again, the store works as before.
    clock.0.store(HOUR, Ordering::SeqCst);
    assert_eq!(answer(&ahead).await, no(403, "nonce_replayed"));
    assert_eq!(answer(&signed(&gateway, HOUR)).await, yes);
    assert_eq!(behind.got().len(), 67, "one for each that was accepted");
}

#[tokio::test]
async fn a_clock_step_back_within_the_margin_refuses_no_new_request_and_accepts_no_replay() {
    let behind = TestUpstream::with(|_| ok("{}")).await;
    let (clock, gateway) = start(&behind).await;
    let mut accepted = Vec::new();
    for off in [0, 3, 0, -3, 0, 4, -2] {
        clock.0.store(off, Ordering::SeqCst);
        let wire = signed(&gateway, 0);
        assert_eq!(gateway.send(&wire).await.status, 200, "{off} s off");
        accepted.push(wire);
        for wire in &accepted {
            let reply = gateway.send(wire).await;
            assert_eq!((reply.status, reply.reason().as_str()), (403, "nonce_replayed"));
        }
    }
    assert_eq!(behind.got().len(), accepted.len());
}
