//! The parts of the pages that are made for auditors: headline, verdict, tables, list of checks,
//! inputs, commands.
//!
//! Text from outside is escaped and cut by [`text`], [`value`] or [`mcpid::page::name`].

use std::fmt::Write as _;
use std::path::Path;
use std::sync::LazyLock;

use mcpid::clock::Timestamp;
use mcpid::key::trust::TrustSource;
use mcpid::message::shown::{MOST_PRINTED, capped};
use mcpid::page::{PageStyle, breakable, text};

use crate::input::captures::hex;

/// The style of the pages of `audit`.
pub(crate) static STYLE: LazyLock<PageStyle> =
    LazyLock::new(|| PageStyle::new(include_str!("parts.css")));

/// Maximum number of characters of one value on a page.
const MOST_VALUE: usize = 2_000;

/// Facts that no signature proves. The first is only shown if the request was not refused.
pub(crate) const NEVER_PROVEN: &[&str] = &[
    "that the request was carried out: what is shown is that it was authorised, no more",
    "that the holder of the key is the account that an access token names: a server has to compare \
     the two",
    "that a person looked at the request: a program can hold a key",
    "that the private key was in the hands of its owner alone",
];

/// The result that a page shows. Each has its own border and word, so that it can be told without
/// colours.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Tone {
    /// Everything was checked and nothing is missing.
    Good,
    /// The record is genuine. The request in it was not verified by the server.
    Refused,
    /// Nothing contradicts the input, but data is missing.
    Unjudged,
    /// A contradiction was found.
    Bad,
}

impl Tone {
    fn class(self) -> &'static str {
        match self {
            Tone::Good => "good",
            Tone::Refused => "refused-entry",
            Tone::Unjudged => "unjudged",
            Tone::Bad => "bad",
        }
    }
}

/// Begins a page with the first bytes of its kind, the headline `h1`, and the text `lede` after it.
/// Both are HTML.
pub(crate) fn begin(mark: &str, title: &str, eyebrow: &[&str], h1: &str, lede: &str) -> String {
    let mut page = STYLE.begin(mark, title);
    page.push_str("<header>\n<p class=\"eyebrow\"><b>mcpid</b>");
    for part in eyebrow {
        let part = capped(part, MOST_PRINTED);
        let _ = write!(page, "<span><bdi>{}</bdi></span>", breakable(&part));
    }
    let _ = write!(page, "</p>\n<h1>{h1}</h1>\n");
    if !lede.is_empty() {
        let _ = writeln!(page, "<p class=\"lede\">{lede}</p>");
    }
    page
}

/// Writes the lines of the text output that contain the verdict, word for word.
pub(crate) fn verdict(page: &mut String, tone: Tone, lines: &[String]) {
    let _ = writeln!(page, "<div class=\"verdict {}\">", tone.class());
    for line in lines {
        let line = capped(line, MOST_VALUE);
        // The words up to the colon are the verdict itself and are emphasized.
        let end = line.find(": ").map_or(line.len(), |at| at + 1);
        let (word, rest) = line.split_at(end);
        let _ = writeln!(page, "<p><b>{}</b><bdi>{}</bdi></p>", text(word), text(rest));
    }
    page.push_str("</div>\n");
}

/// Begins a section. `note` is plain text, and may be empty.
pub(crate) fn section(page: &mut String, title: &str, note: &str) {
    let _ = writeln!(page, "<section>\n<h2>{}</h2>", text(title));
    if !note.is_empty() {
        let _ = writeln!(page, "<p class=\"note\">{}</p>", text(note));
    }
}

/// Ends the section that was begun by [`section`].
pub(crate) fn end(page: &mut String) {
    page.push_str("</section>\n");
}

/// Returns untrusted text as HTML. It is shortened, and isolated so that it cannot change the
/// direction of the text around it.
pub(crate) fn value(of: &str) -> String {
    format!("<bdi class=\"value\">{}</bdi>", text(&capped(of, MOST_VALUE)))
}

/// Returns an id, a hash or a target as [`value`] does, in a monospaced font.
pub(crate) fn id(of: &str) -> String {
    format!("<bdi class=\"name\">{}</bdi>", text(&capped(of, MOST_VALUE)))
}

/// Writes rows of labels and values. The values are HTML.
pub(crate) fn rows(page: &mut String, rows: &[(String, String)]) {
    page.push_str("<dl class=\"rows\">\n");
    for (label, value) in rows {
        let _ = writeln!(page, "<dt>{}</dt><dd>{value}</dd>", text(label));
    }
    page.push_str("</dl>\n");
}

/// Writes a list of sentences.
pub(crate) fn sentences(page: &mut String, list: &[String]) {
    page.push_str("<ul class=\"sentences\">\n");
    for sentence in list {
        let _ = writeln!(page, "<li>{}</li>", value(&sentence_of(sentence)));
    }
    page.push_str("</ul>\n");
}

