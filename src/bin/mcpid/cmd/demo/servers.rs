//! The servers of `mcpid demo`: an MCP server, and a gateway in front of it, both on loopback.

use std::convert::Infallible;
use std::future::pending;
use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use http::{Request, Response, StatusCode, header};
use http_body_util::{BodyExt as _, Full};
use hyper::body::Incoming;
use hyper::service::service_fn;
use mcpid::clock::{Clock as _, SystemClock};
use mcpid::gateway::log::LogLine;
use mcpid::gateway::{Gateway, GatewayConfig, GatewayServer, Metrics, Upstream};
use mcpid::key::trust::Registry;
use mcpid::message::target::{Origin, Origins};
use mcpid::net::{DialRoute, Dialer, ListenAddress, Listener, Server, ServerLimits, Workers, tls};
use mcpid::nonce::memory::Memory;
use mcpid::profile::Profile;
use mcpid::tower::BoxError;
use mcpid::verify::{ReplayCheck, Verifier};
use rand::rngs::SysRng;
use serde_json::json;
use tokio::runtime::{Builder, Runtime};

/// Maximum time to establish a connection.
const CONNECT_TIMEOUT: Duration = Duration::from_secs(10);

/// An MCP server and a gateway in front of it. Both run until this value is dropped.
pub(super) struct DemoServers {
    runtime: Runtime,
    client: Dialer<Full<Bytes>>,
    url: String,
}

impl DemoServers {
    /// Starts both servers on free ports of 127.0.0.1. The gateway trusts the keys in `registry`.
    ///
    /// # Errors
    /// A port cannot be opened, or a thread cannot be started.
    pub(super) fn start(registry: Arc<Registry>) -> Result<Self, BoxError> {
        let runtime = Builder::new_multi_thread().worker_threads(1).enable_all().build()?;
        let free: ListenAddress = "127.0.0.1:0".parse()?;
        let (server, gateway) = runtime
            .block_on(async { Ok((Listener::bind(&free).await?, Listener::bind(&free).await?)) })
            .map_err(|e: std::io::Error| e)?;
        let upstream = Upstream::parse(&format!("http://{}/mcp", server.address()))?;
        let origin = format!("http://{}", gateway.address());
        let mcp_server = Server::new(server, ServerLimits::default())
            .run(vec![(runtime.handle().clone(), service_fn(answer))], pending());
        runtime.spawn(mcp_server);
        let gateway = GatewayServer::new(
            gateway_before(upstream, registry, Origin::parse(&origin)?)?,
            gateway,
            ServerLimits::default(),
        );
        runtime.spawn(gateway.run(Workers::new(1)?, pending()));
        let client = Dialer::new(tls::client_without_roots()?, DialRoute::Direct, CONNECT_TIMEOUT);
        Ok(DemoServers { runtime, client, url: format!("{origin}/mcp") })
    }

    /// Returns the URL of the gateway.
    pub(super) fn url(&self) -> &str {
        &self.url
    }

    /// Sends `request`, and returns the status and the body of the response.
    pub(super) fn send(
        &self,
        request: Request<Full<Bytes>>,
    ) -> Result<(StatusCode, String), BoxError> {
        self.runtime.block_on(async {
            let response = self.client.send(request).await?;
            let status = response.status();
            let body = response.into_body().collect().await?.to_bytes();
            Ok((status, String::from_utf8_lossy(&body).into_owned()))
        })
    }
}

fn gateway_before(
    upstream: Upstream,
    registry: Arc<Registry>,
    origin: Origin,
) -> Result<Gateway, BoxError> {
    let clock = Arc::new(SystemClock);
    let verifier = |replay| {
        let (registry, origins) = (Arc::clone(&registry), Origins::new([origin.clone()]));
        Verifier::new(Profile::mcp(), registry, origins, clock.clone(), replay)
    };
    // The key was created a moment ago, so no nonce of it was used before, and requests that were
    // signed before the store was made need not be refused.
    let retention = verifier(ReplayCheck::Unchecked).retention();
    let store = Memory::new(clock.now(), retention, &mut SysRng)?.without_floor();
    let verifier = verifier(ReplayCheck::Claim(Arc::new(store)));
    let (config, tls) = (GatewayConfig::new(upstream), tls::client_without_roots()?);
    let (metrics, log) = (Arc::new(Metrics::new()), Arc::new(|_: &LogLine| {}));
    Ok(Gateway::new(config, verifier, tls, clock, metrics, log)?)
}

/// The MCP server: answers a tool call. The gateway has verified the caller, and names the caller
/// in a header field.
async fn answer(request: Request<Incoming>) -> Result<Response<Full<Bytes>>, Infallible> {
    let name = request.headers().get("mcpid-name").and_then(|name| name.to_str().ok());
    let text = format!("done, as {} asked", name.unwrap_or("an unknown caller"));
    let result = json!({ "content": [{ "type": "text", "text": text }] });
    let body = json!({ "jsonrpc": "2.0", "id": 1, "result": result }).to_string();
    let mut response = Response::new(Full::from(body));
    let json = header::HeaderValue::from_static("application/json");
    response.headers_mut().insert(header::CONTENT_TYPE, json);
    Ok(response)
}
