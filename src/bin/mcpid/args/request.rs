//! The flags of the commands that act on a request: `sign`, `verify` and `inspect`.

use std::path::PathBuf;
use std::sync::LazyLock;

use clap::builder::PossibleValue;
use clap::{Args, ValueEnum};
use mcpid::clock::Timestamp;
use mcpid::profile::{NamedProfile, Profile};

use super::values::{JudgeTime, Ttl, duration, judge_time, size, target_prefix, time, ttl};
use super::{ClaimingArgs, OpeningArgs, PassphraseArgs, SigningKeyArgs};

/// A profile, by its row in the library's table.
#[derive(Clone, Copy, Debug)]
pub(crate) struct ProfileName(&'static NamedProfile);

impl ProfileName {
    pub(crate) fn profile(self) -> Profile {
        self.0.profile()
    }

    /// Returns the name for a command line; `None` for the default, which needs no flag.
    pub(crate) fn unless_default(self) -> Option<&'static str> {
        Some(self.0.name).filter(|name| *name != Profile::DEFAULT)
    }
}

impl ValueEnum for ProfileName {
    fn value_variants<'a>() -> &'a [Self] {
        static ALL: LazyLock<Vec<ProfileName>> =
            LazyLock::new(|| Profile::NAMED.iter().map(ProfileName).collect());
        &ALL
    }

    fn to_possible_value(&self) -> Option<PossibleValue> {
        Some(PossibleValue::new(self.0.name).help(self.0.about))
    }
}

/// How `sign` prints the signed request.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub(crate) enum SignFormat {
    /// The header fields to send, one on each line
    Headers,
    /// The whole HTTP/1.1 request
    Http,
    /// A shell command that sends exactly the signed bytes
    Curl,
}

/// Sign a payload or an HTTP request
///
/// With --url, the input is a payload, and the output is the headers to send with it. Without
/// --url, the input is a captured or hand-written HTTP/1.1 request, and the output is the same
/// request, signed.
///
/// The signature covers the method, the target exactly as it will be on the wire, the digest of the
/// exact body, and the headers that steer an MCP server. Send the very bytes that were signed.
#[derive(Args, Debug)]
#[command(after_long_help = "\
Examples:
  mcpid sign --url https://mcp.example.com/mcp body.json
  mcpid sign --url https://mcp.example.com/mcp --format curl body.json
  mcpid sign --url https://mcp.example.com/mcp -H 'Mcp-Session-Id: 42' --passphrase-file pass body.json
  mcpid sign --touch ssh-agent: request.http > touched.http
  mcpid sign -k 'exec:sign-by-kms agent' --public-key agent.pem request.http
  mcpid sign request.http > signed.http")]
pub(crate) struct SignArgs {
    /// The payload or HTTP request, or - for stdin [default: stdin]
    #[arg(value_name = "BODY|REQUEST")]
    pub(crate) input: Option<PathBuf>,
    #[command(flatten)]
    pub(crate) signing_key: SigningKeyArgs,
    /// The rules to sign by
    #[arg(long, value_name = "P", default_value = Profile::DEFAULT)]
    pub(crate) profile: ProfileName,
    /// The stable client id to send as tag, in place of the key id
    #[arg(long, value_name = "ID")]
    pub(crate) client_id: Option<String>,
    /// Cover one more component, such as x-request-id or '@authority'
    #[arg(long, value_name = "C")]
    pub(crate) cover: Vec<String>,
    /// Do not cover this component
    #[arg(long, value_name = "C")]
    pub(crate) no_cover: Vec<String>,
    /// The id under which the receiver has the key, in place of its thumbprint; only for a profile
    /// that looks keys up by kid
    #[arg(long, value_name = "TEXT")]
    pub(crate) keyid: Option<String>,
    /// The signature's label [default: the one of the profile; mcp under the profile mcp]
    #[arg(long, value_name = "L")]
    pub(crate) label: Option<String>,
    /// After how long the signature expires, or none; 30s under the profile mcp
    #[arg(long, value_name = "30s|none", value_parser = ttl, allow_hyphen_values = true)]
    pub(crate) ttl: Option<Ttl>,
    /// Sign as of this time: RFC 3339 or @UNIX
    #[arg(long, value_name = "TIME", value_parser = time, allow_hyphen_values = true)]
    pub(crate) at: Option<Timestamp>,
    /// The format of the output [default: headers with --url, else http]
    #[arg(long, value_name = "FORMAT")]
    pub(crate) format: Option<SignFormat>,
    /// Sign a second time with the touch of this security key, ssh-agent:ID
    #[arg(id = "touch_by", long = "touch", value_name = "KEY")]
    pub(crate) touch: Option<PathBuf>,
    #[command(flatten)]
    pub(crate) passphrase: PassphraseArgs,

    /// The URL to which the payload will be sent
    #[arg(long, value_name = "URL", help_heading = "For a payload")]
    pub(crate) url: Option<String>,
    /// The method of the request [default: POST]
    #[arg(long, value_name = "METHOD", requires = "url", help_heading = "For a payload")]
    pub(crate) method: Option<String>,
    /// A header to send with it: 'Name: value', or @FILE with one header on each line
    #[arg(
        short = 'H',
        long = "header",
        value_name = "NAME: VALUE|@FILE",
        requires = "url",
        help_heading = "For a payload"
    )]
    pub(crate) header: Vec<String>,

    /// The scheme and host the request is meant for, such as https://mcp.example.com
    #[arg(
        long,
        value_name = "ORIGIN",
        conflicts_with = "url",
        help_heading = "For an HTTP request"
    )]
    pub(crate) origin: Option<String>,
    /// Replace a signature of the same label in the request
    #[arg(long, conflicts_with = "url", help_heading = "For an HTTP request")]
    pub(crate) replace: bool,
}