/// Returns a line of the text output as a sentence for the page.
fn sentence_of(line: &str) -> String {
    let end = if line.ends_with(['.', '!', '?']) { "" } else { "." };
    format!("{}{end}", mcpid::page::capital(line))
}

/// One check and its result.
pub(crate) struct PageCheck {
    what: &'static str,
    /// Whether the check passed. If it is false, the check could not be made.
    held: bool,
    /// How the check was made, or which data was missing for it.
    how: String,
}

impl PageCheck {
    /// Creates a check that passed.
    pub(crate) fn held(what: &'static str, how: &str) -> Self {
        PageCheck { what, held: true, how: how.to_owned() }
    }

    /// Creates a check that could not be made.
    pub(crate) fn open(what: &'static str, how: &str) -> Self {
        PageCheck { what, held: false, how: how.to_owned() }
    }

    /// Returns what was checked, if the check passed.
    pub(crate) fn passed(&self) -> Option<&'static str> {
        self.held.then_some(self.what)
    }
}

/// Writes a list of checks.
pub(crate) fn checks(page: &mut String, list: &[PageCheck]) {
    page.push_str("<ul class=\"checks\">\n");
    for PageCheck { what, held, how } in list {
        let (class, word) = if *held { ("held", "holds") } else { ("open", "not shown") };
        let how = value(&sentence_of(how));
        let _ = writeln!(
            page,
            "<li class=\"{class}\"><span class=\"state\">{word}</span><b>{what}</b> {how}</li>"
        );
    }
    page.push_str("</ul>\n");
}

/// An input of the command, which the page lists.
#[derive(Clone)]
pub(crate) struct PageInput {
    role: &'static str,
    name: String,
    /// The hash in hex; `None` if the input is not a file, or is a stream that was not read to its
    /// end.
    sha256: Option<String>,
}

impl PageInput {
    /// Creates an input from a file, with the SHA-256 of its bytes in hex.
    pub(crate) fn file(role: &'static str, name: &str, sha256: Option<String>) -> Self {
        PageInput { role, name: name.to_owned(), sha256 }
    }

    /// Creates an input from a trust file.
    pub(crate) fn trust(source: &TrustSource) -> Self {
        let name = source.path.display().to_string();
        PageInput::file("Trust file", &name, Some(hex(&source.sha256)))
    }

    /// Creates an input that is shown as text, such as a public key.
    pub(crate) fn written(role: &'static str, what: &str) -> Self {
        PageInput { role, name: what.to_owned(), sha256: None }
    }
}

/// Writes the inputs, with the hash of each file.
pub(crate) fn inputs(page: &mut String, list: &[PageInput]) {
    section(
        page,
        "What was read",
        "SHA-256 of each file, as sha256sum prints it. Of a public key, the key itself.",
    );
    let rows_of = |input: &PageInput| {
        let hash = input.sha256.as_deref().map(|hash| format!("<br>{}", id(hash)));
        (input.role.to_owned(), format!("{}{}", id(&input.name), hash.unwrap_or_default()))
    };
    rows(page, &list.iter().map(rows_of).collect::<Vec<_>>());
    end(page);
}

/// Writes commands that can be pasted, after a description of what they print.
pub(crate) fn command(page: &mut String, what: &str, lines: &str) {
    pre(page, what, lines, "");
}

/// Writes a long list of commands like [`command`], but collapsed until the reader opens it.
pub(crate) fn script(page: &mut String, what: &str, lines: &str) {
    pre(page, what, lines, " class=\"script\"");
}

fn pre(page: &mut String, what: &str, lines: &str, class: &str) {
    let shown: Vec<_> = lines.lines().map(|line| text(line).into_owned()).collect();
    let (what, shown) = (text(what), shown.join("\n"));
    let _ = writeln!(page, "<p class=\"do\">{what}</p>\n<pre{class}>{shown}</pre>");
}

/// Returns a command that checks whether a file is the one that was read.
pub(crate) fn same_file(hash: &str, file: &Path) -> String {
    let name = file.to_string_lossy();
    let line = crate::output::ui::shell_word(&format!("{hash}  {name}")).into_owned();
    format!("echo {line} | sha256sum --check")
}

/// Ends a page. `evidence` names the file with the actual evidence, because the page itself proves
/// nothing.
pub(crate) fn finish(page: &mut String, made: Timestamp, evidence: &str) {
    let _ = write!(
        page,
        "<footer>\n<p>This page is no evidence: it says what {} found. {}</p>\n<p>Made {} by mcpid {}.</p>\n</footer>\n</html>\n",
        concat!("mcpid ", env!("CARGO_PKG_VERSION")),
        text(evidence),
        moment(made),
        env!("CARGO_PKG_VERSION")
    );
}

/// Returns a time in UTC, in a form for people.
pub(crate) fn moment(time: Timestamp) -> String {
    let time = time.to_string();
    let (day, clock) = time.split_once('T').unwrap_or((&time, ""));
    format!("{day} {} UTC", clock.trim_end_matches('Z'))
}
