//! Measures the cost of the layer for a server: an echo service behind the layer is compared with
//! the bare service. The difference is given as a ratio to a bare `verify_strict`, in many short
//! rounds that alternate.
//!
//! Beside the verification itself, the layer copies the head, reads the body, boxes a future, and
//! wraps the response body. Signing is done beforehand and not counted.
#![allow(clippy::print_stdout, clippy::unwrap_used, reason = "a bench talks, and may fail")]

use std::convert::Infallible;
use std::hint::black_box;
use std::pin::pin;
use std::sync::Arc;
use std::task::{Context, Poll, Waker};
use std::time::{Duration, Instant};

use bytes::Bytes;
use ed25519_dalek::{Signature, VerifyingKey};
use http::{Request, Response};
use http_body::Body;
use http_body_util::{BodyExt as _, Full};
use mcpid::clock::{Clock as _, SystemClock};
use mcpid::key::trust::{Registry, TrustFile};
use mcpid::key::{PublicKey, SecretKey, Sign as _, format};
use mcpid::message::target::{Origin, Origins};
use mcpid::message::{Head, RequestTarget};
use mcpid::nonce::Retention;
use mcpid::nonce::memory::Memory;
use mcpid::profile::Profile;
use mcpid::sign::{Nonce, Signer};
use mcpid::tower::{Modes, VerifyLayer};
use mcpid::verify::{ReplayCheck, Verifier};
use rand::rngs::SysRng;
use tower::{Layer as _, Service};

const CALL: &[u8; 1024] = include_bytes!("tools_call.json");

/// Number of requests in one round. It is so large that the time of reading the clock does not
/// matter.
const REQUESTS: usize = 8;
const ROUNDS: usize = 2_000;

fn main() {
    // `cargo test --benches` also runs this program, only to check that it works, so few rounds are
    // enough.
    let rounds = if std::env::args().any(|a| a == "--bench") { ROUNDS } else { 2 };
    println!(
        "medians of {rounds} alternating rounds; 1.00 is ed25519-dalek's verify_strict of the base"
    );
    let setup = BenchSetup::new();
    let mut bare_service = tower::service_fn(echo::<Full<Bytes>>);
    let mut strict = setup.layer().layer(tower::service_fn(echo::<_>));
    let mut open =
        setup.layer().with_modes(Modes::permissive()).layer(tower::service_fn(echo::<_>));
    let mut table = [const { Vec::new() }; 4];
    for round in 0..rounds {
        let signed: Vec<Signed> = (0..REQUESTS).map(|_| setup.signed()).collect();
        let bare = time(|| {
            for one in &signed {
                let base = black_box(one.base.as_bytes());
                setup.bare.verify_strict(base, &Signature::from_bytes(&one.signature)).unwrap();
            }
        });
        let copies =
            || signed.iter().map(|one| one.request.clone()).collect::<Vec<Request<Full<Bytes>>>>();
        let plain = || {
            let mut requests = copies();
            for request in &mut requests {
                request.headers_mut().remove("signature");
            }
            requests
        };
        let (ours, served, refused, passed) = (copies(), copies(), plain(), plain());
        // The order of the candidates changes from round to round.
        let mut echoed = Duration::ZERO;
        if round % 2 == 0 {
            echoed = run(&mut bare_service, ours.clone(), 200);
        }
        let verified = run(&mut strict, served, 200);
        if round % 2 == 1 {
            echoed = run(&mut bare_service, ours, 200);
        }
        let refused = run(&mut strict, refused, 403);
        let passed = run(&mut open, passed, 200);
        let ratio =
            |whole: Duration| whole.saturating_sub(echoed).as_secs_f64() / bare.as_secs_f64();
        table[0].push(echoed.as_secs_f64() / bare.as_secs_f64());
        table[1].push(ratio(verified));
        table[2].push(ratio(refused));
        table[3].push(ratio(passed));
    }
    let [echo, verified, refused, passed] = table.map(median);
    println!("the echo service itself: {echo:.3}");
    println!("strict, a signed tools/call of 1 KiB, all twelve steps: + {verified:.3}");
    println!("strict, the same unsigned, refused: + {refused:.3}");
    println!("permissive, the same unsigned, labelled and passed: + {passed:.3}");
}

