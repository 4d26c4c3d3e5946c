//! Tests of `-k exec:` on the command line, with programs that sign by openssl.

use std::fs;
use std::path::Path;

use crate::bridge::RunningBridge;
use crate::home::{BY_OPENSSL, Home, URL, ends, out};

#[test]
fn openssl_signs_what_verify_accepts() {
    let home = Home::new();
    let sign = ["sign", "--url", URL, "--format", "http", "body.json"];
    for (profile, genpkey) in [
        ("mcp", None),
        ("rfc9421", Some("genpkey -algorithm EC -pkeyopt ec_paramgen_curve:P-256 -out key.pem")),
    ] {
        if let Some(genpkey) = genpkey {
            home.openssl(genpkey);
            home.openssl("pkey -in key.pem -pubout -out public.pem");
        }
        let trust = format!("{profile}.json");
        let added =
            home.mcpid(&["trust", "add", "-r", &trust, "exec:bash", "--public-key", "public.pem"]);
        ends(&added, 0, "");
        let exported = home.mcpid(&[&["export", "--format", "pem"], &BY_OPENSSL[..]].concat());
        assert_eq!(out(&exported).trim_end(), home.read("public.pem").trim_end());
        // The signature is repeated because one ECDSA signature in 128 has a number with a leading
        // zero, which is shorter in DER.
        for _ in 0..3 {
            let profile = ["--profile", profile];
            let signed = home.mcpid(&[&sign[..], &BY_OPENSSL, &profile].concat());
            ends(&signed, 0, "");
            home.write("signed.http", &out(&signed));
            let verify = ["verify", "-r", &trust, "signed.http"];
            let verified = home.mcpid(&[&verify[..], &profile].concat());
            assert!(out(&verified).starts_with("accepted"), "{}", out(&verified));
        }
    }
    // If the profile does not allow P-256, the error names the key's type, and the program is not
    // started.
    let refused = home.mcpid(&[&sign[..], &BY_OPENSSL].concat());
    ends(&refused, 4, "the key of the program bash is a P-256 key, which cannot sign by");
}

