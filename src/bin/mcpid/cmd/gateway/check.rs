//! The flag `--check-config` of `gateway` and `authz`: prints how the settings were understood,
//! without starting the server.

use mcpid::audit::witness::WitnessPolicy;
use mcpid::key::trust::TrustEntry;
use mcpid::mcp::methods::KNOWN;
use mcpid::mcp::pattern::{Operation, Pattern};
use serde::Serialize;

use super::settings::GatewaySettings;
use crate::args::{FrontFlags, ModeName};
use crate::cmd::audit::open::ExistingLog;
use crate::input::nonce_store;
use crate::output::exit::Exit;
use crate::output::failure::Failure;
use crate::output::ui::Ui;

/// Maximum number of keys that are printed.
const MAX_KEYS_SHOWN: usize = 50;

/// The result of the check, as `--json` prints it.
#[derive(Serialize)]
struct ConfigCheck<'a> {
    version: u8,
    ok: bool,
    listen: String,
    path: &'a str,
    #[serde(skip_serializing_if = "Option::is_none")]
    upstream: Option<String>,
    /// The proxy whose way of asking `authz` expects; absent for `gateway`.
    #[serde(skip_serializing_if = "Option::is_none")]
    dialect: Option<&'static str>,
    mode: &'static str,
    /// The number of trusted keys.
    keys: usize,
    tls: bool,
    /// The last second at which all certificates are valid.
    #[serde(skip_serializing_if = "Option::is_none")]
    certificate_expiry: Option<String>,
    /// Paths that need no signature, besides the well-known documents for OAuth clients.
    open: Vec<String>,
    /// The path of the gateway's log; `None` if it is written to stdout.
    log: Option<String>,
    audit: Option<String>,
    audit_in_use: Option<bool>,
    #[serde(skip_serializing_if = "Option::is_none")]
    witnesses: Option<UnderstoodQuorum<'a>>,
    origins: &'a [String],
    strict: Vec<Matched<'a>>,
    permissive: Vec<Matched<'a>>,
    touch: Vec<Matched<'a>>,
    /// How the gateway finds out the upstream's tools, for `--strict destructive`.
    #[serde(skip_serializing_if = "Option::is_none")]
    tools: Option<String>,
    nonces: String,
    admin: Option<String>,
    /// The first trusted keys, each with its id and name.
    trusted: Vec<TrustedKey<'a>>,
}

/// A pattern in a flag, with those methods of MCP that it can match.
#[derive(Serialize)]
struct Matched<'a> {
    pattern: &'a str,
    methods: Vec<&'static str>,
}

/// A witness policy, as the program understood it.
#[derive(Serialize)]
struct UnderstoodQuorum<'a> {
    quorum: String,
    asked: Vec<AskedWitness<'a>>,
}

#[derive(Serialize)]
struct AskedWitness<'a> {
    name: &'a str,
    /// The key of the witness; `None` if its kind is not supported.
    key: Option<String>,
    /// The URL of the witness; `None` if it cannot be asked.
    url: Option<&'a str>,
}

#[derive(Serialize)]
struct TrustedKey<'a> {
    id: &'a str,
    name: Option<&'a str>,
    /// For a security key, the names or ids of the keys whose signatures its touch may confirm.
    #[serde(skip_serializing_if = "Option::is_none")]
    touches_for: Option<Vec<String>>,
}

/// Reports that the settings can be used, and prints them.
///
/// # Errors
/// The nonce store's name cannot be read, or stdout is closed.
pub(crate) fn report(
    settings: &GatewaySettings,
    args: &FrontFlags,
    (audit, witnesses): (Option<&ExistingLog>, Option<&WitnessPolicy>),
    ui: &mut Ui,
) -> Result<Exit, Failure> {
    let trusted = settings.verifier_settings.trusted().take(MAX_KEYS_SHOWN);
    let touches_for = |key: &'_ TrustEntry| {
        let signers =
            settings.verifier_settings.trusted().filter(|signer| key.may_touch_for(signer));
        let signers = signers.map(|signer| signer.name().unwrap_or(signer.key().id().as_str()));
        signers.take(MAX_KEYS_SHOWN).map(str::to_owned).collect::<Vec<_>>()
    };
    let path_shown = |path: String| ui.secret_filter().message(&path).into_owned();
    let checked = ConfigCheck {
        version: 1,
        ok: true,
        listen: settings.listen.to_string(),
        path: settings.config.paths.endpoint(),
        upstream: settings.upstream().map(ToString::to_string),
        dialect: settings.dialect(),
        mode: match settings.mode {
            ModeName::Strict => "strict",
            ModeName::Permissive => "permissive",
        },
        keys: settings.verifier_settings.keys(),
        tls: settings.tls.is_some(),
        certificate_expiry: settings.tls.as_ref().map(|served| served.expiry.to_string()),
        open: args.open.iter().map(ToString::to_string).collect(),
        log: args.log.as_ref().map(|path| path_shown(path.display().to_string())),
        audit: audit.map(|audit| path_shown(audit.place.name())),
        audit_in_use: audit.map(|audit| audit.in_use),
        witnesses: witnesses.map(understood),
        origins: &args.verifier.origin,
        strict: args.strict.iter().map(|text| matched(text)).collect(),
        permissive: args.permissive.iter().map(|text| matched(text)).collect(),
        touch: args.touch.iter().map(|text| matched(text)).collect(),
        tools: settings.tools.as_ref().map(|tools| path_shown(tools.described())),
        nonces: nonce_store::named_to_serve(args.nonces.as_deref(), ui)?.to_string(),
        admin: settings.admin.as_ref().map(ToString::to_string),
        trusted: trusted
            .map(|entry| TrustedKey {
                id: entry.key().id().as_str(),
                name: entry.name(),
                touches_for: entry.security_key().map(|_| touches_for(entry)),
            })
            .collect(),
    };
    if ui.json() {
        ui.json_line(&checked)?;
    } else {
        checked.print(ui)?;
    }
    if let Some(audit) = audit.filter(|audit| audit.in_use) {
        ui.note(&format!(
            "another process writes the log in {}: it has to end before a gateway can start",
            audit.place.name()
        ));
    }
    Ok(Exit::Ok)
}