/// Reads the body and sends it back.
async fn echo<B>(request: Request<B>) -> Result<Response<Full<Bytes>>, Infallible>
where
    B: Body<Data = Bytes>,
{
    let Ok(body) = request.into_body().collect().await else { panic!("the body broke") };
    Ok(Response::new(Full::new(body.to_bytes())))
}

fn run<S, R>(service: &mut S, requests: Vec<Request<Full<Bytes>>>, status: u16) -> Duration
where
    S: Service<Request<Full<Bytes>>, Response = Response<R>, Error = Infallible>,
    R: Body,
{
    time(|| {
        for request in requests {
            let Ok(response) = polled(service.call(black_box(request)));
            assert_eq!(response.status(), status);
            drop(black_box(polled(response.into_body().collect()).ok()));
        }
    })
}

struct BenchSetup {
    public: PublicKey,
    bare: VerifyingKey,
    origins: Origins,
    signer: Signer,
}

struct Signed {
    request: Request<Full<Bytes>>,
    base: String,
    signature: [u8; 64],
}

impl BenchSetup {
    fn new() -> Self {
        let secret = SecretKey::generate(&mut SysRng).unwrap();
        let public = secret.public().clone();
        let origins = Origins::new([Origin::parse("https://mcp.example.com").unwrap()]);
        let signer = Signer::new(Arc::new(secret), &Profile::mcp()).unwrap();
        let bare = VerifyingKey::try_from(public.as_bytes()).unwrap();
        BenchSetup { public, bare, origins, signer }
    }

    fn layer(&self) -> VerifyLayer {
        let trust = TrustFile::parse(format::jwks(&self.public, None).as_bytes()).unwrap();
        let store = Memory::new(SystemClock.now(), Retention::new(30, 5), &mut SysRng).unwrap();
        let verifier = Verifier::new(
            Profile::mcp(),
            Arc::new(Registry::merge([trust])),
            self.origins.clone(),
            Arc::new(SystemClock),
            ReplayCheck::Claim(Arc::new(store.without_floor())),
        );
        VerifyLayer::new(verifier).unwrap()
    }

    /// Returns a request with a fresh nonce, created now.
    fn signed(&self) -> Signed {
        let fields = [
            ("host", "mcp.example.com"),
            ("user-agent", "bench/1.0"),
            ("content-length", "1024"),
            ("accept", "application/json, text/event-stream"),
            ("content-type", "application/json"),
            ("mcp-protocol-version", "2026-07-28"),
            ("mcp-method", "tools/call"),
            ("mcp-name", "create_issue"),
        ];
        let mut head = Head::new("POST", RequestTarget::Origin("/mcp".into())).unwrap();
        let mut request = Request::post("/mcp");
        for (name, value) in fields {
            head.push(name, value.as_bytes()).unwrap();
            request = request.header(name, value);
        }
        let nonce = Nonce::generate(&mut SysRng).unwrap();
        let now = SystemClock.now();
        let signed = self.signer.sign(&head, &self.origins, CALL, now, &nonce).unwrap();
        for (name, value) in signed.headers() {
            request = request.header(name, value);
            head.push(name, value.as_bytes().to_vec()).unwrap();
        }
        let signature = mcpid::base::header::read(&head).unwrap().remove(0).signature.unwrap();
        let request = request.body(Full::new(Bytes::from_static(CALL))).unwrap();
        Signed { request, base: signed.base, signature: signature.try_into().unwrap() }
    }
}

/// Returns the result of a future that is ready at once, as all futures here are with a store in
/// memory.
fn polled<T>(future: impl Future<Output = T>) -> T {
    match pin!(future).poll(&mut Context::from_waker(Waker::noop())) {
        Poll::Ready(outcome) => outcome,
        Poll::Pending => panic!("something had to wait"),
    }
}

fn time(work: impl FnOnce()) -> Duration {
    let start = Instant::now();
    work();
    start.elapsed()
}

fn median(mut ratios: Vec<f64>) -> f64 {
    ratios.sort_by(f64::total_cmp);
    ratios[ratios.len() / 2]
}