/// How requests are judged: the flags that `verify` and `gateway` share.
#[derive(Args, Clone, Debug)]
pub(crate) struct VerifierArgs {
    /// A trust file, or a folder of them; may be repeated [env: MCPID_TRUST]
    #[arg(short = 'r', long, value_name = "TRUST")]
    pub(crate) trust: Vec<PathBuf>,
    /// The rules to judge by
    #[arg(long, value_name = "P", default_value = Profile::DEFAULT)]
    pub(crate) profile: ProfileName,
    /// How old a signature may be; 30s under the profile mcp
    #[arg(long, value_name = "30s", value_parser = duration, allow_hyphen_values = true)]
    pub(crate) window: Option<u32>,
    /// How far the signer's clock may be ahead; 5s under the profile mcp
    #[arg(long, value_name = "5s", value_parser = duration, allow_hyphen_values = true)]
    pub(crate) ahead: Option<u32>,
    /// Require one more component to be covered
    #[arg(long, value_name = "C")]
    pub(crate) require: Vec<String>,
    /// Do not require this component to be covered
    #[arg(long, value_name = "C")]
    pub(crate) allow_uncovered: Vec<String>,
    /// The largest body that is judged, in bytes or as 4MiB [default: 4MiB]
    #[arg(long, value_name = "N", value_parser = size)]
    pub(crate) max_body: Option<u64>,
    /// A scheme and host of this server, such as https://mcp.example.com; may be repeated
    #[arg(long, value_name = "ORIGIN")]
    pub(crate) origin: Vec<String>,
}

/// Judge captured requests
///
/// An input is a raw HTTP/1.1 request, an HTTP archive (HAR), or request lines (one JSON object on
/// each line); the form is detected. Each request gets one verdict on stdout, in the order of the
/// inputs. The exit code is the highest of all verdicts.
///
/// To judge a capture again is not a replay. So nonces are claimed only if --nonces names a store;
/// with --at, they are only looked up. If two requests of one run have the same nonce, the later
/// one is a replay.
#[derive(Args, Debug)]
#[command(after_long_help = "\
Examples:
  mcpid verify signed.http
  mcpid verify -r trust.json --at 2026-11-23T10:00:30Z old.http
  mcpid verify --nonces sqlite:nonces.db signed.http
  mcpid verify --at capture --only https://mcp.example.com/ session.har
  mcpid verify --at capture --html verdicts.html session.har
  mcpid sign request.http | mcpid verify --json")]
pub(crate) struct VerifyArgs {
    /// The requests, or - for stdin [default: stdin]
    #[arg(value_name = "REQUEST")]
    pub(crate) inputs: Vec<PathBuf>,
    #[command(flatten)]
    pub(crate) verifier: VerifierArgs,
    /// Judge as of this time: RFC 3339, @UNIX, or capture for the time in each request
    #[arg(long, value_name = "TIME", value_parser = judge_time, allow_hyphen_values = true)]
    pub(crate) at: Option<JudgeTime>,
    /// Claim nonces in this store, such as sqlite:PATH (with --at, only look them up)
    #[arg(long, value_name = "STORE")]
    pub(crate) nonces: Option<String>,
    #[command(flatten)]
    pub(crate) claiming: ClaimingArgs,
    /// Refuse operations METHOD[:NAME], where * stands for any text, whose signature no touch of a
    /// security key joins; may be repeated
    #[arg(id = "touch_rule", long = "touch", value_name = "P")]
    pub(crate) touch: Vec<String>,
    /// Judge only requests whose target begins with this text, and count the others
    #[arg(long, value_name = "PREFIX", value_parser = target_prefix)]
    pub(crate) only: Option<String>,
    /// Write the result as one self-contained page to this file too, or only that page to stdout
    /// for -; no file but an older page is replaced
    #[arg(long, value_name = "FILE")]
    pub(crate) html: Option<PathBuf>,
}

/// Show what signed requests claim, without judging them
///
/// Needs no keys and gives no verdict. It prints the key, the times and their age, and what is
/// covered and what is not. With --nonces, it also says whether the nonce was seen before.
///
/// --base prints the exact bytes that were signed, without a final newline, so that a signature can
/// be checked by hand with openssl.
#[derive(Args, Clone, Debug)]
#[command(after_long_help = "\
Examples:
  mcpid inspect signed.http
  mcpid inspect --json session.har
  mcpid inspect --base signed.http > base.txt")]
pub(crate) struct InspectArgs {
    /// The requests, or - for stdin [default: stdin]
    #[arg(value_name = "REQUEST")]
    pub(crate) inputs: Vec<PathBuf>,
    /// Print the signature base: exactly the bytes that were signed
    #[arg(long)]
    pub(crate) base: bool,
    /// Look at the signature of this label only
    #[arg(long, value_name = "L")]
    pub(crate) label: Option<String>,
    /// Print ages as of this time: RFC 3339, @UNIX, or capture for the time in each request
    #[arg(long, value_name = "TIME", value_parser = judge_time, allow_hyphen_values = true)]
    pub(crate) at: Option<JudgeTime>,
    /// Look nonces up in this store, such as sqlite:PATH
    #[arg(long, value_name = "STORE")]
    pub(crate) nonces: Option<String>,
    #[command(flatten)]
    pub(crate) opening: OpeningArgs,
}