#[test]
fn a_list_gives_arguments_with_blanks() {
    let home = Home::new();
    fs::rename(home.path().join("key.pem"), home.path().join("my key.pem")).unwrap();
    let sign = ["sign", "--url", URL, "body.json", "--public-key", "public.pem", "-k"];
    for key in
        [r#"exec:["bash","sign","my key.pem"]"#, "exec: [ \"bash\", \"sign\", \"my key.pem\" ]"]
    {
        ends(&home.mcpid(&[&sign[..], &[key]].concat()), 0, "");
    }
    ends(&home.mcpid(&[&sign[..], &["exec:bash sign my key.pem"]].concat()), 4, "exit code");
}

#[test]
fn the_variable_names_a_program_too() {
    let home = Home::new();
    let mut command =
        home.command(&["sign", "--url", URL, "--public-key", "public.pem", "body.json"]);
    let signed = command.env("MCPID_KEY", "exec:bash sign key.pem").output().unwrap();
    ends(&signed, 0, "");
    for act in [&["keygen"][..], &["passwd"], &["agent", "add"]] {
        let refused = home.command(act).env("MCPID_KEY", "exec:bash sign").output().unwrap();
        ends(
            &refused,
            2,
            "mcpid: MCPID_KEY names a key behind a program; a keyfile is needed here",
        );
    }
    let refused = home.mcpid(&["keygen", "-o", "exec:x", "--no-passphrase"]);
    ends(&refused, 2, "--output names a key behind a program; a keyfile is needed here");
    assert!(!home.path().join("exec:x").exists());
}

#[test]
fn a_program_without_its_public_key_is_refused() {
    let home = Home::new();
    let sign = ["sign", "--url", URL, "body.json", "-k"];
    let needed = "a program is not asked which key it has: exec: needs --public-key";
    ends(&home.mcpid(&[&sign[..], &["exec:bash sign key.pem"]].concat()), 2, needed);
    ends(&home.mcpid(&["export", "-k", "exec:bash sign key.pem"]), 2, needed);
    ends(&home.mcpid(&["trust", "add", "exec:bash sign key.pem"]), 2, needed);
    for (key, words) in [
        ("exec:", "exec: names no program; it is exec:PROGRAM [ARG…]"),
        ("exec:sh -c 'x'", "exec: is split at blanks only, and knows no quotation marks"),
        ("exec:[]", "exec: names no program; it is exec:PROGRAM [ARG…]"),
        (r#"exec:["",""]"#, "exec: names no program; it is exec:PROGRAM [ARG…]"),
        ("exec:[", "exec: with [ is a list of texts in JSON: exec:[\"PROGRAM\",\"ARG\"]"),
        (r#"exec:["sh",1]"#, "exec: with [ is a list of texts in JSON"),
        (r#"exec:["sh",["x"]]"#, "exec: with [ is a list of texts in JSON"),
        (r#"exec:["sh"] x"#, "exec: with [ is a list of texts in JSON"),
        (r#"exec:["sh","a\u0000b"]"#, "exec: has a NUL character"),
    ] {
        let pinned = ["--public-key", "public.pem"];
        ends(&home.mcpid(&[&sign[..], &[key], &pinned].concat()), 2, words);
        ends(&home.mcpid(&[&["trust", "add", key], &pinned[..]].concat()), 2, words);
    }
    home.write("two.jwks", "");
    home.openssl("genpkey -algorithm ed25519 -out other.pem");
    home.openssl("pkey -in other.pem -pubout -out other-public.pem");
    let keys = home.read("public.pem") + &home.read("other-public.pem");
    home.write("two.pem", &keys);
    for (file, code, words) in [
        ("absent.pem", 3, "absent.pem"),
        (".", 3, ""),
        ("-", 2, "--public-key cannot be -: the key is not read from stdin"),
        ("two.jwks", 4, "--public-key two.jwks: "),
        ("two.pem", 4, "--public-key two.pem: holds 2 keys; one is wanted"),
        ("body.json", 4, "--public-key body.json: "),
        ("key.pem", 4, "private key"),
    ] {
        let args = [&sign[..], &["exec:bash sign key.pem", "--public-key", file]].concat();
        ends(&home.mcpid(&args), code, words);
    }
    // The program signs by one key, and the flag names the public key of another.
    let args = [&sign[..], &["exec:bash sign other.pem", "--public-key", "public.pem"]].concat();
    let lied =
        "the program bash returned a signature that does not hold for these bytes and this key";
    ends(&home.mcpid(&args), 4, lied);
    let file = ["trust", "add", "public.pem", "--public-key", "public.pem"];
    ends(&home.mcpid(&file), 2, "--public-key goes with a key in an agent or behind a program");
}

#[test]
fn a_pinned_public_key_holds_for_a_keyfile_too() {
    let home = Home::new();
    ends(
        &home.mcpid(&["keygen", "-o", "key.json", "--import", "key.pem", "--no-passphrase"]),
        0,
        "",
    );
    let sign = ["sign", "--url", URL, "body.json", "-k", "key.json", "--public-key"];
    ends(&home.mcpid(&[&sign[..], &["public.pem"]].concat()), 0, "");
    ends(&home.mcpid(&["keygen", "-o", "other.json", "--no-passphrase"]), 0, "");
    let other = home.mcpid(&[&sign[..], &["other.json"]].concat());
    ends(&other, 4, ", and the public key that was given is ");
}

#[test]
fn what_a_program_writes_to_stderr_is_not_shown() {
    let home = Home::new();
    for flags in [&[][..], &["--json"], &["-v"]] {
        let mut command = home.sign_by("echo swordfish >&2; echo swordfish; exit 1");
        let output = command.args(flags).output().unwrap();
        ends(&output, 4, "the program sh did not sign: exit code 1");
        assert!(!String::from_utf8_lossy(&output.stderr).contains("swordfish"));
    }
    let output = home.sign_by("echo swordfish").output().unwrap();
    ends(&output, 4, r#"the program sh printed something else than {"signature":"BASE64"}"#);
    let args = ["-k", "exec:./absent --token swordfish", "--public-key", "public.pem"];
    let absent = home.mcpid(&[&["sign", "--url", URL, "body.json"], &args[..]].concat());
    ends(&absent, 4, "the program absent cannot be started: no such file");
    assert!(!String::from_utf8_lossy(&absent.stderr).contains("swordfish"));
}

#[test]
fn passphrases_are_not_in_the_environment_of_a_program() {
    let home = Home::new();
    let mut command = home.sign_by("env > seen; exit 1");
    command.env("MCPID_PASSPHRASE", "swordfish").env("MCPID_NONCES", "redis://:swordfish@h/");
    command.env("MCPID_NONCES_PASSWORD", "swordfish").env("AWS_PROFILE", "agents");
    ends(&command.output().unwrap(), 4, "exit code 1");
    let seen = home.read("seen");
    assert!(!seen.contains("swordfish"), "{seen}");
    assert!(seen.contains("AWS_PROFILE=agents"), "{seen}");
    let noted = home.sign_by("cat > /dev/null").args(["--passphrase-file", "body.json"]).output();
    ends(&noted.unwrap(), 4, "the key is behind a program; the passphrase is not used");
}

#[test]
fn a_bridge_signs_each_request_by_the_program() {
    let home = Home::new();
    home.write("script", "echo x >> count; test -e broken && exit 1; exec bash sign key.pem");
    let key = ["-k", "exec:/bin/sh script", "--public-key", "public.pem"];
    // No server listens at this address. The bridge therefore fails in one of two ways: when it
    // connects (it has signed), or before (it could not sign).
    let mut bridge = RunningBridge::start(
        &mut home.command(&[&["connect", "http://127.0.0.1:9/mcp"], &key[..]].concat()),
    );
    for id in 1..10 {
        let message = bridge.error_of(id);
        assert!(message.contains("connection refused"), "{message}");
    }
    assert!(home.read("count").lines().count() >= 9);
    home.write("broken", "");
    let message = bridge.error_of(10);
    assert!(message.contains("the program sh did not sign: exit code 1"), "{message}");
    fs::remove_file(home.path().join("broken")).unwrap();
    let message = bridge.error_of(11);
    assert!(message.contains("connection refused"), "{message}");
    bridge.ends_well();
}

#[test]
fn a_printed_configuration_starts_the_same_program() {
    let home = Home::new();
    let url = "https://mcp.example.com/mcp";
    let print = |key: &str| {
        let key = ["-k", key, "--public-key", "public.pem"];
        home.mcpid(&[&["connect", "--print-config", "generic"], &key[..], &[url]].concat())
    };
    let printed = print("exec:./sign key.pem");
    ends(&printed, 0, "");
    let json: serde_json::Value = serde_json::from_str(&out(&printed)).unwrap();
    let folder = home.path().canonicalize().unwrap();
    let args: Vec<_> =
        json["args"].as_array().unwrap().iter().map(|a| a.as_str().unwrap()).collect();
    let sign = args[2].strip_prefix("exec:").unwrap();
    assert!(sign.starts_with('/') && sign.ends_with("sign key.pem"), "{sign}");
    let pinned = Path::new(args[4]).canonicalize().unwrap();
    assert_eq!((args[1], args[3], pinned), ("--key", "--public-key", folder.join("public.pem")));
    let printed = out(&print("exec:sh sign"));
    assert!(printed.contains("/sh sign\""), "{printed}");
    // A program whose path has a blank is given as a list in the settings file, and `mcpid` starts
    // it by that list.
    fs::create_dir(home.path().join("key tools")).unwrap();
    fs::copy(home.path().join("sign"), home.path().join("key tools/sign")).unwrap();
    let printed = print(r#"exec:["./key tools/sign","my key.pem"]"#);
    let json: serde_json::Value = serde_json::from_str(&out(&printed)).unwrap();
    let list: Vec<String> =
        serde_json::from_str(json["args"][2].as_str().unwrap().strip_prefix("exec:").unwrap())
            .unwrap();
    assert!(list[0].starts_with('/') && list[0].ends_with("/key tools/sign"), "{list:?}");
    assert_eq!(list[1], "my key.pem");
}
