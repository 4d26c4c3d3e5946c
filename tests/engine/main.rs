//! Tests of the modules that sign and verify, through their public interfaces.
#![allow(clippy::unwrap_used)]

mod adcp;
mod base_vectors;
mod body;
mod capture;
mod captures;
mod checklist;
mod clock;
mod component;
mod coverage;
mod curve;
mod digest;
#[cfg(feature = "p256")]
mod ecdsa;
mod fixtures;
mod formats;
mod har;
mod json_line;
mod key_inputs;
mod key_source;
mod keyfile;
mod memory;
mod methods;
mod mirror;
mod name_forms;
mod name_forms_url;
mod negatives;
mod pattern;
mod properties;
mod refusals;
mod signature_header;
mod signer;
mod structured;
mod target;
mod tools;
mod touch;
mod trust;
mod trust_slips;
mod ucp;
mod window;
