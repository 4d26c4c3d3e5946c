//! The gateway, line by line of DESIGN section 8: each refusal changes one thing in a request that
//! is accepted, and what reached the upstream is the truth.
#![allow(clippy::unwrap_used)]

mod audited;
mod bodies;
mod bypass;
mod clocks;
mod embedded;
mod framing;
mod locations;
mod nginx;
mod old_http;
mod operation;
mod pages;
mod paths;
mod policy;
mod process;
mod proxies;
mod servers;
mod sessions;
mod sight;
mod stalls;
mod streams;
mod tls;
mod told;
mod workers;
