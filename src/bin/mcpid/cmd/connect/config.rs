//! `connect --print-config`: prints configuration for a client, ready to paste into its settings.

use std::path::{Path, PathBuf};

use mcpid::key::exec::ExecCommand;
use mcpid::key::source::{EXEC, KeyRef};
use serde_json::{Map, Value, json};

use crate::args::{ClientName, ConnectArgs, Ttl};
use crate::input::files::{self, NamedBy};
use crate::output::exit::Exit;
use crate::output::failure::Failure;
use crate::output::ui::{Ui, shell_word};

use super::headers;

/// Prints the configuration, which contains the other arguments of this command.
///
/// # Errors
/// Stdout cannot be written.
pub(super) fn print(
    client: ClientName,
    args: &ConnectArgs,
    host: &str,
    ui: &mut Ui,
) -> Result<(), Failure> {
    // The path is absolute, because a client that was not started from a shell often lacks the PATH
    // of the shell.
    let program = std::env::current_exe().unwrap_or_else(|_| PathBuf::from("mcpid"));
    let command = program.to_string_lossy().into_owned();
    let name = name(host);
    let headers = headers::written(&args.header)?;
    let file = match headers.lines.is_empty() {
        true => None,
        false => Some(files::configuration(&format!("{name}.headers"))?),
    };
    let arguments = arguments(args, &headers.flags, file.as_deref())?;
    let entry = json!({ "command": command, "args": arguments });
    let within = |member: &str, entry: Value| {
        let servers: Map<_, _> = [(name.clone(), entry)].into_iter().collect();
        json!({ member: servers })
    };
    let (block, place) = match client {
        ClientName::Claude => {
            let place = "into claude_desktop_config.json, or .mcp.json of a project";
            (within("mcpServers", entry), place)
        }
        ClientName::Cursor => {
            (within("mcpServers", entry), "into .cursor/mcp.json, of a project or at home")
        }
        ClientName::Vscode => {
            let entry = json!({ "type": "stdio", "command": command, "args": arguments });
            (within("servers", entry), "into .vscode/mcp.json of a project")
        }
        ClientName::Generic => (entry, "what the client has to start"),
    };
    if ui.json() {
        ui.json_line(&block)?;
        return Ok(());
    }
    let text = serde_json::to_string_pretty(&block).unwrap_or_default();
    ui.line(&text)?;
    ui.note(place);
    if let Some(file) = file {
        // A client starts its servers without the variables of a shell, and other programs can read
        // its settings. So values of headers, which may be secret, go into a separate file.
        let lines: Vec<_> = headers.lines.iter().map(|line| shell_word(line)).collect();
        let (file, lines) = (file.to_string_lossy(), lines.join(" "));
        let folder = Path::new(&*file).parent().unwrap_or(Path::new("/")).to_string_lossy();
        ui.note("what may be secret is read from a file: put the value in place of TOKEN");
        ui.hint(&format!(
            "(umask 077; mkdir -p {} && printf '%s\\n' {lines} >{})",
            shell_word(&folder),
            shell_word(&file)
        ));
    }
    Ok(())
}

/// Returns the name for the server in the settings: its host, reduced to characters that every
/// client accepts.
fn name(host: &str) -> String {
    let characters = host.chars().map(|c| if c.is_ascii_alphanumeric() { c } else { '-' });
    characters.collect::<String>().trim_matches('-').to_owned()
}

