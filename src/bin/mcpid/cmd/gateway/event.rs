//! What the threads of a gateway tell its main thread, which prints messages and ends the program.

/// An event that other threads report to the main thread.
pub(super) enum GatewayEvent {
    Note(String),
    Warning(String),
    Reload,
    /// Serving has ended; the number of connections that were cut.
    Over(usize),
    Interrupted,
}
