//! The tables of the report page: operations, keys, and clients without a key.

use std::borrow::Cow;
use std::fmt::Write as _;

use crate::gateway::report::chart;
use crate::gateway::report::figures::{count, grouped, minute, percent};
use crate::gateway::report::scale::Cell;
use crate::gateway::report::summary::{ReasonCount, RequestCounts, RolloutReport};
use crate::message::shown::printed;

use super::name;
use crate::page::{capital, text};

/// The maximum number of addresses in the table; the JSON report has more.
const MOST_ADDRESSES: usize = 50;

/// The maximum number of refusal codes in a table row; the section on codes has all of them.
const MOST_CODES: usize = 3;

impl RolloutReport {
    pub(super) fn operations(&self, page: &mut String) {
        let title = match self.all.would_refuse {
            0 => "By operation",
            _ => "What strict would refuse",
        };
        let _ = write!(
            page,
            "<section>\n<h2>{title}</h2>\n<p class=\"note\">By MCP method and, for tools, prompts and resources, by name.</p>\n\
             <div class=\"scroll\"><table class=\"cards\"><thead><tr><th>Operation<th class=\"n\">\
             Requests<th class=\"n\">Signed<th class=\"strip-cell\"><th class=\"n\">Would<br>refuse<th class=\"n\">\
             Refused<th>Why<th>Last not<br>verified</tr></thead><tbody>\n",
        );
        for operation in &self.operations {
            row(page, &name(operation), &operation.count);
        }
        if let Some(other) = &self.other_operations {
            row(page, "<i class=\"soft\">others, not told apart</i>", other);
        }
        page.push_str("</tbody></table></div>\n</section>\n");
    }

    pub(super) fn signers(&self, page: &mut String) {
        page.push_str("<section>\n<h2>Who signs</h2>\n");
        if self.keys.is_empty() {
            page.push_str("<p>No key yet.</p>\n");
        } else {
            page.push_str(
                "<div class=\"scroll\"><table class=\"cards\"><thead><tr><th>Name<th>Key\
                 <th class=\"n\">Requests<th>First<th>Last</tr></thead><tbody>\n",
            );
            for key in &self.keys {
                let name = match key.name.as_deref() {
                    Some(name) => format!("<bdi class=\"name\">{}</bdi>", text(&printed(name))),
                    None => "<span class=\"soft\">(no name)</span>".to_owned(),
                };
                let _ = writeln!(
                    page,
                    "<tr><td class=\"wide\">{name}<td class=\"wide\"><span class=\"id\">{}</span>\
                     <td class=\"n\" data-l=\"Requests\">{}<td class=\"t wide\" data-l=\"First\">{}\
                     <td class=\"t wide\" data-l=\"Last\">{}</tr>",
                    text(&printed(&key.id)),
                    grouped(key.requests),
                    short(&key.first),
                    short(&key.last)
                );
            }
            page.push_str("</tbody></table></div>\n");
        }
        if self.other_keys > 0 {
            let requests = count(self.other_keys, "request", "requests");
            let _ = writeln!(page, "<p class=\"note\">{requests} more by keys not told apart.</p>");
        }
        page.push_str("</section>\n");
    }

    /// Writes whose touches confirm requests, if any request was confirmed by a touch, or was
    /// refused because a touch was missing.
    pub(super) fn touches(&self, page: &mut String) {
        let Some(line) = self.touch_line() else { return };
        let _ = write!(
            page,
            "<section>\n<h2>Who touches a security key</h2>\n<p class=\"note\">{}.</p>\n\
             <div class=\"scroll\"><table class=\"cards\"><thead><tr><th>Signer or operation\
             <th class=\"n\">With touch<th class=\"n\">Without<th>Security keys</tr></thead><tbody>\n",
            text(&capital(&line))
        );
        let mut row = |name: &str, touched: u64, requests: u64, keys: &str| {
            let _ = writeln!(
                page,
                "<tr><td class=\"wide\">{name}<td class=\"n\" data-l=\"With touch\">{}\
                 <td class=\"n\" data-l=\"Without\">{}<td class=\"wide\">{keys}</tr>",
                grouped(touched),
                grouped(requests.saturating_sub(touched))
            );
        };
        for key in &self.keys {
            let name = text(&printed(key.name.as_deref().unwrap_or(&key.id))).into_owned();
            let keys = key.touch_keys.iter().map(|key| text(&printed(key)).into_owned());
            let keys = keys.collect::<Vec<_>>().join(", ");
            row(&format!("<bdi class=\"name\">{name}</bdi>"), key.touched, key.requests, &keys);
        }
        for operation in &self.operations {
            row(&name(operation), operation.count.touched, operation.count.requests, "");
        }
        page.push_str("</tbody></table></div>\n</section>\n");
    }