fn understood(policy: &WitnessPolicy) -> UnderstoodQuorum<'_> {
    let asked = policy.witnesses().iter().map(|witness| AskedWitness {
        name: &witness.name,
        key: witness.key.as_ref().map(ToString::to_string),
        url: witness.url.as_deref(),
    });
    UnderstoodQuorum { quorum: policy.described(), asked: asked.collect() }
}

fn matched(text: &str) -> Matched<'_> {
    if text == "destructive" {
        return Matched { pattern: text, methods: vec!["tools/call"] };
    }
    let pattern = Pattern::parse(text).ok();
    let matches = |method: &&'static str| {
        // A pattern without a NAME applies to all names of its METHOD.
        pattern.as_ref().is_some_and(|p| p.restricts(Operation { method, name: None }))
    };
    Matched { pattern: text, methods: KNOWN.into_iter().filter(|method| matches(method)).collect() }
}

impl ConfigCheck<'_> {
    fn print(&self, ui: &mut Ui) -> Result<(), Failure> {
        let tls = if self.tls { " with TLS" } else { "" };
        ui.line(&format!(
            "ok: {}, {}{tls}, {} {}, {} trusted",
            self.mode,
            self.listen,
            self.path,
            match (&self.upstream, self.dialect) {
                (Some(upstream), _) => format!("to {upstream}"),
                (None, dialect) => format!("for {}", dialect.unwrap_or_default()),
            },
            self.keys
        ))?;
        let mut rows: Vec<(&str, String)> = Vec::new();
        rows.push(("origins", self.origins.join(" ")));
        for (label, rules) in [("strict", &self.strict), ("touch", &self.touch)] {
            for rule in rules {
                let what = match rule.pattern {
                    "destructive" => {
                        "tools/call, unless the upstream's list calls the tool harmless".to_owned()
                    }
                    _ => rule.described(),
                };
                rows.push((label, format!("{}: {what}", rule.pattern)));
            }
        }
        // In permissive mode, unsigned responses pass. Such a response could approve a signed call
        // about which the server asked the client back.
        if self.mode == "permissive"
            && self.strict.iter().chain(&self.touch).any(|s| s.methods.contains(&"tools/call"))
        {
            rows.push((
                "strict",
                "@response and tasks/update, since they can approve a tools/call".to_owned(),
            ));
        }
        for permissive in &self.permissive {
            rows.push((
                "permissive",
                format!("{}: {}", permissive.pattern, permissive.described()),
            ));
        }
        for open in &self.open {
            rows.push(("open", format!("{open}, without a signature")));
        }
        if let Some(expiry) = &self.certificate_expiry {
            rows.push(("certificate", format!("valid until {expiry}")));
        }
        let none = || "none".to_owned();
        if let Some(tools) = &self.tools {
            rows.push(("tools", tools.clone()));
        }
        rows.push(("nonces", self.nonces.clone()));
        rows.push(("admin", self.admin.clone().unwrap_or_else(none)));
        rows.push(("log", self.log.clone().unwrap_or_else(|| "stdout".to_owned())));
        rows.push(("audit", self.audit.clone().unwrap_or_else(none)));
        if let Some(witnesses) = &self.witnesses {
            rows.push(("quorum", ui.shown(&witnesses.quorum).into_owned()));
            for witness in &witnesses.asked {
                let (key, url) = (witness.key.as_deref(), witness.url);
                let key = key.unwrap_or("(an ML-DSA-44 key, not supported)");
                let text = format!("{} {} {key}", witness.name, url.unwrap_or("(not asked)"));
                rows.push(("witness", ui.shown(&text).into_owned()));
            }
        }
        for key in &self.trusted {
            let name = key.name.map(|name| format!(" ({})", ui.shown(name))).unwrap_or_default();
            let touches = match &key.touches_for {
                Some(signers) if signers.is_empty() => ", a security key for no signer".to_owned(),
                Some(signers) => {
                    format!(", a security key for {}", ui.shown(&signers.join(", ")))
                }
                None => String::new(),
            };
            rows.push(("key", format!("{}{name}{touches}", key.id)));
        }
        if self.keys > self.trusted.len() {
            rows.push(("key", format!("and {} more", self.keys - self.trusted.len())));
        }
        rows.iter().try_for_each(|(label, text)| ui.line(&format!("    {label:<12} {text}")))
    }
}

impl Matched<'_> {
    fn described(&self) -> String {
        match (self.methods.as_slice(), self.pattern.contains(':')) {
            ([], _) => "no method of MCP".to_owned(),
            (methods, true) => format!("{}, of such a name", methods.join(" ")),
            (methods, false) => methods.join(" "),
        }
    }
}
