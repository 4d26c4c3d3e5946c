//! The table of environment variables that commands read. `--help` and the man pages show it.

use std::fmt::Write as _;

use clap::Command;

/// An environment variable, and the commands that read it.
struct Variable {
    name: &'static str,
    /// The meaning of the variable, printed after its name.
    what: &'static str,
    /// Ids of arguments. A command reads the variable if it has one of these arguments; an empty
    /// list means every command.
    beside: &'static [&'static str],
    /// Full names of the commands that read the variable; an empty list means every command with
    /// one of the arguments in `beside`.
    only: &'static [&'static str],
}

const VARIABLES: [Variable; 17] = [
    Variable {
        name: "MCPID_KEY",
        what: "the keyfile, ssh-agent:ID, exec:PROGRAM or pkcs11: URI, where no --key is given",
        beside: &["key", "keyfile"],
        only: &[
            "mcpid sign",
            "mcpid export",
            "mcpid passwd",
            "mcpid trust add",
            "mcpid connect",
            "mcpid agent add",
            "mcpid audit cosign",
        ],
    },
    Variable {
        name: "MCPID_TRUST",
        what: "the trust file, where no --trust is given",
        beside: &["trust"],
        only: &[
            "mcpid verify",
            "mcpid gateway",
            "mcpid authz",
            "mcpid trust add",
            "mcpid trust list",
            "mcpid trust revoke",
            "mcpid trust remove",
        ],
    },
    Variable {
        name: "MCPID_NONCES",
        what: "the nonce store, where no --nonces is given",
        beside: &["nonces"],
        only: &["mcpid gateway", "mcpid authz", "mcpid nonce list", "mcpid nonce prune"],
    },
    Variable {
        name: "MCPID_NONCES_PASSWORD",
        what: "the password of a Redis store, or with _FILE behind the name a file that holds it",
        beside: &["nonces"],
        only: &[],
    },
    Variable {
        name: "MCPID_PASSPHRASE",
        what: "the passphrase, where neither --passphrase-file nor --passphrase-fd is given",
        beside: &["passphrase_file"],
        only: &[],
    },
    Variable {
        name: "MCPID_ASKPASS",
        what: "the program that asks for passphrases, for consent and for touches, in place of the terminal",
        beside: &["confirm", "touch_key", "passphrase_file", "audit_passphrase_file"],
        only: &[],
    },
    Variable {
        name: "SSH_ASKPASS",
        what: "the same, where there is neither that nor a terminal; SSH_ASKPASS_REQUIRE counts",
        beside: &["confirm", "touch_key", "passphrase_file", "audit_passphrase_file"],
        only: &[],
    },
    Variable {
        name: "SSH_AUTH_SOCK",
        what: "where the ssh-agent listens, for a key named ssh-agent:ID",
        beside: &["key", "tools_key", "audit_key"],
        only: &[
            "mcpid sign",
            "mcpid export",
            "mcpid connect",
            "mcpid gateway",
            "mcpid authz",
            "mcpid agent add",
            "mcpid audit init",
            "mcpid audit cosign",
            "mcpid audit archive",
            "mcpid audit erase",
        ],
    },
    Variable {
        name: "DBUS_SESSION_BUS_ADDRESS",
        what: "the D-Bus of the Secret Service, which may remember the passphrase",
        beside: &["passphrase_file", "audit_passphrase_file"],
        only: &[
            "mcpid sign",
            "mcpid passwd",
            "mcpid connect",
            "mcpid gateway",
            "mcpid authz",
            "mcpid agent add",
            "mcpid audit init",
            "mcpid audit cosign",
            "mcpid audit archive",
            "mcpid audit erase",
        ],
    },
    Variable {
        name: "MCPID_PKCS11_MODULE",
        what: "the absolute path of the PKCS #11 module, for a pkcs11: URI without module-path",
        beside: &["public_key", "tools_key", "audit_key"],
        only: &[],
    },
    Variable {
        name: "HTTPS_PROXY",
        what: "the HTTP proxy for https servers; HTTP_PROXY for http, ALL_PROXY for both",
        beside: &["print_config"],
        only: &[],
    },
    Variable {
        name: "NO_PROXY",
        what: "the hosts, domains and networks that no proxy is used for",
        beside: &["print_config"],
        only: &[],
    },
    Variable {
        name: "XDG_CONFIG_HOME",
        what: "in place of ~/.config, where the default keyfile and trust file are",
        beside: &["key", "keyfile", "trust", "output"],
        only: &[],
    },
    Variable {
        name: "STATE_DIRECTORY",
        what: "the folder of files that are kept, as systemd sets it for a service",
        beside: &["nonces", "audit"],
        only: &[
            "mcpid gateway",
            "mcpid authz",
            "mcpid nonce list",
            "mcpid nonce prune",
            "mcpid audit init",
            "mcpid audit verify",
            "mcpid audit show",
            "mcpid audit prove",
            "mcpid audit consistency",
            "mcpid audit witness",
            "mcpid audit archive",
            "mcpid audit erase",
            "mcpid audit report",
        ],
    },
    Variable {
        name: "CREDENTIALS_DIRECTORY",
        what: "where systemd puts nonces-password, the password of a Redis store",
        beside: &["nonces"],
        only: &[],
    },
    Variable {
        name: "NOTIFY_SOCKET",
        what: "where systemd is told that the server is ready, and that it stops",
        beside: &["check_config"],
        only: &[],
    },
    Variable { name: "NO_COLOR", what: "honoured: no output is coloured", beside: &[], only: &[] },
];

/// Adds a section to the long help of `command` and of its subcommands, which lists the environment
/// variables that each of them reads. `above` is the full name of the parent command and a blank,
/// or empty.
pub(crate) fn name_variables(mut command: Command, above: &str) -> Command {
    let full = format!("{above}{}", command.get_name());
    let names: Vec<String> =
        command.get_subcommands().map(|sub| sub.get_name().to_owned()).collect();
    for name in names {
        command = command.mut_subcommand(name, |sub| name_variables(sub, &format!("{full} ")));
    }
    let help = command.get_after_long_help().map(|help| format!("{help}\n\n"));
    let help = format!("{}Environment:\n{}", help.unwrap_or_default(), lines(&command, &full));
    command.after_long_help(help)
}

/// Returns one line of help for each variable that `command` or one of its subcommands reads.
/// `full` is the full name of `command`.
fn lines(command: &Command, full: &str) -> String {
    let read: Vec<&Variable> = VARIABLES.iter().filter(|v| v.is_read_by(command, full)).collect();
    let width = read.iter().map(|v| v.name.len()).max().unwrap_or_default();
    let mut lines = String::new();
    for variable in read {
        // Writing to a String does not fail.
        let _ = writeln!(lines, "  {:width$}  {}", variable.name, variable.what);
    }
    lines.truncate(lines.trim_end().len());
    lines
}

impl Variable {
    fn is_read_by(&self, command: &Command, full: &str) -> bool {
        let here = self.beside.is_empty()
            || (self.only.is_empty() || self.only.contains(&full))
                && command.get_arguments().any(|arg| self.beside.contains(&arg.get_id().as_str()));
        here || command
            .get_subcommands()
            .filter(|sub| !sub.is_hide_set())
            .any(|sub| self.is_read_by(sub, &format!("{full} {}", sub.get_name())))
    }
}
