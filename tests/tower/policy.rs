//! Tests of the policy that a server reads from the texts of its settings, in two syntaxes.

use mcpid::mcp::pattern::Operation;
use mcpid::mcp::setting::{self, Restricting, SettingSyntax};
use mcpid::profile::Profile;
use mcpid::tower::{FrontPolicy, Mode, ModePolicy as _, PolicyTexts, RefuseWith};
use mcpid::verify::coverage::CoverageOverrides;

/// The syntax `--strict VALUE`, or `strict=["VALUE"]` if the field is true.
struct Syntax(bool);

const FLAGS: &Syntax = &Syntax(false);
const KEYWORDS: &Syntax = &Syntax(true);

impl SettingSyntax for Syntax {
    fn name(&self, setting: &str) -> String {
        if self.0 { setting.to_owned() } else { format!("--{}", setting.replace('_', "-")) }
    }

    fn written(&self, settings: &[(&str, &str)]) -> String {
        let one = |(name, value): &(&str, &str)| match self.0 {
            true => format!("{name}=[{value:?}]"),
            false => format!("{} {value}", self.name(name)),
        };
        let all: Vec<String> = settings.iter().map(one).collect();
        all.join(if self.0 { ", " } else { " " })
    }
}

type Texts<'a> = [&'a [&'a str]; 3];

fn read(
    mode: Mode,
    texts: Texts<'_>,
    profile: &Profile,
    syntax: &Syntax,
) -> Result<FrontPolicy, (String, String)> {
    let [strict, permissive, touch] =
        texts.map(|texts| texts.iter().map(|t| (*t).to_owned()).collect());
    let (strict, permissive, touch): (Vec<_>, Vec<_>, Vec<_>) = (strict, permissive, touch);
    let texts = PolicyTexts { mode, strict: &strict, permissive: &permissive, touch: &touch };
    texts.parse(profile, syntax).map_err(|error| (error.message, error.hint.unwrap_or_default()))
}

#[test]
fn a_policy_means_what_its_settings_say() {
    let call = |name| Some(Operation { method: "tools/call", name: Some(name) });
    let mcp = Profile::mcp();
    let policy = read(Mode::Permissive, [&["tools/call:pay"], &[], &[]], &mcp, FLAGS).unwrap();
    assert_eq!(policy.modes.mode(call("pay")), Mode::Strict);
    assert_eq!(policy.modes.mode(call("look")), Mode::Permissive);
    assert!(policy.touch.is_empty() && policy.remarks.is_empty() && !policy.modes.is_learning());
    let policy = read(Mode::Strict, [&[], &["tools/call:look"], &[]], &mcp, FLAGS).unwrap();
    assert_eq!(policy.modes.mode(call("pay")), Mode::Strict);
    assert_eq!(policy.modes.mode(call("look")), Mode::Permissive);
    let texts: Texts<'_> = [&["destructive"], &[], &["tools/call:pay"]];
    let policy = read(Mode::Permissive, texts, &mcp, FLAGS).unwrap();
    assert!(policy.modes.is_learning() && !policy.touch.is_learning());
    let touch: Texts<'_> = [&[], &[], &["tools/call:pay", "destructive"]];
    let policy = read(Mode::Permissive, touch, &mcp, FLAGS).unwrap();
    assert!(!policy.modes.is_learning() && policy.touch.is_learning());
    assert_eq!(policy.touch.described(), ["tools/call:pay", "destructive"]);
    // In strict mode, a strict pattern has an effect beside a permissive one.
    read(Mode::Strict, [&["tools/call:a"], &["tools/call"], &[]], &mcp, FLAGS).unwrap();
    let policy = read(Mode::Permissive, [&["vendor/x"], &[], &["vendor/y"]], &mcp, FLAGS).unwrap();
    let settings: Vec<_> = policy.remarks.iter().map(|(setting, _)| *setting).collect();
    assert_eq!(settings, ["strict", "touch"]);
}

#[test]
fn settings_that_cannot_hold_are_refused_in_the_syntax_of_the_front() {
    const SECRET: &str = "d4ee72dbf913584ad5b6d8f1f769f8ad55c1e1a0";
    let named = format!("tools/cal:{SECRET}");
    let (strict, permissive) = (Mode::Strict, Mode::Permissive);
    let cases: [(Mode, Texts<'_>, &str, &str, &str); 15] = [
        (
            permissive,
            [&["delete_*"], &[], &[]],
            "strict: \"delete_*\" names no MCP method",
            "strict",
            "tools/call:delete_*",
        ),
        (
            permissive,
            [&["destructve"], &[], &[]],
            "strict: \"destructve\" names no MCP method",
            "strict",
            "destructive",
        ),
        (
            strict,
            [&[], &["destructve"], &[]],
            "permissive: \"destructve\" names no MCP method",
            "",
            "",
        ),
        (permissive, [&["a:"], &[], &[]], "strict cannot be 'a:': a pattern with a colon", "", ""),
        (permissive, [&[""], &[], &[]], "strict cannot be '': a pattern needs a method", "", ""),
        (
            permissive,
            [&["ping "], &[], &[]],
            "strict cannot be 'ping ': a pattern cannot hold white space",
            "",
            "",
        ),
        (
            permissive,
            [&["a\nb"], &[], &[]],
            "strict cannot be (3 characters, some of them not printable)",
            "",
            "",
        ),
        (
            permissive,
            [&[SECRET], &[], &[]],
            "strict cannot be (40 characters, looks like a key in hex)",
            "",
            "",
        ),
        (
            permissive,
            [&[&named], &[], &[]],
            "strict cannot be (50 characters, looks like a key in hex)",
            "",
            "",
        ),
        (strict, [&[], &["ping:x"], &[]], "permissive: \"ping:x\" can allow nothing", "", ""),
        (
            strict,
            [&[], &["destructive"], &[]],
            "that is what strict is for",
            "strict",
            "destructive",
        ),
        (permissive, [&[], &["ping"], &[]], "would change nothing", "permissive", "ping"),
        (strict, [&["ping"], &[], &[]], "would change nothing", "strict", "ping"),
        (strict, [&["ping"], &["ping"], &[]], "too, which wins", "", ""),
        (strict, [&[], &["ping"], &["ping"]], "too, which wins", "", ""),
    ];
    for (mode, texts, words, setting, meant) in cases {
        for syntax in [FLAGS, KEYWORDS] {
            let (message, hint) = read(mode, texts, &Profile::mcp(), syntax).unwrap_err();
            assert!(message.contains(words), "{message}");
            assert!(!message.contains(SECRET) && !hint.contains(SECRET), "{message}; {hint}");
            if !setting.is_empty() {
                let written = syntax.written(&[(setting, meant)]);
                assert!(hint.ends_with(&written), "{message}: {hint}");
            }
        }
    }
    let both =
        read(permissive, [&["ping"], &[], &["ping"]], &Profile::mcp(), KEYWORDS).unwrap_err();
    assert_eq!(both.0, "strict=[\"ping\"] would change nothing: it is touch too, which wins");
    let named = Profile::named("sep2752").unwrap();
    let (message, hint) = read(strict, [&[], &[], &["ping"]], &named, FLAGS).unwrap_err();
    assert_eq!(message, "--touch: the profile sep2752 knows no security keys");
    assert_eq!(hint, "--profile mcp");
    read(strict, [&[], &[], &[]], &named, FLAGS).unwrap();
}

#[test]
fn a_restricting_setting_takes_the_word_destructive_and_a_granting_one_does_not() {
    assert_eq!(setting::restricting(FLAGS, "strict", "destructive"), Ok(Restricting::Destructive));
    assert!(setting::granting(FLAGS, "permissive", "destructive").is_err());
    let error = setting::granting(FLAGS, "allow", "tool/call").unwrap_err();
    assert_eq!(error.hint.as_deref(), Some("--allow tools/call"));
}

#[test]
fn refusals_have_one_of_three_statuses_and_a_realm_only_with_401() {
    let realm = |text: &str| Some(text.to_owned());
    assert_eq!(RefuseWith::parse(403, None, FLAGS), Ok(RefuseWith::Forbidden));
    assert_eq!(RefuseWith::parse(200, None, FLAGS), Ok(RefuseWith::Ok));
    for (given, used) in [(None, "mcp"), (realm("a"), "a")] {
        let found = RefuseWith::parse(401, given, FLAGS);
        assert_eq!(found, Ok(RefuseWith::Unauthorized { realm: used.to_owned() }));
    }
    for status in [200, 403] {
        let error = RefuseWith::parse(status, realm("mcp"), FLAGS).unwrap_err();
        assert_eq!(error.message, "--realm is for --refuse-with 401");
        assert_eq!(error.hint.as_deref(), Some("--refuse-with 401 --realm mcp"));
    }
    for status in [0, 1, 199, 201, 400, 402, 404, 500, 503, 65535] {
        for realm in [None, realm("mcp")] {
            let error = RefuseWith::parse(status, realm, KEYWORDS).unwrap_err();
            assert_eq!(error.message, format!("refuse_with: {status} is none of 403, 401 and 200"));
        }
    }
}

#[test]
fn components_that_may_be_a_secret_are_refused_and_not_repeated() {
    let secret = "d4ee72dbf913584ad5b6d8f1f769f8ad55c1e1a0".to_owned();
    let (one, none) = (std::slice::from_ref(&secret), &[][..]);
    for (lists, name) in [((one, none), "--require"), ((none, one), "--allow-uncovered")] {
        let error = CoverageOverrides::parse(&Profile::mcp(), lists, FLAGS).unwrap_err();
        assert!(error.message.starts_with(&format!("{name}: (40 characters")), "{error}");
        assert!(!error.message.contains(&secret) && error.hint.is_none());
    }
    let names = ["date".to_owned()];
    let read = CoverageOverrides::parse(&Profile::mcp(), (&names, none), FLAGS).unwrap();
    assert_eq!(read.require, names);
}