    pub(super) fn others(&self, page: &mut String) {
        page.push_str(
            "<section>\n<h2>Who does not sign</h2>\n\
             <table class=\"cards others\"><thead><tr><th>Status<th>Meaning<th class=\"n\">Requests\
             <th class=\"n\">Share</tr></thead><tbody>\n",
        );
        for share in self.by_status.iter().filter(|share| share.status != "verified") {
            let words = match share.status {
                "unsigned" => "no signature at all",
                "unknown_key" => "well formed, under a key that is not in the registry",
                "invalid" => "a signature that does not hold, came late, or may not do this",
                _ => "could not be judged: the nonce store was not to be relied on",
            };
            let _ = writeln!(
                page,
                "<tr><td class=\"wide\"><code>{}</code><td class=\"wide\">{words}<td class=\"n{}\" \
                 data-l=\"Requests\">{}<td class=\"n soft\" data-l=\"Share\">{}</tr>",
                share.status,
                if share.requests == 0 { " zero" } else { "" },
                grouped(share.requests),
                text(&percent(share.requests, self.all.requests))
            );
        }
        page.push_str("</tbody></table>\n");
        if !self.not_verified_by.is_empty() {
            self.addresses(page);
        }
        page.push_str("</section>\n");
    }

    /// Writes the table of addresses. A client that does not sign can only be found by its address.
    fn addresses(&self, page: &mut String) {
        page.push_str(
            "<p class=\"note\">By address, as the log has it, without the port. An address is no \
             identity: several clients can share one, and one client can have several.</p>\n\
             <div class=\"scroll\"><table class=\"cards\"><thead><tr><th>Address<th class=\"n\">\
             Not verified<th>Why<th>First<th>Last</tr></thead><tbody>\n",
        );
        for from in self.not_verified_by.iter().take(MOST_ADDRESSES) {
            let address = match from.address.as_deref() {
                Some(address) => format!("<bdi class=\"name\">{}</bdi>", text(&printed(address))),
                None => "<span class=\"soft\">(not in the log)</span>".to_owned(),
            };
            let reasons = from.reasons.iter().take(MOST_CODES).map(|why| {
                format!("<span><code>{}</code> {}</span>", why.code, grouped(why.requests))
            });
            let _ = writeln!(
                page,
                "<tr><td class=\"wide\">{address}<td class=\"n\" data-l=\"Not verified\">{}<td \
                 class=\"codes wide\">{}<td class=\"t wide\" data-l=\"First\">{}<td class=\"t wide\" \
                 data-l=\"Last\">{}</tr>",
                grouped(from.requests),
                reasons.collect::<Vec<_>>().join(", "),
                short(&from.first),
                short(&from.last)
            );
        }
        page.push_str("</tbody></table></div>\n");
        let rest = self.not_verified_by.iter().skip(MOST_ADDRESSES);
        let rest = rest.fold(self.other_addresses, |sum, from| sum + from.requests);
        if rest > 0 {
            let requests = count(rest, "request", "requests");
            let _ = writeln!(page, "<p class=\"note\">{requests} more from other addresses.</p>");
        }
    }
}

fn row(page: &mut String, name: &str, n: &RequestCounts) {
    let RequestCounts { verified, would_refuse, refused, .. } = *n;
    let cell = Cell { verified, would_refuse, refused, ..Cell::default() };
    let class = |n: u64, some: &'static str| if n == 0 { " zero" } else { some };
    let none = if n.reasons.is_empty() { " none" } else { "" };
    let last = n.last_unverified_at.map_or("–".to_owned(), minute);
    let _ = writeln!(
        page,
        "<tr><td class=\"op wide\">{name}<td class=\"n\" data-l=\"Requests\">{}<td class=\"n\" \
         data-l=\"Signed\">{}<td class=\"strip-cell\">{}<td class=\"n{}\" data-l=\"Would refuse\">{}\
         <td class=\"n{}\" data-l=\"Refused\">{}<td class=\"codes wide{none}\">{}<td class=\"t wide{none}\" \
         data-l=\"Last not verified\">{last}</tr>",
        grouped(n.requests),
        text(&percent(n.verified, n.requests)),
        chart::strip(&cell),
        class(would_refuse, " some"),
        grouped(would_refuse),
        class(refused, ""),
        grouped(refused),
        codes(&n.reasons),
    );
}

fn codes(reasons: &[ReasonCount]) -> String {
    let each = reasons.iter().take(MOST_CODES).map(|why| {
        let times = grouped(why.would_refuse + why.refused);
        format!("<span><code>{}</code> {times}</span>", why.code)
    });
    let mut codes = each.collect::<Vec<_>>().join(", ");
    if codes.is_empty() {
        return "<span class=\"soft\">–</span>".to_owned();
    }
    if let Some(more) = reasons.get(MOST_CODES..).filter(|more| !more.is_empty()) {
        let _ = write!(codes, ", <span class=\"soft\">{} more</span>", more.len());
    }
    codes
}

/// Returns `2026-11-23 10:00` for an RFC 3339 time that this program wrote.
pub(super) fn short(time: &str) -> Cow<'_, str> {
    time.get(..16).map_or(text(time), |minute| text(minute).replace('T', " ").into())
}
