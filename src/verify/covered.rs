//! The covered components of a signature, and the parts of the request that it does not cover, as
//! reports name them.

use std::collections::HashSet;

use crate::base::component::Component;
use crate::message::Head;

/// Returns the name of a component for reports: the bare name if it has no parameters, otherwise as
/// on the wire.
pub fn shown(component: &Component<'_>) -> String {
    match component.is_plain() {
        true => component.name().to_owned(),
        false => component.to_string(),
    }
}

/// Returns what the signature does not protect, for reports: the parts of the target and every
/// field that is not covered as a whole, in the order received and each once. The signature fields
/// themselves are not listed.
pub fn not_covered(head: &Head<'_>, covered: &[Component<'_>]) -> Vec<String> {
    // A set is used, because a signature may list a thousand components over thousands of fields.
    let plain: HashSet<&str> =
        covered.iter().filter(|c| c.is_plain()).map(Component::name).collect();
    let has = |name: &str| plain.contains(name);
    let mut open = Vec::new();
    let mut seen = HashSet::new();
    if !has("@method") {
        open.push("@method".to_owned());
    }
    if !has("@target-uri") {
        // The whole URI is protected if all its parts are.
        let pieces = ["@scheme", "@authority", "@path", "@query"];
        let path_and_query = has("@request-target");
        for piece in pieces {
            let bound = has(piece) || (path_and_query && matches!(piece, "@path" | "@query"));
            if !bound {
                open.push(piece.to_owned());
            }
        }
    }
    for field in head.fields() {
        let name = field.name();
        // `@authority` is derived from `Host`, so a signature over it protects `Host` too.
        let bound = has(name)
            || matches!(name, "signature" | "signature-input")
            || (name == "host" && (has("@authority") || has("@target-uri")));
        if !bound && seen.insert(name) {
            open.push(name.to_owned());
        }
    }
    open
}