/// Returns the arguments without `--print-config` and related flags. Paths are made absolute,
/// because a client starts its servers in another folder.
fn arguments(
    args: &ConnectArgs,
    headers: &[String],
    file: Option<&Path>,
) -> Result<Vec<String>, Failure> {
    let mut words = vec!["connect".to_owned()];
    let mut flag = |name: &str, value: String| words.extend([name.to_owned(), value]);
    let key = files::key(args.signing_key.key.as_deref())?;
    if !matches!(key.named, NamedBy::Default) {
        flag("--key", key_path(&key.path)?);
    }
    if let Some(file) = &args.signing_key.public_key {
        flag("--public-key", absolute_path(file));
    }
    if let Some(profile) = args.profile.unless_default() {
        flag("--profile", profile.to_owned());
    }
    if let Some(id) = &args.client_id {
        flag("--client-id", id.clone());
    }
    match args.ttl {
        Some(Ttl::Seconds(seconds)) => flag("--ttl", format!("{seconds}s")),
        Some(Ttl::None) => flag("--ttl", "none".to_owned()),
        None => {}
    }
    for header in headers {
        flag("--header", header.clone());
    }
    if let Some(file) = file {
        flag("--header", format!("@{}", file.to_string_lossy()));
    }
    if let Some(bytes) = args.max_body {
        flag("--max-body", bytes.to_string());
    }
    if let Some(seconds) = args.timeout {
        flag("--timeout", format!("{seconds}s"));
    }
    for (name, file) in [
        ("--ca", &args.ca),
        ("--log-file", &args.log_file),
        ("--passphrase-file", &args.passphrase.passphrase_file),
        ("--audit", &args.audit.audit),
        ("--audit-passphrase-file", &args.audit.audit_passphrase_file),
        ("--witness-policy", &args.audit.witness_policy),
    ] {
        if let Some(file) = file {
            flag(name, absolute_path(file));
        }
    }
    for pattern in &args.confirm {
        flag("--confirm", pattern.clone());
    }
    if let Some(via) = args.confirm_via {
        flag("--confirm-via", word_of(&via));
    }
    if let Some(seconds) = args.confirm_timeout {
        flag("--confirm-timeout", format!("{seconds}s"));
    }
    for pattern in &args.touch {
        flag("--touch", pattern.clone());
    }
    if let Some(key) = &args.touch_key {
        flag("--touch-key", key_path(key)?);
    }
    if let Some(key) = &args.audit.audit_key {
        flag("--audit-key", key_path(key)?);
    }
    if let Some(policy) = args.audit.audit_policy {
        flag("--audit-policy", word_of(&policy));
    }
    for rule in &args.audit.audit_redact {
        flag("--audit-redact", rule.to_string());
    }
    if let Some(sync) = args.audit.audit_sync {
        flag("--audit-sync", word_of(&sync));
    }
    if args.audit.audit_bodies {
        words.push("--audit-bodies".to_owned());
    }
    words.push(args.url.clone());
    Ok(words)
}

/// Returns a value of an enum as written on the command line.
fn word_of(value: &impl clap::ValueEnum) -> String {
    value.to_possible_value().map(|value| value.get_name().to_owned()).unwrap_or_default()
}

/// Returns the reference to a key with the path of the keyfile or of the signing program made
/// absolute. A reference to another source is returned unchanged.
///
/// # Errors
/// The path is not UTF-8, so it cannot be written into a configuration; or the command of the
/// program is malformed.
pub(super) fn key_path(key: &Path) -> Result<String, Failure> {
    let not_text = || Failure::new(Exit::Input, "not_text", "the path of the keyfile is not UTF-8");
    let text = key.to_str().ok_or_else(not_text)?;
    if let Some(command) = text.strip_prefix(EXEC) {
        let command = ExecCommand::parse(command).map_err(|e| Failure::usage(e.to_string()))?;
        return exec(&command).ok_or_else(not_text);
    }
    match KeyRef::parse(key) {
        Ok(KeyRef::File(_)) | Err(_) => Ok(absolute_path(key)),
        Ok(_) => Ok(text.to_owned()),
    }
}

/// Returns `exec:` with the absolute path of the program, and the arguments as they are. Arguments
/// that are relative paths are not changed, because they cannot be recognized. The JSON form is
/// used only if a word has a blank, at which the plain form would be split.
fn exec(command: &ExecCommand) -> Option<String> {
    let program = Path::new(command.program());
    let found = match command.program().to_str()?.contains('/') {
        true => Some(program.to_owned()),
        // A client may start this program with another PATH, so the path is looked up now.
        false => std::env::var_os("PATH").and_then(|path| {
            std::env::split_paths(&path).map(|folder| folder.join(program)).find(|p| p.is_file())
        }),
    };
    let mut words = vec![match found {
        Some(found) => absolute_path(&found),
        None => program.to_str()?.to_owned(),
    }];
    for argument in command.arguments() {
        words.push(argument.to_str()?.to_owned());
    }
    let plain = words.join(" ");
    let mut words = words.into_iter();
    let command = ExecCommand::new(words.next()?, words);
    match ExecCommand::parse(&plain).is_ok_and(|read| read == command) {
        true => Some(format!("{EXEC}{plain}")),
        false => command.to_list().map(|list| format!("{EXEC}{list}")),
    }
}

fn absolute_path(path: &Path) -> String {
    let whole = std::path::absolute(path).unwrap_or_else(|_| path.to_owned());
    whole.to_string_lossy().into_owned()
}
