//! Steps 3 to 8 for one signature of a request. A fault here refuses this one only.

use std::sync::Arc;

use crate::base::header::Candidate;
use crate::base::params::SignatureParams;
use crate::base::{self};
use crate::clock::Timestamp;
use crate::key::trust::{Entry, Registry};
use crate::message::Head;
use crate::message::target::Target;
use crate::profile::{KeyLookup, Profile};

use super::coverage::{self, Changes};
use super::parameters::{self, Parameters};
use super::rejection::{Code, Rejection, Step};
use super::{MAX_COMPONENTS, standing, window};

/// A signature that held: steps 3 to 8 are behind it.
#[derive(Clone, Debug)]
pub struct Held {
    pub(super) label: String,
    pub(super) params: SignatureParams,
    pub(super) parameters: Parameters,
    pub(super) entry: Arc<Entry>,
}

/// What all candidates of a request are judged against.
pub(super) struct Scene<'a> {
    pub profile: &'a Profile,
    pub changes: &'a Changes,
    pub registry: &'a Registry,
    pub head: &'a Head<'a>,
    pub target: &'a Target<'a>,
    pub now: Timestamp,
}
