//! The methods that MCP defines, and how similar a text is to one of them.
//!
//! A pattern such as `tool/call` for `tools/call` would silently restrict nothing. So a new pattern
//! is compared with the table of methods in this module. The table has the methods of the revisions
//! 2025-11-25 and 2026-07-28 and of the official extensions `tasks` (SEP-1686, SEP-2663) and
//! `skills` (SEP-2640), in both directions, as the official SDKs for Rust, Python and TypeScript
//! define them; and the words, such as `@response`, that stand for messages without a method.

/// All methods that MCP defines.
pub const KNOWN: [&str; 42] = [
    "@delete",
    "@get",
    "@response",
    "completion/complete",
    "elicitation/create",
    "initialize",
    "logging/setLevel",
    "notifications/cancelled",
    "notifications/elicitation/complete",
    "notifications/initialized",
    "notifications/message",
    "notifications/progress",
    "notifications/prompts/list_changed",
    "notifications/resources/list_changed",
    "notifications/resources/updated",
    "notifications/roots/list_changed",
    "notifications/subscriptions/acknowledged",
    "notifications/tasks",
    "notifications/tasks/status",
    "notifications/tools/list_changed",
    "ping",
    "prompts/get",
    "prompts/list",
    "resources/directory/read",
    "resources/list",
    "resources/read",
    "resources/subscribe",
    "resources/templates/list",
    "resources/unsubscribe",
    "roots/list",
    "sampling/createMessage",
    "server/discover",
    "skills/get",
    "skills/list",
    "subscriptions/listen",
    "tasks/cancel",
    "tasks/get",
    "tasks/list",
    "tasks/result",
    "tasks/update",
    "tools/call",
    "tools/list",
];

/// Returns the member of `params` with the name on which `method` acts, or `None` if the method
/// acts on no name.
///
/// ```
/// use mcpid::mcp::methods::{name_member, nearest};
///
/// assert_eq!(name_member("resources/read"), Some("uri"));
/// assert_eq!(name_member("ping"), None);
/// assert_eq!(nearest("tools/cal"), Some("tools/call"));
/// ```
pub fn name_member(method: &str) -> Option<&'static str> {
    match method.split_once('/')?.0 {
        "tools" | "prompts" => Some("name"),
        "resources" => Some("uri"),
        "tasks" => Some("taskId"),
        _ => None,
    }
}

/// Returns the known method that the METHOD of a pattern probably means: the closest one within one
/// edit, or within two edits if the known method has 12 characters or more. An edit is an
/// insertion, a deletion, a substitution or a swap of neighbours; letter case is ignored. A `*` in
/// `text` stands for any run of characters. A short text with a star, such as `a*/*`, is close to
/// no method, and slashes in it are not edited.
pub fn nearest(text: &str) -> Option<&'static str> {
    let literal = text.bytes().filter(|b| *b != b'*').count();
    let near = KNOWN.into_iter().filter_map(|known| {
        let by_length = if known.len() >= 12 { 2 } else { 1 };
        let most = if text.contains('*') { by_length.min(literal / 4) } else { by_length };
        let edits = edits(text, known, most)?;
        Some((edits, known.len(), known))
    });
    near.min().map(|(.., known)| known)
}

/// Returns how many edits turn `text` into `word`, or `None` if more than `most` are needed. ASCII
/// letter case is ignored. At most 2 KiB of `text` are compared.
pub fn edits(text: &str, word: &str, most: usize) -> Option<usize> {
    let starred = text.contains('*');
    if text.len() > 2_048 || (!starred && text.len().abs_diff(word.len()) > 4 * (most + 1)) {
        return None;
    }
    let text: Vec<char> = text.to_ascii_lowercase().chars().collect();
    let word: Vec<char> = word.to_ascii_lowercase().chars().collect();
    // In a text with a star, no slash may be edited, because the star could already stand for the
    // text on both sides of it.
    let cost = |c: char| if starred && c == '/' { 1_000 } else { 1 };
    // Optimal string alignment with three rows: `before[j]` is the number of edits from the text so
    // far to the first j characters of the word.
    let mut two_before = vec![0; word.len() + 1];
    let mut before: Vec<usize> = vec![0; word.len() + 1];
    for (j, c) in word.iter().enumerate() {
        before[j + 1] = before[j] + cost(*c);
    }
    for (i, t) in text.iter().enumerate() {
        let mut row = vec![0; word.len() + 1];
        let star = *t == '*';
        row[0] = before[0] + if star { 0 } else { cost(*t) };
        for (j, w) in word.iter().enumerate() {
            row[j + 1] = if star {
                before[j + 1].min(row[j])
            } else {
                let other = if t == w { 0 } else { cost(*t).max(cost(*w)) };
                let mut least = before[j] + other;
                least = least.min(before[j + 1] + cost(*t)).min(row[j] + cost(*w));
                if i > 0 && j > 0 && text[i - 1] == *w && word[j - 1] == *t && t != w {
                    least = least.min(two_before[j - 1] + cost(*t).max(cost(*w)));
                }
                least
            };
        }
        two_before = std::mem::replace(&mut before, row);
    }
    before.last().copied().filter(|edits| *edits <= most)
}
