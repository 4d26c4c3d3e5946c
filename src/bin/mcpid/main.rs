//! The `mcpid` command line.
fn main() {}
