//! The flags of `mcpid nonce`, and those with which other commands open a nonce store.

use clap::{Args, Subcommand};

/// List and prune used nonces
///
/// A store keeps every used nonce for as long as a request with that nonce could be accepted. It
/// holds no nonce itself, only the SHA-256 of key id, a zero byte and nonce.
#[derive(Args, Debug)]
#[command(after_long_help = "\
Examples:
  mcpid nonce list
  mcpid nonce prune --nonces sqlite:/var/lib/mcpid/nonces.db")]
pub(crate) struct NonceArgs {
    #[command(subcommand)]
    pub(crate) act: NonceAct,
}

/// What can be done with a nonce store.
#[derive(Debug, Subcommand)]
pub(crate) enum NonceAct {
    /// Show which nonces are kept, and until when
    ///
    /// The nonces of a file are listed in the order in which they expire. Those of Redis servers
    /// are in no order: the primaries are asked one after the other, a page at a time, and nothing
    /// on them changes.
    #[command(after_long_help = "\
Examples:
  mcpid nonce list
  mcpid nonce list --json --nonces sqlite:nonces.db
  mcpid nonce list --nonces redis+sentinel://10.0.0.1,10.0.0.2,10.0.0.3/mymaster")]
    List(NonceStoreArgs),
    /// Remove expired nonces
    ///
    /// Stores remove a few expired nonces with every request. This command is for a file that is
    /// not in use any more, or to remove all of them at once. Redis servers expire nonces by
    /// themselves: for them, the nonces that are kept are counted and nothing is removed.
    #[command(after_long_help = "\
Examples:
  mcpid nonce prune
  mcpid nonce prune --nonces sqlite:nonces.db")]
    Prune(NonceStoreArgs),
}

/// A nonce store.
#[derive(Args, Debug)]
pub(crate) struct NonceStoreArgs {
    /// The store, such as sqlite:PATH [env: MCPID_NONCES]
    #[arg(long, value_name = "STORE")]
    pub(crate) nonces: Option<String>,
    #[command(flatten)]
    pub(crate) opening: OpeningArgs,
}

/// What a command that opens a nonce store may allow.
#[derive(Args, Clone, Copy, Debug, Default)]
pub(crate) struct OpeningArgs {
    /// Use Redis servers that evict keys when full, although a nonce can then be used twice without
    /// notice
    #[arg(long)]
    pub(crate) allow_evicting_store: bool,
}

/// What a command that claims nonces may allow: the flags that `verify` and `gateway` share.
#[derive(Args, Clone, Copy, Debug, Default)]
pub(crate) struct ClaimingArgs {
    #[command(flatten)]
    pub(crate) opening: OpeningArgs,
    /// Make the store keep nonces for longer, if this window needs it; all users of the store then
    /// refuse requests for about that window
    #[arg(long)]
    pub(crate) raise_retention: bool,
}
