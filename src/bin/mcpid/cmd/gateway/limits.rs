//! Adapts the limits of a gateway to the operating system's limit on open files.

use mcpid::net::ServerLimits;

use crate::output::ui::Ui;

/// Number of file descriptors for everything but clients: listeners, stores, logs and operators.
const OTHER_FILES: u64 = 96;

/// Reduces the limits to what the operating system's limit on open files allows, after raising that
/// limit as far as possible. Each client connection also needs a connection to the upstream.
pub(super) fn fitted(limits: &ServerLimits, asked: Option<usize>, ui: &mut Ui) -> ServerLimits {
    let mut limits = limits.clone();
    #[cfg(unix)]
    {
        use rustix::process::{Resource, getrlimit, setrlimit};
        let mut files = getrlimit(Resource::Nofile);
        if files.current != files.maximum {
            let raised = rustix::process::Rlimit { current: files.maximum, ..files };
            if setrlimit(Resource::Nofile, raised).is_ok() {
                files = raised;
            }
        }
        let most = files.current.map_or(u64::MAX, |most| most.saturating_sub(OTHER_FILES) / 2);
        let most = usize::try_from(most).unwrap_or(usize::MAX).max(1);
        if limits.connections > most {
            if asked.is_some() {
                ui.warning(&format!(
                    "the limit on open files allows {most} connections, not {}",
                    limits.connections
                ));
            }
            limits.connections = most;
        }
    }
    limits
}
