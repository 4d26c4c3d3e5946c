//! A gateway inside another program: it verifies requests to an MCP server on this machine.
//!
//! ```text
//! cargo run --features gateway --example gateway -- http://127.0.0.1:8000/mcp trust.json
//! ```
//!
//! `trust.json` holds the keys of the permitted callers, as `mcpid trust add` writes it. Clients
//! reach the gateway at `http://127.0.0.1:8080/mcp`, and operators its readiness at
//! `http://127.0.0.1:9090/readyz`. The program ends after Ctrl-C, when the requests in flight are
//! answered.
#![allow(clippy::print_stdout, reason = "an example talks")]

use std::sync::Arc;

use mcpid::clock::{Clock as _, SystemClock};
use mcpid::gateway::log::LogLine;
use mcpid::gateway::{Admin, Gateway, GatewayConfig, GatewayServer, Metrics, Readiness, Upstream};
use mcpid::key::trust::{Registry, TrustFile};
use mcpid::message::target::{Origin, Origins};
use mcpid::net::{Listener, ServerLimits, Workers, tls};
use mcpid::nonce::memory::Memory;
use mcpid::nonce::{NonceStore as _, Retention};
use mcpid::profile::Profile;
use mcpid::tower::BoxError;
use mcpid::verify::{ReplayCheck, Verifier};
use rand::rngs::SysRng;

#[tokio::main]
async fn main() -> Result<(), BoxError> {
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    let [upstream, trust] = &arguments[..] else { return Err("which upstream and trust?".into()) };
    let stop = async { drop(tokio::signal::ctrl_c().await) };
    run(upstream, &std::fs::read(trust)?, ["127.0.0.1:8080", "127.0.0.1:9090"], stop).await
}

/// Runs a gateway for the server `upstream`, with the keys of the file `trust`, until `stop`
/// completes.
pub async fn run(
    upstream: &str,
    trust: &[u8],
    [public, operators]: [&str; 2],
    stop: impl Future<Output = ()>,
) -> Result<(), BoxError> {
    let listener = Listener::bind(&public.parse()?).await?;
    let origin = Origin::parse(&format!("http://{}", listener.address()))?;
    let registry = Arc::new(Registry::merge([TrustFile::parse(trust)?]));
    let (clock, metrics) = (Arc::new(SystemClock), Arc::new(Metrics::new()));
    // For 35 s after the start, requests are refused, because an earlier run may have accepted
    // their nonces. A store on the disk, such as `nonce::sqlite::Sqlite`, still has these nonces.
    let store = Arc::new(Memory::new(clock.now(), Retention::new(30, 5), &mut SysRng)?);
    let verifier = Verifier::new(
        Profile::mcp(),
        registry,
        Origins::new([origin]),
        clock.clone(),
        ReplayCheck::Claim(store.clone()),
    );
    store.register(clock.now(), verifier.retention()).await?;
    let log = Arc::new(|line: &LogLine| println!("{}", line.to_line()));
    let config = GatewayConfig::new(Upstream::parse(upstream)?);
    let plain = tls::client_without_roots()?;
    let gateway = Gateway::new(config, verifier, plain, clock.clone(), metrics.clone(), log)?;

    let admin = Admin::new(Arc::new(Readiness::new(clock, store)), metrics);
    let server = GatewayServer::new(gateway, listener, ServerLimits::default())
        .with_admin(Listener::bind(&operators.parse()?).await?, admin);
    println!("listening at {}", server.address());
    server.run(Workers::of_this_machine()?, stop).await;
    Ok(())
}
