//! One module for each command. Its `run` does the work and returns the exit code.

pub(crate) mod agent;
pub(crate) mod audit;
pub(crate) mod authz;
pub(crate) mod connect;
pub(crate) mod demo;
pub(crate) mod export;
pub(crate) mod gateway;
pub(crate) mod generate;
pub(crate) mod help;
pub(crate) mod inspect;
pub(crate) mod keygen;
pub(crate) mod nonce;
pub(crate) mod passwd;
pub(crate) mod sign;
pub(crate) mod trust;
pub(crate) mod verify;
