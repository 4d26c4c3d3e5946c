//! Events that the threads of a gateway send to its main thread, which prints messages and ends the
//! program.

/// An event that other threads report to the main thread.
pub(super) enum GatewayEvent {
    Note(String),
    Warning(String),
    Reload,
    /// Serving has ended; the number is that of connections that were closed with a request in
    /// flight.
    Over(usize),
    Interrupted,
}
