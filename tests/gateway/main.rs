//! Tests of the gateway. Most tests change one thing in a request that is accepted, so that it is
//! refused, and check what reached the upstream.
#![allow(clippy::unwrap_used)]

mod asked_passphrase;
mod attacked_touches;
mod audited;
mod authz;
mod bodies;
mod bypass;
mod clocks;
mod embedded;
#[path = "../machine/executable.rs"]
mod executable;
#[allow(dead_code)]
#[path = "../witness/fake.rs"]
mod fake;
mod framing;
mod front;
mod http2;
mod kept_host;
mod known_tools;
mod locations;
mod metrics_format;
mod nginx;
mod old_http;
mod operation;
mod pages;
mod paths;
mod policy;
#[path = "../machine/ports.rs"]
mod ports;
mod process;
mod program;
mod proxies;
mod request_faults;
mod servers;
#[cfg(target_os = "linux")]
mod service;
mod sessions;
mod signers;
#[path = "../engine/touch/software_key.rs"]
mod software_key;
mod stalls;
mod stored_tools;
mod streams;
mod tls;
mod tools_sessions;
#[path = "../machine/touch_attacks.rs"]
mod touch_attacks;
mod touches;
mod traces;
mod upstream_fields;
#[cfg(feature = "cli")]
mod witnessed;
mod workers;
