# Print an optspec for argparse to handle cmd's options that are independent of any subcommand.
function __fish_mcpid_global_optspecs
    string join \n json q/quiet v/verbose h/help V/version
end

function __fish_mcpid_needs_command
    # Figure out if the current invocation already has a command.
    set -l cmd (commandline -opc)
    set -e cmd[1]
    argparse -s (__fish_mcpid_global_optspecs) -- $cmd 2>/dev/null
    or return
    if set -q argv[1]
        # Also print the command, so this can be used to figure out what it is.
        echo $argv[1]
        return 1
    end
    return 0
end

function __fish_mcpid_using_subcommand
    set -l cmd (__fish_mcpid_needs_command)
    test -z "$cmd"
    and return 1
    contains -- $cmd[1] $argv
end

complete -c mcpid -n "__fish_mcpid_needs_command" -l json -d 'Print results, and failures on stderr, as JSON'
complete -c mcpid -n "__fish_mcpid_needs_command" -s q -l quiet -d 'Print only failures and warnings on stderr'
complete -c mcpid -n "__fish_mcpid_needs_command" -s v -l verbose -d 'Print more on stderr'
complete -c mcpid -n "__fish_mcpid_needs_command" -s h -l help -d 'Print help'
complete -c mcpid -n "__fish_mcpid_needs_command" -s V -l version -d 'Print version'
complete -c mcpid -n "__fish_mcpid_needs_command" -f -a "demo" -d 'Show in one run what mcpid accepts and refuses'
complete -c mcpid -n "__fish_mcpid_needs_command" -f -a "keygen" -d 'Make a key, or import one'
complete -c mcpid -n "__fish_mcpid_needs_command" -f -a "sign" -d 'Sign a payload or an HTTP request'
complete -c mcpid -n "__fish_mcpid_needs_command" -f -a "verify" -d 'Judge captured requests'
complete -c mcpid -n "__fish_mcpid_needs_command" -f -a "inspect" -d 'Show what signed requests claim, without judging them'
complete -c mcpid -n "__fish_mcpid_needs_command" -f -a "export" -d 'Print the public part of a key'
complete -c mcpid -n "__fish_mcpid_needs_command" -f -a "passwd" -d 'Change the passphrase of a keyfile'
complete -c mcpid -n "__fish_mcpid_needs_command" -f -a "trust" -d 'Say whose signatures count'
complete -c mcpid -n "__fish_mcpid_needs_command" -f -a "nonce" -d 'List and prune used nonces'
complete -c mcpid -n "__fish_mcpid_needs_command" -f -a "gateway" -d 'Verify requests before they reach an MCP server'
complete -c mcpid -n "__fish_mcpid_needs_command" -f -a "connect" -d 'Let an unmodified MCP client sign'
complete -c mcpid -n "__fish_mcpid_needs_command" -f -a "agent" -d 'Keep a key in a running ssh-agent'
complete -c mcpid -n "__fish_mcpid_needs_command" -f -a "authz" -d 'Tell a proxy whether to pass a request on'
complete -c mcpid -n "__fish_mcpid_needs_command" -f -a "audit" -d 'Keep and check evidence of what was authorised'
complete -c mcpid -n "__fish_mcpid_needs_command" -f -a "help" -d 'Show how a command is used'
complete -c mcpid -n "__fish_mcpid_needs_command" -f -a "version" -d 'Print the version'
complete -c mcpid -n "__fish_mcpid_using_subcommand demo" -l json -d 'Print results, and failures on stderr, as JSON'
complete -c mcpid -n "__fish_mcpid_using_subcommand demo" -s q -l quiet -d 'Print only failures and warnings on stderr'
complete -c mcpid -n "__fish_mcpid_using_subcommand demo" -s v -l verbose -d 'Print more on stderr'
complete -c mcpid -n "__fish_mcpid_using_subcommand demo" -s h -l help -d 'Print help'
complete -c mcpid -n "__fish_mcpid_using_subcommand keygen" -s o -l output -d 'The path of the new keyfile' -r -F
complete -c mcpid -n "__fish_mcpid_using_subcommand keygen" -l name -d 'The name of the key; it can be read without the passphrase' -r
complete -c mcpid -n "__fish_mcpid_using_subcommand keygen" -l algorithm -d 'The kind of key to make; profiles say which kinds may sign [default: ed25519]' -r -f -a "ed25519\t'Ed25519 (RFC 8032), for every profile'
p256\t'ECDSA on P-256 with SHA-256, for profiles that allow it'"
complete -c mcpid -n "__fish_mcpid_using_subcommand keygen" -l import -d 'Take the private key from this file, or - for stdin: JWK, PEM, OpenSSH, or its 32 bytes in hex or base64' -r -F
complete -c mcpid -n "__fish_mcpid_using_subcommand keygen" -l passphrase-file -d 'Read the passphrase from this file; one trailing newline is dropped' -r -F
complete -c mcpid -n "__fish_mcpid_using_subcommand keygen" -l passphrase-fd -d 'Read the passphrase from this open file descriptor; one trailing newline is dropped' -r
complete -c mcpid -n "__fish_mcpid_using_subcommand keygen" -l no-passphrase -d 'Do not encrypt: every program that can read the file can sign'
complete -c mcpid -n "__fish_mcpid_using_subcommand keygen" -l weak -d 'Accept a passphrase of under 8 characters'
complete -c mcpid -n "__fish_mcpid_using_subcommand keygen" -l json -d 'Print results, and failures on stderr, as JSON'
complete -c mcpid -n "__fish_mcpid_using_subcommand keygen" -s q -l quiet -d 'Print only failures and warnings on stderr'
complete -c mcpid -n "__fish_mcpid_using_subcommand keygen" -s v -l verbose -d 'Print more on stderr'
complete -c mcpid -n "__fish_mcpid_using_subcommand keygen" -s h -l help -d 'Print help (see more with \'--help\')'
complete -c mcpid -n "__fish_mcpid_using_subcommand sign" -s k -l key -d 'The keyfile, ssh-agent:ID for a key in the ssh-agent, \'exec:PROGRAM ARG...\' for a program that signs, or a pkcs11: URI for a key in a token [env: MCPID_KEY]' -r -F
complete -c mcpid -n "__fish_mcpid_using_subcommand sign" -l public-key -d 'The public key of KEY, which each signature must fit; needed for exec:' -r -F
complete -c mcpid -n "__fish_mcpid_using_subcommand sign" -l profile -d 'The rules to sign by' -r -f -a "mcp\t'All of mcpid\'s rules'
sep2752\t'The rules of the draft SEP-2752, and no more'
rfc9421\t'Any signature of RFC 9421, for audits and interoperability'
adcp\t'Request signing of AdCP 3.2, the Ad Context Protocol'
ucp\t'Message signatures of UCP, the Universal Commerce Protocol'"
complete -c mcpid -n "__fish_mcpid_using_subcommand sign" -l client-id -d 'The stable client id to send as tag, in place of the key id' -r
complete -c mcpid -n "__fish_mcpid_using_subcommand sign" -l cover -d 'Cover one more component, such as x-request-id or \'@authority\'' -r
complete -c mcpid -n "__fish_mcpid_using_subcommand sign" -l no-cover -d 'Do not cover this component' -r
complete -c mcpid -n "__fish_mcpid_using_subcommand sign" -l keyid -d 'The id under which the receiver has the key, in place of its thumbprint; only for a profile that looks keys up by kid' -r
complete -c mcpid -n "__fish_mcpid_using_subcommand sign" -l label -d 'The signature\'s label [default: the one of the profile; mcp under the profile mcp]' -r
complete -c mcpid -n "__fish_mcpid_using_subcommand sign" -l ttl -d 'After how long the signature expires, or none; 30s under the profile mcp' -r
complete -c mcpid -n "__fish_mcpid_using_subcommand sign" -l at -d 'Sign as of this time: RFC 3339 or @UNIX' -r
complete -c mcpid -n "__fish_mcpid_using_subcommand sign" -l format -d 'The format of the output [default: headers with --url, else http]' -r -f -a "headers\t'The header fields to send, one on each line'
http\t'The whole HTTP/1.1 request'
curl\t'A shell command that sends exactly the signed bytes'"
complete -c mcpid -n "__fish_mcpid_using_subcommand sign" -l touch -d 'Sign a second time with the touch of this security key, ssh-agent:ID' -r -F
complete -c mcpid -n "__fish_mcpid_using_subcommand sign" -l passphrase-file -d 'Read the passphrase from this file; one trailing newline is dropped' -r -F
complete -c mcpid -n "__fish_mcpid_using_subcommand sign" -l passphrase-fd -d 'Read the passphrase from this open file descriptor; one trailing newline is dropped' -r
complete -c mcpid -n "__fish_mcpid_using_subcommand sign" -l url -d 'The URL to which the payload will be sent' -r
complete -c mcpid -n "__fish_mcpid_using_subcommand sign" -l method -d 'The method of the request [default: POST]' -r
complete -c mcpid -n "__fish_mcpid_using_subcommand sign" -s H -l header -d 'A header to send with it: \'Name: value\', or @FILE with one header on each line' -r
complete -c mcpid -n "__fish_mcpid_using_subcommand sign" -l origin -d 'The scheme and host the request is meant for, such as https://mcp.example.com' -r
complete -c mcpid -n "__fish_mcpid_using_subcommand sign" -l replace -d 'Replace a signature of the same label in the request'
complete -c mcpid -n "__fish_mcpid_using_subcommand sign" -l json -d 'Print results, and failures on stderr, as JSON'
complete -c mcpid -n "__fish_mcpid_using_subcommand sign" -s q -l quiet -d 'Print only failures and warnings on stderr'
complete -c mcpid -n "__fish_mcpid_using_subcommand sign" -s v -l verbose -d 'Print more on stderr'
complete -c mcpid -n "__fish_mcpid_using_subcommand sign" -s h -l help -d 'Print help (see more with \'--help\')'
complete -c mcpid -n "__fish_mcpid_using_subcommand verify" -s r -l trust -d 'A trust file, or a folder of them; may be repeated [env: MCPID_TRUST]' -r -F
complete -c mcpid -n "__fish_mcpid_using_subcommand verify" -l profile -d 'The rules to judge by' -r -f -a "mcp\t'All of mcpid\'s rules'
sep2752\t'The rules of the draft SEP-2752, and no more'
rfc9421\t'Any signature of RFC 9421, for audits and interoperability'
adcp\t'Request signing of AdCP 3.2, the Ad Context Protocol'
ucp\t'Message signatures of UCP, the Universal Commerce Protocol'"
complete -c mcpid -n "__fish_mcpid_using_subcommand verify" -l window -d 'How old a signature may be; 30s under the profile mcp' -r
complete -c mcpid -n "__fish_mcpid_using_subcommand verify" -l ahead -d 'How far the signer\'s clock may be ahead; 5s under the profile mcp' -r
complete -c mcpid -n "__fish_mcpid_using_subcommand verify" -l require -d 'Require one more component to be covered' -r
complete -c mcpid -n "__fish_mcpid_using_subcommand verify" -l allow-uncovered -d 'Do not require this component to be covered' -r
complete -c mcpid -n "__fish_mcpid_using_subcommand verify" -l max-body -d 'The largest body that is judged, in bytes or as 4MiB [default: 4MiB]' -r
complete -c mcpid -n "__fish_mcpid_using_subcommand verify" -l origin -d 'A scheme and host of this server, such as https://mcp.example.com; may be repeated' -r
complete -c mcpid -n "__fish_mcpid_using_subcommand verify" -l at -d 'Judge as of this time: RFC 3339, @UNIX, or capture for the time in each request' -r
complete -c mcpid -n "__fish_mcpid_using_subcommand verify" -l nonces -d 'Claim nonces in this store, such as sqlite:PATH (with --at, only look them up)' -r
complete -c mcpid -n "__fish_mcpid_using_subcommand verify" -l touch -d 'Refuse operations METHOD[:NAME], where * stands for any text, whose signature no touch of a security key joins; may be repeated' -r
complete -c mcpid -n "__fish_mcpid_using_subcommand verify" -l only -d 'Judge only requests whose target begins with this text, and count the others' -r
complete -c mcpid -n "__fish_mcpid_using_subcommand verify" -l html -d 'Write the result as one self-contained page to this file too, or only that page to stdout for -; no file but an older page is replaced' -r -F
complete -c mcpid -n "__fish_mcpid_using_subcommand verify" -l allow-evicting-store -d 'Use Redis servers that evict keys when full, although a nonce can then be used twice without notice'
complete -c mcpid -n "__fish_mcpid_using_subcommand verify" -l raise-retention -d 'Make the store keep nonces for longer, if this window needs it; all users of the store then refuse requests for about that window'
complete -c mcpid -n "__fish_mcpid_using_subcommand verify" -l json -d 'Print results, and failures on stderr, as JSON'
complete -c mcpid -n "__fish_mcpid_using_subcommand verify" -s q -l quiet -d 'Print only failures and warnings on stderr'
complete -c mcpid -n "__fish_mcpid_using_subcommand verify" -s v -l verbose -d 'Print more on stderr'
complete -c mcpid -n "__fish_mcpid_using_subcommand verify" -s h -l help -d 'Print help (see more with \'--help\')'
complete -c mcpid -n "__fish_mcpid_using_subcommand inspect" -l label -d 'Look at the signature of this label only' -r
complete -c mcpid -n "__fish_mcpid_using_subcommand inspect" -l at -d 'Print ages as of this time: RFC 3339, @UNIX, or capture for the time in each request' -r
complete -c mcpid -n "__fish_mcpid_using_subcommand inspect" -l nonces -d 'Look nonces up in this store, such as sqlite:PATH' -r
complete -c mcpid -n "__fish_mcpid_using_subcommand inspect" -l base -d 'Print the signature base: exactly the bytes that were signed'
complete -c mcpid -n "__fish_mcpid_using_subcommand inspect" -l allow-evicting-store -d 'Use Redis servers that evict keys when full, although a nonce can then be used twice without notice'
complete -c mcpid -n "__fish_mcpid_using_subcommand inspect" -l json -d 'Print results, and failures on stderr, as JSON'
complete -c mcpid -n "__fish_mcpid_using_subcommand inspect" -s q -l quiet -d 'Print only failures and warnings on stderr'
complete -c mcpid -n "__fish_mcpid_using_subcommand inspect" -s v -l verbose -d 'Print more on stderr'
complete -c mcpid -n "__fish_mcpid_using_subcommand inspect" -s h -l help -d 'Print help'
complete -c mcpid -n "__fish_mcpid_using_subcommand export" -s k -l key -d 'The keyfile, ssh-agent:ID for a key in the ssh-agent, \'exec:PROGRAM ARG...\' for a program that signs, or a pkcs11: URI for a key in a token [env: MCPID_KEY]' -r -F
complete -c mcpid -n "__fish_mcpid_using_subcommand export" -l public-key -d 'The public key of KEY, which each signature must fit; needed for exec:' -r -F
complete -c mcpid -n "__fish_mcpid_using_subcommand export" -l format -d 'The form of the key' -r -f -a "jwk\t'A JSON Web Key (RFC 7517)'
jwks\t'A JSON Web Key Set with this one key'
pem\t'SubjectPublicKeyInfo in PEM'
openssh\t'A line for OpenSSH'
did\t'A did:key identifier'
hex\t'The key\'s bytes in hex: 32 of Ed25519, 65 of P-256'
thumbprint\t'The key id: the RFC 7638 thumbprint'"
complete -c mcpid -n "__fish_mcpid_using_subcommand export" -l jwk-alg -d 'Give the JWK an alg member, for programs that require it' -r -f -a "EdDSA\t'RFC 8037, which most programs know'
Ed25519\t'RFC 9864'
ES256\t'RFC 7518, for keys of P-256'"
complete -c mcpid -n "__fish_mcpid_using_subcommand export" -l json -d 'Print results, and failures on stderr, as JSON'
complete -c mcpid -n "__fish_mcpid_using_subcommand export" -s q -l quiet -d 'Print only failures and warnings on stderr'
complete -c mcpid -n "__fish_mcpid_using_subcommand export" -s v -l verbose -d 'Print more on stderr'
complete -c mcpid -n "__fish_mcpid_using_subcommand export" -s h -l help -d 'Print help (see more with \'--help\')'
complete -c mcpid -n "__fish_mcpid_using_subcommand passwd" -s k -l key -d 'The keyfile [env: MCPID_KEY]' -r -F
complete -c mcpid -n "__fish_mcpid_using_subcommand passwd" -l passphrase-file -d 'Read the passphrase from this file; one trailing newline is dropped' -r -F
complete -c mcpid -n "__fish_mcpid_using_subcommand passwd" -l passphrase-fd -d 'Read the passphrase from this open file descriptor; one trailing newline is dropped' -r
complete -c mcpid -n "__fish_mcpid_using_subcommand passwd" -l new-passphrase-file -d 'Read the new passphrase from this file; one trailing newline is dropped' -r -F
complete -c mcpid -n "__fish_mcpid_using_subcommand passwd" -l new-passphrase-fd -d 'Read the new passphrase from this open file descriptor; one trailing newline is dropped' -r
complete -c mcpid -n "__fish_mcpid_using_subcommand passwd" -l no-passphrase -d 'Do not encrypt any more: every program that can read the file can sign'
complete -c mcpid -n "__fish_mcpid_using_subcommand passwd" -l weak -d 'Accept a new passphrase of under 8 characters'
complete -c mcpid -n "__fish_mcpid_using_subcommand passwd" -l remember -d 'Have the Secret Service of this session remember the present passphrase'
complete -c mcpid -n "__fish_mcpid_using_subcommand passwd" -l forget -d 'Have the Secret Service forget the passphrase'
complete -c mcpid -n "__fish_mcpid_using_subcommand passwd" -l json -d 'Print results, and failures on stderr, as JSON'
complete -c mcpid -n "__fish_mcpid_using_subcommand passwd" -s q -l quiet -d 'Print only failures and warnings on stderr'
complete -c mcpid -n "__fish_mcpid_using_subcommand passwd" -s v -l verbose -d 'Print more on stderr'
complete -c mcpid -n "__fish_mcpid_using_subcommand passwd" -s h -l help -d 'Print help'
complete -c mcpid -n "__fish_mcpid_using_subcommand trust; and not __fish_seen_subcommand_from add list revoke remove" -l json -d 'Print results, and failures on stderr, as JSON'
complete -c mcpid -n "__fish_mcpid_using_subcommand trust; and not __fish_seen_subcommand_from add list revoke remove" -s q -l quiet -d 'Print only failures and warnings on stderr'
complete -c mcpid -n "__fish_mcpid_using_subcommand trust; and not __fish_seen_subcommand_from add list revoke remove" -s v -l verbose -d 'Print more on stderr'
complete -c mcpid -n "__fish_mcpid_using_subcommand trust; and not __fish_seen_subcommand_from add list revoke remove" -s h -l help -d 'Print help'
complete -c mcpid -n "__fish_mcpid_using_subcommand trust; and not __fish_seen_subcommand_from add list revoke remove" -f -a "add" -d 'Trust a key'
complete -c mcpid -n "__fish_mcpid_using_subcommand trust; and not __fish_seen_subcommand_from add list revoke remove" -f -a "list" -d 'Show the keys of a trust file'
complete -c mcpid -n "__fish_mcpid_using_subcommand trust; and not __fish_seen_subcommand_from add list revoke remove" -f -a "revoke" -d 'Revoke a key, so that its signatures count no more'
complete -c mcpid -n "__fish_mcpid_using_subcommand trust; and not __fish_seen_subcommand_from add list revoke remove" -f -a "remove" -d 'Remove a key, so that it is unknown'
complete -c mcpid -n "__fish_mcpid_using_subcommand trust; and __fish_seen_subcommand_from add" -l public-key -d 'The public key of a KEY that is in an agent or behind a program; needed for exec:' -r -F
complete -c mcpid -n "__fish_mcpid_using_subcommand trust; and __fish_seen_subcommand_from add" -l kid -d 'The key with this kid, of a set of several' -r
complete -c mcpid -n "__fish_mcpid_using_subcommand trust; and __fish_seen_subcommand_from add" -s r -l trust -d 'The trust file [env: MCPID_TRUST]' -r -F
complete -c mcpid -n "__fish_mcpid_using_subcommand trust; and __fish_seen_subcommand_from add" -l name -d 'The name of the key [default: the name in the keyfile]' -r
complete -c mcpid -n "__fish_mcpid_using_subcommand trust; and __fish_seen_subcommand_from add" -l client-id -d 'A client id that this key may send as tag, besides its key id; may be repeated' -r
complete -c mcpid -n "__fish_mcpid_using_subcommand trust; and __fish_seen_subcommand_from add" -l not-before -d 'Not valid before this time: RFC 3339 or @UNIX' -r
complete -c mcpid -n "__fish_mcpid_using_subcommand trust; and __fish_seen_subcommand_from add" -l not-after -d 'Not valid after this time: RFC 3339 or @UNIX' -r
complete -c mcpid -n "__fish_mcpid_using_subcommand trust; and __fish_seen_subcommand_from add" -l allow -d 'What the key may do, METHOD[:NAME], where * stands for any text; may be repeated [default: everything]' -r
complete -c mcpid -n "__fish_mcpid_using_subcommand trust; and __fish_seen_subcommand_from add" -l for -d 'Whose signatures the touch may join; may be repeated [default: those of the keys with the name of this entry]' -r
complete -c mcpid -n "__fish_mcpid_using_subcommand trust; and __fish_seen_subcommand_from add" -l alone -d 'Let the security key sign requests alone, without a signature of another key'
complete -c mcpid -n "__fish_mcpid_using_subcommand trust; and __fish_seen_subcommand_from add" -l require-verified -d 'Count only touches for which the security key verified the person, by a PIN or a fingerprint'
complete -c mcpid -n "__fish_mcpid_using_subcommand trust; and __fish_seen_subcommand_from add" -l json -d 'Print results, and failures on stderr, as JSON'
complete -c mcpid -n "__fish_mcpid_using_subcommand trust; and __fish_seen_subcommand_from add" -s q -l quiet -d 'Print only failures and warnings on stderr'
complete -c mcpid -n "__fish_mcpid_using_subcommand trust; and __fish_seen_subcommand_from add" -s v -l verbose -d 'Print more on stderr'
complete -c mcpid -n "__fish_mcpid_using_subcommand trust; and __fish_seen_subcommand_from add" -s h -l help -d 'Print help'
complete -c mcpid -n "__fish_mcpid_using_subcommand trust; and __fish_seen_subcommand_from list" -s r -l trust -d 'The trust file [env: MCPID_TRUST]' -r -F
complete -c mcpid -n "__fish_mcpid_using_subcommand trust; and __fish_seen_subcommand_from list" -l json -d 'Print results, and failures on stderr, as JSON'
complete -c mcpid -n "__fish_mcpid_using_subcommand trust; and __fish_seen_subcommand_from list" -s q -l quiet -d 'Print only failures and warnings on stderr'
complete -c mcpid -n "__fish_mcpid_using_subcommand trust; and __fish_seen_subcommand_from list" -s v -l verbose -d 'Print more on stderr'
complete -c mcpid -n "__fish_mcpid_using_subcommand trust; and __fish_seen_subcommand_from list" -s h -l help -d 'Print help'
complete -c mcpid -n "__fish_mcpid_using_subcommand trust; and __fish_seen_subcommand_from revoke" -s r -l trust -d 'The trust file [env: MCPID_TRUST]' -r -F
complete -c mcpid -n "__fish_mcpid_using_subcommand trust; and __fish_seen_subcommand_from revoke" -l at -d 'The time of the revocation: RFC 3339 or @UNIX [default: now]' -r
complete -c mcpid -n "__fish_mcpid_using_subcommand trust; and __fish_seen_subcommand_from revoke" -l json -d 'Print results, and failures on stderr, as JSON'
complete -c mcpid -n "__fish_mcpid_using_subcommand trust; and __fish_seen_subcommand_from revoke" -s q -l quiet -d 'Print only failures and warnings on stderr'
complete -c mcpid -n "__fish_mcpid_using_subcommand trust; and __fish_seen_subcommand_from revoke" -s v -l verbose -d 'Print more on stderr'
complete -c mcpid -n "__fish_mcpid_using_subcommand trust; and __fish_seen_subcommand_from revoke" -s h -l help -d 'Print help'
complete -c mcpid -n "__fish_mcpid_using_subcommand trust; and __fish_seen_subcommand_from remove" -s r -l trust -d 'The trust file [env: MCPID_TRUST]' -r -F
complete -c mcpid -n "__fish_mcpid_using_subcommand trust; and __fish_seen_subcommand_from remove" -l json -d 'Print results, and failures on stderr, as JSON'
complete -c mcpid -n "__fish_mcpid_using_subcommand trust; and __fish_seen_subcommand_from remove" -s q -l quiet -d 'Print only failures and warnings on stderr'
complete -c mcpid -n "__fish_mcpid_using_subcommand trust; and __fish_seen_subcommand_from remove" -s v -l verbose -d 'Print more on stderr'
complete -c mcpid -n "__fish_mcpid_using_subcommand trust; and __fish_seen_subcommand_from remove" -s h -l help -d 'Print help'
complete -c mcpid -n "__fish_mcpid_using_subcommand nonce; and not __fish_seen_subcommand_from list prune" -l json -d 'Print results, and failures on stderr, as JSON'
complete -c mcpid -n "__fish_mcpid_using_subcommand nonce; and not __fish_seen_subcommand_from list prune" -s q -l quiet -d 'Print only failures and warnings on stderr'
complete -c mcpid -n "__fish_mcpid_using_subcommand nonce; and not __fish_seen_subcommand_from list prune" -s v -l verbose -d 'Print more on stderr'
complete -c mcpid -n "__fish_mcpid_using_subcommand nonce; and not __fish_seen_subcommand_from list prune" -s h -l help -d 'Print help'
complete -c mcpid -n "__fish_mcpid_using_subcommand nonce; and not __fish_seen_subcommand_from list prune" -f -a "list" -d 'Show which nonces are kept, and until when'
complete -c mcpid -n "__fish_mcpid_using_subcommand nonce; and not __fish_seen_subcommand_from list prune" -f -a "prune" -d 'Remove expired nonces'
complete -c mcpid -n "__fish_mcpid_using_subcommand nonce; and __fish_seen_subcommand_from list" -l nonces -d 'The store, such as sqlite:PATH [env: MCPID_NONCES]' -r
complete -c mcpid -n "__fish_mcpid_using_subcommand nonce; and __fish_seen_subcommand_from list" -l allow-evicting-store -d 'Use Redis servers that evict keys when full, although a nonce can then be used twice without notice'
complete -c mcpid -n "__fish_mcpid_using_subcommand nonce; and __fish_seen_subcommand_from list" -l json -d 'Print results, and failures on stderr, as JSON'
complete -c mcpid -n "__fish_mcpid_using_subcommand nonce; and __fish_seen_subcommand_from list" -s q -l quiet -d 'Print only failures and warnings on stderr'
complete -c mcpid -n "__fish_mcpid_using_subcommand nonce; and __fish_seen_subcommand_from list" -s v -l verbose -d 'Print more on stderr'
complete -c mcpid -n "__fish_mcpid_using_subcommand nonce; and __fish_seen_subcommand_from list" -s h -l help -d 'Print help'
complete -c mcpid -n "__fish_mcpid_using_subcommand nonce; and __fish_seen_subcommand_from prune" -l nonces -d 'The store, such as sqlite:PATH [env: MCPID_NONCES]' -r
complete -c mcpid -n "__fish_mcpid_using_subcommand nonce; and __fish_seen_subcommand_from prune" -l allow-evicting-store -d 'Use Redis servers that evict keys when full, although a nonce can then be used twice without notice'
complete -c mcpid -n "__fish_mcpid_using_subcommand nonce; and __fish_seen_subcommand_from prune" -l json -d 'Print results, and failures on stderr, as JSON'
complete -c mcpid -n "__fish_mcpid_using_subcommand nonce; and __fish_seen_subcommand_from prune" -s q -l quiet -d 'Print only failures and warnings on stderr'
complete -c mcpid -n "__fish_mcpid_using_subcommand nonce; and __fish_seen_subcommand_from prune" -s v -l verbose -d 'Print more on stderr'
complete -c mcpid -n "__fish_mcpid_using_subcommand nonce; and __fish_seen_subcommand_from prune" -s h -l help -d 'Print help'
complete -c mcpid -n "__fish_mcpid_using_subcommand gateway; and not __fish_seen_subcommand_from report" -l upstream -d 'The MCP server: http://HOST[:PORT]/PATH, https://…, or unix:SOCKET' -r
complete -c mcpid -n "__fish_mcpid_using_subcommand gateway; and not __fish_seen_subcommand_from report" -l listen -d 'The address to listen on [default: 127.0.0.1:8080]' -r
complete -c mcpid -n "__fish_mcpid_using_subcommand gateway; and not __fish_seen_subcommand_from report" -l config -d 'A TOML file with settings that are not given by flags' -r -F
complete -c mcpid -n "__fish_mcpid_using_subcommand gateway; and not __fish_seen_subcommand_from report" -s r -l trust -d 'A trust file, or a folder of them; may be repeated [env: MCPID_TRUST]' -r -F
complete -c mcpid -n "__fish_mcpid_using_subcommand gateway; and not __fish_seen_subcommand_from report" -l profile -d 'The rules to judge by' -r -f -a "mcp\t'All of mcpid\'s rules'
sep2752\t'The rules of the draft SEP-2752, and no more'
rfc9421\t'Any signature of RFC 9421, for audits and interoperability'
adcp\t'Request signing of AdCP 3.2, the Ad Context Protocol'
ucp\t'Message signatures of UCP, the Universal Commerce Protocol'"
complete -c mcpid -n "__fish_mcpid_using_subcommand gateway; and not __fish_seen_subcommand_from report" -l window -d 'How old a signature may be; 30s under the profile mcp' -r
complete -c mcpid -n "__fish_mcpid_using_subcommand gateway; and not __fish_seen_subcommand_from report" -l ahead -d 'How far the signer\'s clock may be ahead; 5s under the profile mcp' -r
complete -c mcpid -n "__fish_mcpid_using_subcommand gateway; and not __fish_seen_subcommand_from report" -l require -d 'Require one more component to be covered' -r
complete -c mcpid -n "__fish_mcpid_using_subcommand gateway; and not __fish_seen_subcommand_from report" -l allow-uncovered -d 'Do not require this component to be covered' -r
complete -c mcpid -n "__fish_mcpid_using_subcommand gateway; and not __fish_seen_subcommand_from report" -l max-body -d 'The largest body that is judged, in bytes or as 4MiB [default: 4MiB]' -r
complete -c mcpid -n "__fish_mcpid_using_subcommand gateway; and not __fish_seen_subcommand_from report" -l origin -d 'A scheme and host of this server, such as https://mcp.example.com; may be repeated' -r
complete -c mcpid -n "__fish_mcpid_using_subcommand gateway; and not __fish_seen_subcommand_from report" -l nonces -d 'The store of used nonces: memory:, sqlite:PATH, redis://HOST… [env: MCPID_NONCES] [default: a file of this user]' -r
complete -c mcpid -n "__fish_mcpid_using_subcommand gateway; and not __fish_seen_subcommand_from report" -l mode -d 'What to do with requests that are not verified' -r -f -a "strict\t'It is refused'
permissive\t'It is passed on, with a label'"
complete -c mcpid -n "__fish_mcpid_using_subcommand gateway; and not __fish_seen_subcommand_from report" -l strict -d 'Refuse unverified requests for METHOD[:NAME], where * stands for any text, or for all tools that the server\'s own list does not call harmless (destructive); may be repeated' -r -f -a "destructive\t''"
complete -c mcpid -n "__fish_mcpid_using_subcommand gateway; and not __fish_seen_subcommand_from report" -l permissive -d 'Let unverified requests for METHOD[:NAME] through, except where --strict applies; may be repeated' -r
complete -c mcpid -n "__fish_mcpid_using_subcommand gateway; and not __fish_seen_subcommand_from report" -l touch -d 'Refuse requests for METHOD[:NAME], or for all tools that the server\'s own list does not call harmless (destructive), unless a person touched a security key for them; strict in every mode; may be repeated' -r
complete -c mcpid -n "__fish_mcpid_using_subcommand gateway; and not __fish_seen_subcommand_from report" -l refuse-with -d 'The HTTP status of refusals' -r -f -a "403\t'Forbidden, which MCP clients report as a refusal'
401\t'Unauthorized, with WWW-Authenticate: HTTPSig; some clients then start an OAuth login'
200\t'OK with a JSON-RPC error, for clients that hide the text of an error status'"
complete -c mcpid -n "__fish_mcpid_using_subcommand gateway; and not __fish_seen_subcommand_from report" -l realm -d 'The realm that a 401 names [default: mcp]' -r
complete -c mcpid -n "__fish_mcpid_using_subcommand gateway; and not __fish_seen_subcommand_from report" -l open -d 'Pass [METHOD ]PATH through without a signature; /* at its end includes all paths below; may be repeated' -r
complete -c mcpid -n "__fish_mcpid_using_subcommand gateway; and not __fish_seen_subcommand_from report" -l trusted-proxy -d 'Log the client address that X-Forwarded-For names, if the request comes from a proxy at this address or in this network, or through the Unix socket (unix); may be repeated' -r
complete -c mcpid -n "__fish_mcpid_using_subcommand gateway; and not __fish_seen_subcommand_from report" -l tls-cert -d 'A PEM file of certificates to present, the server\'s own first; turns on TLS' -r -F
complete -c mcpid -n "__fish_mcpid_using_subcommand gateway; and not __fish_seen_subcommand_from report" -l tls-key -d 'A PEM file of the private key that belongs to --tls-cert' -r -F
complete -c mcpid -n "__fish_mcpid_using_subcommand gateway; and not __fish_seen_subcommand_from report" -l log -d 'Append one JSON line for each request to this file, not to stdout; opened anew on SIGHUP' -r -F
complete -c mcpid -n "__fish_mcpid_using_subcommand gateway; and not __fish_seen_subcommand_from report" -l admin -d 'The address at which to serve /healthz, /readyz and /metrics' -r
complete -c mcpid -n "__fish_mcpid_using_subcommand gateway; and not __fish_seen_subcommand_from report" -l admin-host -d 'A further host name by which --admin may be asked; may be repeated' -r
complete -c mcpid -n "__fish_mcpid_using_subcommand gateway; and not __fish_seen_subcommand_from report" -l max-connections -d 'The most connections at the same time, and the most requests that wait for the server [default: 10000, or what the limit on open files allows]' -r
complete -c mcpid -n "__fish_mcpid_using_subcommand gateway; and not __fish_seen_subcommand_from report" -l budget -d 'The memory for bodies that wait for their verdict, for all requests together; a quarter of it is reserved for valid signatures [default: 256MiB]' -r
complete -c mcpid -n "__fish_mcpid_using_subcommand gateway; and not __fish_seen_subcommand_from report" -l head-timeout -d 'How long a client may take to send a request\'s head [default: 10s]' -r
complete -c mcpid -n "__fish_mcpid_using_subcommand gateway; and not __fish_seen_subcommand_from report" -l body-timeout -d 'How long a client may take to send a request\'s body [default: 30s]' -r
complete -c mcpid -n "__fish_mcpid_using_subcommand gateway; and not __fish_seen_subcommand_from report" -l idle-timeout -d 'How long a connection may be idle, and how long its client may read nothing of a response [default: 75s]' -r
complete -c mcpid -n "__fish_mcpid_using_subcommand gateway; and not __fish_seen_subcommand_from report" -l drain-timeout -d 'How long requests in flight may take after the process was told to stop [default: 30s]' -r
complete -c mcpid -n "__fish_mcpid_using_subcommand gateway; and not __fish_seen_subcommand_from report" -l audit -d 'Write every request to the audit log in this folder (see mcpid audit init)' -r -F
complete -c mcpid -n "__fish_mcpid_using_subcommand gateway; and not __fish_seen_subcommand_from report" -l audit-key -d 'The log\'s private key, if it is not in DIR (see mcpid audit init --audit-key): a keyfile, ssh-agent:ID, \'exec:PROGRAM ARG...\' or a pkcs11: URI' -r -F
complete -c mcpid -n "__fish_mcpid_using_subcommand gateway; and not __fish_seen_subcommand_from report" -l audit-passphrase-file -d 'Read the passphrase or PIN of --audit-key from this file; one trailing newline is dropped' -r -F
complete -c mcpid -n "__fish_mcpid_using_subcommand gateway; and not __fish_seen_subcommand_from report" -l audit-policy -d 'What happens to a request that cannot be written to the log [default: required]' -r -f -a "required\t'The request is not passed on'
best-effort\t'The request is passed on, and counted as a gap'"
complete -c mcpid -n "__fish_mcpid_using_subcommand gateway; and not __fish_seen_subcommand_from report" -l audit-redact -d 'Keep a salted hash in place of the part of a body that METHOD:NAME:PATH names, such as tools/call:*:arguments.password; may be repeated' -r
complete -c mcpid -n "__fish_mcpid_using_subcommand gateway; and not __fish_seen_subcommand_from report" -l audit-sync -d 'When an entry counts as written [default: batch]' -r -f -a "batch\t'When it is on the disk; entries that wait at the same time share one fdatasync'
checkpoint\t'When the system has it; a power cut can lose entries since the last checkpoint'"
complete -c mcpid -n "__fish_mcpid_using_subcommand gateway; and not __fish_seen_subcommand_from report" -l witness-policy -d 'Let the witnesses of this policy (C2SP tlog-policy) cosign each checkpoint of the log' -r -F
complete -c mcpid -n "__fish_mcpid_using_subcommand gateway; and not __fish_seen_subcommand_from report" -l learned-tools -d 'Where the tools are stored that the server has listed, for --strict destructive after a restart [default: a file of this user]' -r -F
complete -c mcpid -n "__fish_mcpid_using_subcommand gateway; and not __fish_seen_subcommand_from report" -l tools-key -d 'The key with which the gateway signs its own question for the list of tools, if the server verifies signatures too: a keyfile, ssh-agent:ID, \'exec:PROGRAM ARG...\' or a pkcs11: URI' -r -F
complete -c mcpid -n "__fish_mcpid_using_subcommand gateway; and not __fish_seen_subcommand_from report" -l tools-public-key -d 'The public key of --tools-key, which each signature must fit; needed for exec:' -r -F
complete -c mcpid -n "__fish_mcpid_using_subcommand gateway; and not __fish_seen_subcommand_from report" -l passphrase-file -d 'Read the passphrase from this file; one trailing newline is dropped' -r -F
complete -c mcpid -n "__fish_mcpid_using_subcommand gateway; and not __fish_seen_subcommand_from report" -l passphrase-fd -d 'Read the passphrase from this open file descriptor; one trailing newline is dropped' -r
complete -c mcpid -n "__fish_mcpid_using_subcommand gateway; and not __fish_seen_subcommand_from report" -l path -d 'The path of the endpoint [default: that of the upstream]' -r
complete -c mcpid -n "__fish_mcpid_using_subcommand gateway; and not __fish_seen_subcommand_from report" -l allow-origin -d 'A web origin beside --origin whose pages may send requests; turns on answers to browsers (CORS); may be repeated' -r
complete -c mcpid -n "__fish_mcpid_using_subcommand gateway; and not __fish_seen_subcommand_from report" -l upstream-ca -d 'A PEM file of the authorities to trust for an https upstream, in place of those of this machine' -r -F
complete -c mcpid -n "__fish_mcpid_using_subcommand gateway; and not __fish_seen_subcommand_from report" -l connect-timeout -d 'How long connecting to the server may take [default: 5s]' -r
complete -c mcpid -n "__fish_mcpid_using_subcommand gateway; and not __fish_seen_subcommand_from report" -l answer-timeout -d 'How long the server may take to begin its answer [default: 5m]' -r
complete -c mcpid -n "__fish_mcpid_using_subcommand gateway; and not __fish_seen_subcommand_from report" -l check-config -d 'Check flags, configuration, trust files and certificates, and exit'
complete -c mcpid -n "__fish_mcpid_using_subcommand gateway; and not __fish_seen_subcommand_from report" -l allow-evicting-store -d 'Use Redis servers that evict keys when full, although a nonce can then be used twice without notice'
complete -c mcpid -n "__fish_mcpid_using_subcommand gateway; and not __fish_seen_subcommand_from report" -l raise-retention -d 'Make the store keep nonces for longer, if this window needs it; all users of the store then refuse requests for about that window'
complete -c mcpid -n "__fish_mcpid_using_subcommand gateway; and not __fish_seen_subcommand_from report" -l allow-remote-admin -d 'Allow an --admin address that other machines can reach, also by names that exist only in private networks, such as gateway and gateway.monitoring.svc'
complete -c mcpid -n "__fish_mcpid_using_subcommand gateway; and not __fish_seen_subcommand_from report" -l audit-bodies -d 'Keep bodies as well as their digests'
complete -c mcpid -n "__fish_mcpid_using_subcommand gateway; and not __fish_seen_subcommand_from report" -l preserve-host -d 'Pass on Host and Origin as the client sent them'
complete -c mcpid -n "__fish_mcpid_using_subcommand gateway; and not __fish_seen_subcommand_from report" -l allow-remote-upstream -d 'Allow a plain http upstream on another machine, although an attacker on the network can forge Mcpid-Status'
complete -c mcpid -n "__fish_mcpid_using_subcommand gateway; and not __fish_seen_subcommand_from report" -l json -d 'Print results, and failures on stderr, as JSON'
complete -c mcpid -n "__fish_mcpid_using_subcommand gateway; and not __fish_seen_subcommand_from report" -s q -l quiet -d 'Print only failures and warnings on stderr'
complete -c mcpid -n "__fish_mcpid_using_subcommand gateway; and not __fish_seen_subcommand_from report" -s v -l verbose -d 'Print more on stderr'
complete -c mcpid -n "__fish_mcpid_using_subcommand gateway; and not __fish_seen_subcommand_from report" -s h -l help -d 'Print help (see more with \'--help\')'
complete -c mcpid -n "__fish_mcpid_using_subcommand gateway; and not __fish_seen_subcommand_from report" -f -a "report" -d 'Report from a gateway\'s log what strict would refuse, and why'
complete -c mcpid -n "__fish_mcpid_using_subcommand gateway; and __fish_seen_subcommand_from report" -l html -d 'Write one self-contained page to this file, or to stdout for -; only an older report is replaced' -r -F
complete -c mcpid -n "__fish_mcpid_using_subcommand gateway; and __fish_seen_subcommand_from report" -l since -d 'Only lines from this time on: RFC 3339, @UNIX, a date (its begin, UTC), or an age such as 24h' -r
complete -c mcpid -n "__fish_mcpid_using_subcommand gateway; and __fish_seen_subcommand_from report" -l until -d 'Only lines before this time, in the same forms' -r
complete -c mcpid -n "__fish_mcpid_using_subcommand gateway; and __fish_seen_subcommand_from report" -l json -d 'Print results, and failures on stderr, as JSON'
complete -c mcpid -n "__fish_mcpid_using_subcommand gateway; and __fish_seen_subcommand_from report" -s q -l quiet -d 'Print only failures and warnings on stderr'
complete -c mcpid -n "__fish_mcpid_using_subcommand gateway; and __fish_seen_subcommand_from report" -s v -l verbose -d 'Print more on stderr'
complete -c mcpid -n "__fish_mcpid_using_subcommand gateway; and __fish_seen_subcommand_from report" -s h -l help -d 'Print help'
complete -c mcpid -n "__fish_mcpid_using_subcommand connect" -s k -l key -d 'The keyfile, ssh-agent:ID for a key in the ssh-agent, \'exec:PROGRAM ARG...\' for a program that signs, or a pkcs11: URI for a key in a token [env: MCPID_KEY]' -r -F
complete -c mcpid -n "__fish_mcpid_using_subcommand connect" -l public-key -d 'The public key of KEY, which each signature must fit; needed for exec:' -r -F
complete -c mcpid -n "__fish_mcpid_using_subcommand connect" -l profile -d 'The rules to sign by' -r -f -a "mcp\t'All of mcpid\'s rules'
sep2752\t'The rules of the draft SEP-2752, and no more'
rfc9421\t'Any signature of RFC 9421, for audits and interoperability'
adcp\t'Request signing of AdCP 3.2, the Ad Context Protocol'
ucp\t'Message signatures of UCP, the Universal Commerce Protocol'"
complete -c mcpid -n "__fish_mcpid_using_subcommand connect" -l client-id -d 'The stable client id to send as tag, in place of the key id' -r
complete -c mcpid -n "__fish_mcpid_using_subcommand connect" -l ttl -d 'After how long a signature expires, or none; 30s under the profile mcp' -r
complete -c mcpid -n "__fish_mcpid_using_subcommand connect" -s H -l header -d 'A header to send with every request: \'Name: value\', or @FILE with one header on each line' -r
complete -c mcpid -n "__fish_mcpid_using_subcommand connect" -l max-body -d 'The largest message that is signed, in bytes or as 4MiB [default: 4MiB]' -r
complete -c mcpid -n "__fish_mcpid_using_subcommand connect" -l timeout -d 'How long the server may be silent before a request is given up [default: 15m]' -r
complete -c mcpid -n "__fish_mcpid_using_subcommand connect" -l ca -d 'A PEM file of the authorities to trust for TLS, in place of those of this machine' -r -F
complete -c mcpid -n "__fish_mcpid_using_subcommand connect" -l log-file -d 'Write the log into this file instead of to stderr' -r -F
complete -c mcpid -n "__fish_mcpid_using_subcommand connect" -l print-config -d 'Print the configuration that makes a client start this command, and exit' -r -f -a "claude\t'Claude Desktop and Claude Code'
cursor\t'Cursor'
vscode\t'Visual Studio Code'
generic\t'Any other: command and arguments'"
complete -c mcpid -n "__fish_mcpid_using_subcommand connect" -l passphrase-file -d 'Read the passphrase from this file; one trailing newline is dropped' -r -F
complete -c mcpid -n "__fish_mcpid_using_subcommand connect" -l passphrase-fd -d 'Read the passphrase from this open file descriptor; one trailing newline is dropped' -r
complete -c mcpid -n "__fish_mcpid_using_subcommand connect" -l listen -d 'Serve HTTP to the client: 127.0.0.1:PORT, port 0 for a free one, or unix:PATH' -r
complete -c mcpid -n "__fish_mcpid_using_subcommand connect" -l allow-origin -d 'Accept requests from web pages of this origin, if they know the URL' -r
complete -c mcpid -n "__fish_mcpid_using_subcommand connect" -l confirm -d 'Ask a person before signing a request that this pattern matches, or a call of a destructive tool' -r -f -a "destructive\t''"
complete -c mcpid -n "__fish_mcpid_using_subcommand connect" -l confirm-via -d 'How a person is asked [default: MCPID_ASKPASS, else the terminal if no other program uses it, else SSH_ASKPASS]' -r -f -a "terminal\t'The terminal'
askpass\t'The program that `MCPID_ASKPASS` or `SSH_ASKPASS` names'
client\t'The client, by an elicitation; the client could answer in place of its user'"
complete -c mcpid -n "__fish_mcpid_using_subcommand connect" -l confirm-timeout -d 'How long the person has to answer; no answer counts as no [default: 60s]' -r
complete -c mcpid -n "__fish_mcpid_using_subcommand connect" -l touch -d 'Ask a person to touch a security key for a request that this pattern matches, or for a call of a destructive tool; what is to be touched is shown, after consent, and each attempt to send needs a touch of its own' -r
complete -c mcpid -n "__fish_mcpid_using_subcommand connect" -l touch-key -d 'The security key that is touched: ssh-agent:ID of a key that ssh-keygen -t ed25519-sk made' -r -F
complete -c mcpid -n "__fish_mcpid_using_subcommand connect" -l audit -d 'Write every request to the audit log in this folder (see mcpid audit init)' -r -F
complete -c mcpid -n "__fish_mcpid_using_subcommand connect" -l audit-key -d 'The log\'s private key, if it is not in DIR (see mcpid audit init --audit-key): a keyfile, ssh-agent:ID, \'exec:PROGRAM ARG...\' or a pkcs11: URI' -r -F
complete -c mcpid -n "__fish_mcpid_using_subcommand connect" -l audit-passphrase-file -d 'Read the passphrase or PIN of --audit-key from this file; one trailing newline is dropped' -r -F
complete -c mcpid -n "__fish_mcpid_using_subcommand connect" -l audit-policy -d 'What happens to a request that cannot be written to the log [default: required]' -r -f -a "required\t'The request is not passed on'
best-effort\t'The request is passed on, and counted as a gap'"
complete -c mcpid -n "__fish_mcpid_using_subcommand connect" -l audit-redact -d 'Keep a salted hash in place of the part of a body that METHOD:NAME:PATH names, such as tools/call:*:arguments.password; may be repeated' -r
complete -c mcpid -n "__fish_mcpid_using_subcommand connect" -l audit-sync -d 'When an entry counts as written [default: batch]' -r -f -a "batch\t'When it is on the disk; entries that wait at the same time share one fdatasync'
checkpoint\t'When the system has it; a power cut can lose entries since the last checkpoint'"
complete -c mcpid -n "__fish_mcpid_using_subcommand connect" -l witness-policy -d 'Let the witnesses of this policy (C2SP tlog-policy) cosign each checkpoint of the log' -r -F
complete -c mcpid -n "__fish_mcpid_using_subcommand connect" -l check -d 'Try the server once, report what a client would meet there, and exit'
complete -c mcpid -n "__fish_mcpid_using_subcommand connect" -l allow-remote -d 'Allow an address to listen on that other machines can reach'
complete -c mcpid -n "__fish_mcpid_using_subcommand connect" -l audit-bodies -d 'Keep bodies as well as their digests'
complete -c mcpid -n "__fish_mcpid_using_subcommand connect" -l json -d 'Print results, and failures on stderr, as JSON'
complete -c mcpid -n "__fish_mcpid_using_subcommand connect" -s q -l quiet -d 'Print only failures and warnings on stderr'
complete -c mcpid -n "__fish_mcpid_using_subcommand connect" -s v -l verbose -d 'Print more on stderr'
complete -c mcpid -n "__fish_mcpid_using_subcommand connect" -s h -l help -d 'Print help (see more with \'--help\')'
complete -c mcpid -n "__fish_mcpid_using_subcommand agent; and not __fish_seen_subcommand_from add" -l json -d 'Print results, and failures on stderr, as JSON'
complete -c mcpid -n "__fish_mcpid_using_subcommand agent; and not __fish_seen_subcommand_from add" -s q -l quiet -d 'Print only failures and warnings on stderr'
complete -c mcpid -n "__fish_mcpid_using_subcommand agent; and not __fish_seen_subcommand_from add" -s v -l verbose -d 'Print more on stderr'
complete -c mcpid -n "__fish_mcpid_using_subcommand agent; and not __fish_seen_subcommand_from add" -s h -l help -d 'Print help'
complete -c mcpid -n "__fish_mcpid_using_subcommand agent; and not __fish_seen_subcommand_from add" -f -a "add" -d 'Put a keyfile\'s key into the ssh-agent'
complete -c mcpid -n "__fish_mcpid_using_subcommand agent; and __fish_seen_subcommand_from add" -s k -l key -d 'The keyfile [env: MCPID_KEY]' -r -F
complete -c mcpid -n "__fish_mcpid_using_subcommand agent; and __fish_seen_subcommand_from add" -l lifetime -d 'Have the agent forget the key after this time' -r
complete -c mcpid -n "__fish_mcpid_using_subcommand agent; and __fish_seen_subcommand_from add" -l passphrase-file -d 'Read the passphrase from this file; one trailing newline is dropped' -r -F
complete -c mcpid -n "__fish_mcpid_using_subcommand agent; and __fish_seen_subcommand_from add" -l passphrase-fd -d 'Read the passphrase from this open file descriptor; one trailing newline is dropped' -r
complete -c mcpid -n "__fish_mcpid_using_subcommand agent; and __fish_seen_subcommand_from add" -l ask -d 'Have the agent ask a person before each signature, by its askpass program'
complete -c mcpid -n "__fish_mcpid_using_subcommand agent; and __fish_seen_subcommand_from add" -l json -d 'Print results, and failures on stderr, as JSON'
complete -c mcpid -n "__fish_mcpid_using_subcommand agent; and __fish_seen_subcommand_from add" -s q -l quiet -d 'Print only failures and warnings on stderr'
complete -c mcpid -n "__fish_mcpid_using_subcommand agent; and __fish_seen_subcommand_from add" -s v -l verbose -d 'Print more on stderr'
complete -c mcpid -n "__fish_mcpid_using_subcommand agent; and __fish_seen_subcommand_from add" -s h -l help -d 'Print help'
complete -c mcpid -n "__fish_mcpid_using_subcommand authz" -l listen -d 'The address to listen on: a loopback address, or a Unix socket' -r
complete -c mcpid -n "__fish_mcpid_using_subcommand authz" -l dialect -d 'How the proxy describes requests' -r -f -a "envoy\t'Envoy\'s ext_authz over HTTP, and products that are built on Envoy'
traefik\t'Traefik\'s ForwardAuth with forwardBody'"
complete -c mcpid -n "__fish_mcpid_using_subcommand authz" -l path-prefix -d 'The text that Envoy puts before the path of each request (path_prefix of its http_service)' -r
complete -c mcpid -n "__fish_mcpid_using_subcommand authz" -l config -d 'A TOML file with settings that are not given by flags' -r -F
complete -c mcpid -n "__fish_mcpid_using_subcommand authz" -s r -l trust -d 'A trust file, or a folder of them; may be repeated [env: MCPID_TRUST]' -r -F
complete -c mcpid -n "__fish_mcpid_using_subcommand authz" -l profile -d 'The rules to judge by' -r -f -a "mcp\t'All of mcpid\'s rules'
sep2752\t'The rules of the draft SEP-2752, and no more'
rfc9421\t'Any signature of RFC 9421, for audits and interoperability'
adcp\t'Request signing of AdCP 3.2, the Ad Context Protocol'
ucp\t'Message signatures of UCP, the Universal Commerce Protocol'"
complete -c mcpid -n "__fish_mcpid_using_subcommand authz" -l window -d 'How old a signature may be; 30s under the profile mcp' -r
complete -c mcpid -n "__fish_mcpid_using_subcommand authz" -l ahead -d 'How far the signer\'s clock may be ahead; 5s under the profile mcp' -r
complete -c mcpid -n "__fish_mcpid_using_subcommand authz" -l require -d 'Require one more component to be covered' -r
complete -c mcpid -n "__fish_mcpid_using_subcommand authz" -l allow-uncovered -d 'Do not require this component to be covered' -r
complete -c mcpid -n "__fish_mcpid_using_subcommand authz" -l max-body -d 'The largest body that is judged, in bytes or as 4MiB [default: 4MiB]' -r
complete -c mcpid -n "__fish_mcpid_using_subcommand authz" -l origin -d 'A scheme and host of this server, such as https://mcp.example.com; may be repeated' -r
complete -c mcpid -n "__fish_mcpid_using_subcommand authz" -l nonces -d 'The store of used nonces: memory:, sqlite:PATH, redis://HOST… [env: MCPID_NONCES] [default: a file of this user]' -r
complete -c mcpid -n "__fish_mcpid_using_subcommand authz" -l mode -d 'What to do with requests that are not verified' -r -f -a "strict\t'It is refused'
permissive\t'It is passed on, with a label'"
complete -c mcpid -n "__fish_mcpid_using_subcommand authz" -l strict -d 'Refuse unverified requests for METHOD[:NAME], where * stands for any text, or for all tools that the server\'s own list does not call harmless (destructive); may be repeated' -r -f -a "destructive\t''"
complete -c mcpid -n "__fish_mcpid_using_subcommand authz" -l permissive -d 'Let unverified requests for METHOD[:NAME] through, except where --strict applies; may be repeated' -r
complete -c mcpid -n "__fish_mcpid_using_subcommand authz" -l touch -d 'Refuse requests for METHOD[:NAME], or for all tools that the server\'s own list does not call harmless (destructive), unless a person touched a security key for them; strict in every mode; may be repeated' -r
complete -c mcpid -n "__fish_mcpid_using_subcommand authz" -l refuse-with -d 'The HTTP status of refusals' -r -f -a "403\t'Forbidden, which MCP clients report as a refusal'
401\t'Unauthorized, with WWW-Authenticate: HTTPSig; some clients then start an OAuth login'
200\t'OK with a JSON-RPC error, for clients that hide the text of an error status'"
complete -c mcpid -n "__fish_mcpid_using_subcommand authz" -l realm -d 'The realm that a 401 names [default: mcp]' -r
complete -c mcpid -n "__fish_mcpid_using_subcommand authz" -l open -d 'Pass [METHOD ]PATH through without a signature; /* at its end includes all paths below; may be repeated' -r
complete -c mcpid -n "__fish_mcpid_using_subcommand authz" -l trusted-proxy -d 'Log the client address that X-Forwarded-For names, if the request comes from a proxy at this address or in this network, or through the Unix socket (unix); may be repeated' -r
complete -c mcpid -n "__fish_mcpid_using_subcommand authz" -l tls-cert -d 'A PEM file of certificates to present, the server\'s own first; turns on TLS' -r -F
complete -c mcpid -n "__fish_mcpid_using_subcommand authz" -l tls-key -d 'A PEM file of the private key that belongs to --tls-cert' -r -F
complete -c mcpid -n "__fish_mcpid_using_subcommand authz" -l log -d 'Append one JSON line for each request to this file, not to stdout; opened anew on SIGHUP' -r -F
complete -c mcpid -n "__fish_mcpid_using_subcommand authz" -l admin -d 'The address at which to serve /healthz, /readyz and /metrics' -r
complete -c mcpid -n "__fish_mcpid_using_subcommand authz" -l admin-host -d 'A further host name by which --admin may be asked; may be repeated' -r
complete -c mcpid -n "__fish_mcpid_using_subcommand authz" -l max-connections -d 'The most connections at the same time, and the most requests that wait for the server [default: 10000, or what the limit on open files allows]' -r
complete -c mcpid -n "__fish_mcpid_using_subcommand authz" -l budget -d 'The memory for bodies that wait for their verdict, for all requests together; a quarter of it is reserved for valid signatures [default: 256MiB]' -r
complete -c mcpid -n "__fish_mcpid_using_subcommand authz" -l head-timeout -d 'How long a client may take to send a request\'s head [default: 10s]' -r
complete -c mcpid -n "__fish_mcpid_using_subcommand authz" -l body-timeout -d 'How long a client may take to send a request\'s body [default: 30s]' -r
complete -c mcpid -n "__fish_mcpid_using_subcommand authz" -l idle-timeout -d 'How long a connection may be idle, and how long its client may read nothing of a response [default: 75s]' -r
complete -c mcpid -n "__fish_mcpid_using_subcommand authz" -l drain-timeout -d 'How long requests in flight may take after the process was told to stop [default: 30s]' -r
complete -c mcpid -n "__fish_mcpid_using_subcommand authz" -l audit -d 'Write every request to the audit log in this folder (see mcpid audit init)' -r -F
complete -c mcpid -n "__fish_mcpid_using_subcommand authz" -l audit-key -d 'The log\'s private key, if it is not in DIR (see mcpid audit init --audit-key): a keyfile, ssh-agent:ID, \'exec:PROGRAM ARG...\' or a pkcs11: URI' -r -F
complete -c mcpid -n "__fish_mcpid_using_subcommand authz" -l audit-passphrase-file -d 'Read the passphrase or PIN of --audit-key from this file; one trailing newline is dropped' -r -F
complete -c mcpid -n "__fish_mcpid_using_subcommand authz" -l audit-policy -d 'What happens to a request that cannot be written to the log [default: required]' -r -f -a "required\t'The request is not passed on'
best-effort\t'The request is passed on, and counted as a gap'"
complete -c mcpid -n "__fish_mcpid_using_subcommand authz" -l audit-redact -d 'Keep a salted hash in place of the part of a body that METHOD:NAME:PATH names, such as tools/call:*:arguments.password; may be repeated' -r
complete -c mcpid -n "__fish_mcpid_using_subcommand authz" -l audit-sync -d 'When an entry counts as written [default: batch]' -r -f -a "batch\t'When it is on the disk; entries that wait at the same time share one fdatasync'
checkpoint\t'When the system has it; a power cut can lose entries since the last checkpoint'"
complete -c mcpid -n "__fish_mcpid_using_subcommand authz" -l witness-policy -d 'Let the witnesses of this policy (C2SP tlog-policy) cosign each checkpoint of the log' -r -F
complete -c mcpid -n "__fish_mcpid_using_subcommand authz" -l tools -d 'The server\'s answer to tools/list, as JSON, for --strict destructive and --touch destructive; read at the start' -r -F
complete -c mcpid -n "__fish_mcpid_using_subcommand authz" -l path -d 'The path of the endpoint [default: /mcp]' -r
complete -c mcpid -n "__fish_mcpid_using_subcommand authz" -l allow-origin -d 'A web origin beside --origin whose pages may send requests; answers to browsers (CORS) are those of the proxy; may be repeated' -r
complete -c mcpid -n "__fish_mcpid_using_subcommand authz" -l allow-remote -d 'Allow a --listen address that other machines can reach, although an attacker between the proxy and this address can let any request through'
complete -c mcpid -n "__fish_mcpid_using_subcommand authz" -l check-config -d 'Check flags, configuration, trust files and certificates, and exit'
complete -c mcpid -n "__fish_mcpid_using_subcommand authz" -l allow-evicting-store -d 'Use Redis servers that evict keys when full, although a nonce can then be used twice without notice'
complete -c mcpid -n "__fish_mcpid_using_subcommand authz" -l raise-retention -d 'Make the store keep nonces for longer, if this window needs it; all users of the store then refuse requests for about that window'
complete -c mcpid -n "__fish_mcpid_using_subcommand authz" -l allow-remote-admin -d 'Allow an --admin address that other machines can reach, also by names that exist only in private networks, such as gateway and gateway.monitoring.svc'
complete -c mcpid -n "__fish_mcpid_using_subcommand authz" -l audit-bodies -d 'Keep bodies as well as their digests'
complete -c mcpid -n "__fish_mcpid_using_subcommand authz" -l json -d 'Print results, and failures on stderr, as JSON'
complete -c mcpid -n "__fish_mcpid_using_subcommand authz" -s q -l quiet -d 'Print only failures and warnings on stderr'
complete -c mcpid -n "__fish_mcpid_using_subcommand authz" -s v -l verbose -d 'Print more on stderr'
complete -c mcpid -n "__fish_mcpid_using_subcommand authz" -s h -l help -d 'Print help (see more with \'--help\')'
complete -c mcpid -n "__fish_mcpid_using_subcommand audit; and not __fish_seen_subcommand_from init verify show report prove check consistency cosign archive erase witness" -l json -d 'Print results, and failures on stderr, as JSON'
complete -c mcpid -n "__fish_mcpid_using_subcommand audit; and not __fish_seen_subcommand_from init verify show report prove check consistency cosign archive erase witness" -s q -l quiet -d 'Print only failures and warnings on stderr'
complete -c mcpid -n "__fish_mcpid_using_subcommand audit; and not __fish_seen_subcommand_from init verify show report prove check consistency cosign archive erase witness" -s v -l verbose -d 'Print more on stderr'
complete -c mcpid -n "__fish_mcpid_using_subcommand audit; and not __fish_seen_subcommand_from init verify show report prove check consistency cosign archive erase witness" -s h -l help -d 'Print help'
complete -c mcpid -n "__fish_mcpid_using_subcommand audit; and not __fish_seen_subcommand_from init verify show report prove check consistency cosign archive erase witness" -f -a "init" -d 'Make a log and its key'
complete -c mcpid -n "__fish_mcpid_using_subcommand audit; and not __fish_seen_subcommand_from init verify show report prove check consistency cosign archive erase witness" -f -a "verify" -d 'Check a whole log'
complete -c mcpid -n "__fish_mcpid_using_subcommand audit; and not __fish_seen_subcommand_from init verify show report prove check consistency cosign archive erase witness" -f -a "show" -d 'Show entries, or one of them'
complete -c mcpid -n "__fish_mcpid_using_subcommand audit; and not __fish_seen_subcommand_from init verify show report prove check consistency cosign archive erase witness" -f -a "report" -d 'Sum up a log, and what checking it has found'
complete -c mcpid -n "__fish_mcpid_using_subcommand audit; and not __fish_seen_subcommand_from init verify show report prove check consistency cosign archive erase witness" -f -a "prove" -d 'Write one entry\'s evidence into a file of its own'
complete -c mcpid -n "__fish_mcpid_using_subcommand audit; and not __fish_seen_subcommand_from init verify show report prove check consistency cosign archive erase witness" -f -a "check" -d 'Check the evidence of one entry, offline'
complete -c mcpid -n "__fish_mcpid_using_subcommand audit; and not __fish_seen_subcommand_from init verify show report prove check consistency cosign archive erase witness" -f -a "consistency" -d 'Check that a log has only grown between two checkpoints'
complete -c mcpid -n "__fish_mcpid_using_subcommand audit; and not __fish_seen_subcommand_from init verify show report prove check consistency cosign archive erase witness" -f -a "cosign" -d 'Sign a checkpoint as a witness'
complete -c mcpid -n "__fish_mcpid_using_subcommand audit; and not __fish_seen_subcommand_from init verify show report prove check consistency cosign archive erase witness" -f -a "archive" -d 'Move old entries out of a log, packed'
complete -c mcpid -n "__fish_mcpid_using_subcommand audit; and not __fish_seen_subcommand_from init verify show report prove check consistency cosign archive erase witness" -f -a "erase" -d 'Erase one entry'
complete -c mcpid -n "__fish_mcpid_using_subcommand audit; and not __fish_seen_subcommand_from init verify show report prove check consistency cosign archive erase witness" -f -a "witness" -d 'Let witnesses cosign the latest checkpoint of a log'
complete -c mcpid -n "__fish_mcpid_using_subcommand audit; and __fish_seen_subcommand_from init" -l audit -d 'The folder of the log [default: a folder of this user]' -r -F
complete -c mcpid -n "__fish_mcpid_using_subcommand audit; and __fish_seen_subcommand_from init" -l name -d 'The name of the log, which stands in each of its checkpoints; no white space, no plus signs' -r
complete -c mcpid -n "__fish_mcpid_using_subcommand audit; and __fish_seen_subcommand_from init" -l audit-key -d 'The private key of the log, if it is not to be made in the folder: a keyfile, ssh-agent:ID, \'exec:PROGRAM ARG...\' or a pkcs11: URI, of Ed25519' -r -F
complete -c mcpid -n "__fish_mcpid_using_subcommand audit; and __fish_seen_subcommand_from init" -l audit-passphrase-file -d 'Read the passphrase or PIN of --audit-key from this file; one trailing newline is dropped' -r -F
complete -c mcpid -n "__fish_mcpid_using_subcommand audit; and __fish_seen_subcommand_from init" -l public-key -d 'The public key of --audit-key, which each signature must fit; needed for exec:' -r -F
complete -c mcpid -n "__fish_mcpid_using_subcommand audit; and __fish_seen_subcommand_from init" -l after -d 'The log that this one follows: the folder of a log whose last entry names this one, or a checkpoint of a log that is lost or damaged and therefore abandoned' -r -F
complete -c mcpid -n "__fish_mcpid_using_subcommand audit; and __fish_seen_subcommand_from init" -l after-key -d 'The private key of the log that this one follows, if it is not in that folder' -r -F
complete -c mcpid -n "__fish_mcpid_using_subcommand audit; and __fish_seen_subcommand_from init" -l after-passphrase-file -d 'Read the passphrase or PIN of --after-key from this file; one trailing newline is dropped' -r -F
complete -c mcpid -n "__fish_mcpid_using_subcommand audit; and __fish_seen_subcommand_from init" -l log-key -d 'The public key of an abandoned log [default: log-key.pub beside the checkpoint]' -r
complete -c mcpid -n "__fish_mcpid_using_subcommand audit; and __fish_seen_subcommand_from init" -l json -d 'Print results, and failures on stderr, as JSON'
complete -c mcpid -n "__fish_mcpid_using_subcommand audit; and __fish_seen_subcommand_from init" -s q -l quiet -d 'Print only failures and warnings on stderr'
complete -c mcpid -n "__fish_mcpid_using_subcommand audit; and __fish_seen_subcommand_from init" -s v -l verbose -d 'Print more on stderr'
complete -c mcpid -n "__fish_mcpid_using_subcommand audit; and __fish_seen_subcommand_from init" -s h -l help -d 'Print help'
complete -c mcpid -n "__fish_mcpid_using_subcommand audit; and __fish_seen_subcommand_from verify" -l audit -d 'The folder of the log [default: a folder of this user]' -r -F
complete -c mcpid -n "__fish_mcpid_using_subcommand audit; and __fish_seen_subcommand_from verify" -l archive -d 'A folder with entries that mcpid audit archive has moved out of the log; may be repeated' -r -F
complete -c mcpid -n "__fish_mcpid_using_subcommand audit; and __fish_seen_subcommand_from verify" -l log-key -d 'The log\'s public key, NAME+HASH+KEY, or a file that holds it; never taken from the log' -r
complete -c mcpid -n "__fish_mcpid_using_subcommand audit; and __fish_seen_subcommand_from verify" -l checkpoint -d 'A checkpoint that was kept elsewhere; may be repeated' -r -F
complete -c mcpid -n "__fish_mcpid_using_subcommand audit; and __fish_seen_subcommand_from verify" -l witness -d 'The public key of a witness, or a file that holds it; a checkpoint that it cosigned counts as kept elsewhere; may be repeated' -r
complete -c mcpid -n "__fish_mcpid_using_subcommand audit; and __fish_seen_subcommand_from verify" -l witness-policy -d 'Demand cosignatures by the quorum of this policy (C2SP tlog-policy)' -r -F
complete -c mcpid -n "__fish_mcpid_using_subcommand audit; and __fish_seen_subcommand_from verify" -s r -l trust -d 'Your own trust files. An entry is good only if one of them has its key, since a log can name any key as it likes; may be repeated' -r -F
complete -c mcpid -n "__fish_mcpid_using_subcommand audit; and __fish_seen_subcommand_from verify" -l profile -d 'The rules to judge by [default: the log\'s own, unless they are laxer than the default profile]' -r -f -a "mcp\t'All of mcpid\'s rules'
sep2752\t'The rules of the draft SEP-2752, and no more'
rfc9421\t'Any signature of RFC 9421, for audits and interoperability'
adcp\t'Request signing of AdCP 3.2, the Ad Context Protocol'
ucp\t'Message signatures of UCP, the Universal Commerce Protocol'"
complete -c mcpid -n "__fish_mcpid_using_subcommand audit; and __fish_seen_subcommand_from verify" -l window -d 'The longest window that the log may use [default: that of the profile]' -r
complete -c mcpid -n "__fish_mcpid_using_subcommand audit; and __fish_seen_subcommand_from verify" -l ahead -d 'The largest tolerance for clocks that the log may use [default: that of the profile]' -r
complete -c mcpid -n "__fish_mcpid_using_subcommand audit; and __fish_seen_subcommand_from verify" -l require -d 'Require this component to be covered too; may be repeated' -r
complete -c mcpid -n "__fish_mcpid_using_subcommand audit; and __fish_seen_subcommand_from verify" -l allow-uncovered -d 'Do not require this component to be covered; may be repeated' -r
complete -c mcpid -n "__fish_mcpid_using_subcommand audit; and __fish_seen_subcommand_from verify" -l origin -d 'Accept only requests to this origin; may be repeated' -r
complete -c mcpid -n "__fish_mcpid_using_subcommand audit; and __fish_seen_subcommand_from verify" -l touch -d 'Demand that your trust files confirm a touch of a security key for METHOD[:NAME]; may be repeated' -r
complete -c mcpid -n "__fish_mcpid_using_subcommand audit; and __fish_seen_subcommand_from verify" -l predecessor -d 'A predecessor of this log, to be checked too, against its checkpoints among those that are given; may be repeated' -r -F
complete -c mcpid -n "__fish_mcpid_using_subcommand audit; and __fish_seen_subcommand_from verify" -l allow-clock -d 'Accept entries whose time is uncertain because the log\'s clock stepped'
complete -c mcpid -n "__fish_mcpid_using_subcommand audit; and __fish_seen_subcommand_from verify" -l allow-erased -d 'Count an erased entry as good if the log records its erasure'
complete -c mcpid -n "__fish_mcpid_using_subcommand audit; and __fish_seen_subcommand_from verify" -l all -d 'List every finding, not only the first'
complete -c mcpid -n "__fish_mcpid_using_subcommand audit; and __fish_seen_subcommand_from verify" -l json -d 'Print results, and failures on stderr, as JSON'
complete -c mcpid -n "__fish_mcpid_using_subcommand audit; and __fish_seen_subcommand_from verify" -s q -l quiet -d 'Print only failures and warnings on stderr'
complete -c mcpid -n "__fish_mcpid_using_subcommand audit; and __fish_seen_subcommand_from verify" -s v -l verbose -d 'Print more on stderr'
complete -c mcpid -n "__fish_mcpid_using_subcommand audit; and __fish_seen_subcommand_from verify" -s h -l help -d 'Print help (see more with \'--help\')'
complete -c mcpid -n "__fish_mcpid_using_subcommand audit; and __fish_seen_subcommand_from show" -l audit -d 'The folder of the log [default: a folder of this user]' -r -F
complete -c mcpid -n "__fish_mcpid_using_subcommand audit; and __fish_seen_subcommand_from show" -l archive -d 'A folder with entries that mcpid audit archive has moved out of the log; may be repeated' -r -F
complete -c mcpid -n "__fish_mcpid_using_subcommand audit; and __fish_seen_subcommand_from show" -l key -d 'Only requests that the key of this id or name signed' -r
complete -c mcpid -n "__fish_mcpid_using_subcommand audit; and __fish_seen_subcommand_from show" -l tool -d 'Only requests for the tool, prompt, resource or task of this name; * stands for any text' -r
complete -c mcpid -n "__fish_mcpid_using_subcommand audit; and __fish_seen_subcommand_from show" -l status -d 'Only requests with this verdict or code: verified, refused, would_refuse, signed, expired, …' -r
complete -c mcpid -n "__fish_mcpid_using_subcommand audit; and __fish_seen_subcommand_from show" -l since -d 'Only entries from this time on: RFC 3339, @UNIX, a date (its begin, UTC), or an age such as 24h' -r
complete -c mcpid -n "__fish_mcpid_using_subcommand audit; and __fish_seen_subcommand_from show" -l until -d 'Only entries before this time, in the same forms' -r
complete -c mcpid -n "__fish_mcpid_using_subcommand audit; and __fish_seen_subcommand_from show" -l format -d 'The format of the entries [default: a table]' -r -f -a "csv\t'Comma-separated values (RFC 4180), with a header line'
jsonl\t'The entries themselves, byte for byte'
ocsf\t'Events of the Open Cybersecurity Schema Framework 1.8.0, one JSON object a line'"
complete -c mcpid -n "__fish_mcpid_using_subcommand audit; and __fish_seen_subcommand_from show" -l json -d 'Print results, and failures on stderr, as JSON'
complete -c mcpid -n "__fish_mcpid_using_subcommand audit; and __fish_seen_subcommand_from show" -s q -l quiet -d 'Print only failures and warnings on stderr'
complete -c mcpid -n "__fish_mcpid_using_subcommand audit; and __fish_seen_subcommand_from show" -s v -l verbose -d 'Print more on stderr'
complete -c mcpid -n "__fish_mcpid_using_subcommand audit; and __fish_seen_subcommand_from show" -s h -l help -d 'Print help (see more with \'--help\')'
complete -c mcpid -n "__fish_mcpid_using_subcommand audit; and __fish_seen_subcommand_from report" -l audit -d 'The folder of the log [default: a folder of this user]' -r -F
complete -c mcpid -n "__fish_mcpid_using_subcommand audit; and __fish_seen_subcommand_from report" -l archive -d 'A folder with entries that mcpid audit archive has moved out of the log; may be repeated' -r -F
complete -c mcpid -n "__fish_mcpid_using_subcommand audit; and __fish_seen_subcommand_from report" -l log-key -d 'The log\'s public key, NAME+HASH+KEY, or a file that holds it; never taken from the log' -r
complete -c mcpid -n "__fish_mcpid_using_subcommand audit; and __fish_seen_subcommand_from report" -l checkpoint -d 'A checkpoint that was kept elsewhere; may be repeated' -r -F
complete -c mcpid -n "__fish_mcpid_using_subcommand audit; and __fish_seen_subcommand_from report" -l witness -d 'The public key of a witness, or a file that holds it; a checkpoint that it cosigned counts as kept elsewhere; may be repeated' -r
complete -c mcpid -n "__fish_mcpid_using_subcommand audit; and __fish_seen_subcommand_from report" -l witness-policy -d 'Demand cosignatures by the quorum of this policy (C2SP tlog-policy)' -r -F
complete -c mcpid -n "__fish_mcpid_using_subcommand audit; and __fish_seen_subcommand_from report" -s r -l trust -d 'Your own trust files. An entry is good only if one of them has its key, since a log can name any key as it likes; may be repeated' -r -F
complete -c mcpid -n "__fish_mcpid_using_subcommand audit; and __fish_seen_subcommand_from report" -l profile -d 'The rules to judge by [default: the log\'s own, unless they are laxer than the default profile]' -r -f -a "mcp\t'All of mcpid\'s rules'
sep2752\t'The rules of the draft SEP-2752, and no more'
rfc9421\t'Any signature of RFC 9421, for audits and interoperability'
adcp\t'Request signing of AdCP 3.2, the Ad Context Protocol'
ucp\t'Message signatures of UCP, the Universal Commerce Protocol'"
complete -c mcpid -n "__fish_mcpid_using_subcommand audit; and __fish_seen_subcommand_from report" -l window -d 'The longest window that the log may use [default: that of the profile]' -r
complete -c mcpid -n "__fish_mcpid_using_subcommand audit; and __fish_seen_subcommand_from report" -l ahead -d 'The largest tolerance for clocks that the log may use [default: that of the profile]' -r
complete -c mcpid -n "__fish_mcpid_using_subcommand audit; and __fish_seen_subcommand_from report" -l require -d 'Require this component to be covered too; may be repeated' -r
complete -c mcpid -n "__fish_mcpid_using_subcommand audit; and __fish_seen_subcommand_from report" -l allow-uncovered -d 'Do not require this component to be covered; may be repeated' -r
complete -c mcpid -n "__fish_mcpid_using_subcommand audit; and __fish_seen_subcommand_from report" -l origin -d 'Accept only requests to this origin; may be repeated' -r
complete -c mcpid -n "__fish_mcpid_using_subcommand audit; and __fish_seen_subcommand_from report" -l touch -d 'Demand that your trust files confirm a touch of a security key for METHOD[:NAME]; may be repeated' -r
complete -c mcpid -n "__fish_mcpid_using_subcommand audit; and __fish_seen_subcommand_from report" -l predecessor -d 'A predecessor of this log, to be checked too, against its checkpoints among those that are given; may be repeated' -r -F
complete -c mcpid -n "__fish_mcpid_using_subcommand audit; and __fish_seen_subcommand_from report" -l html -d 'Write the result as one self-contained page to this file too, or only that page to stdout for -; no file but an older page is replaced' -r -F
complete -c mcpid -n "__fish_mcpid_using_subcommand audit; and __fish_seen_subcommand_from report" -l allow-clock -d 'Accept entries whose time is uncertain because the log\'s clock stepped'
complete -c mcpid -n "__fish_mcpid_using_subcommand audit; and __fish_seen_subcommand_from report" -l allow-erased -d 'Count an erased entry as good if the log records its erasure'
complete -c mcpid -n "__fish_mcpid_using_subcommand audit; and __fish_seen_subcommand_from report" -l all -d 'List every finding, not only the first'
complete -c mcpid -n "__fish_mcpid_using_subcommand audit; and __fish_seen_subcommand_from report" -l json -d 'Print results, and failures on stderr, as JSON'
complete -c mcpid -n "__fish_mcpid_using_subcommand audit; and __fish_seen_subcommand_from report" -s q -l quiet -d 'Print only failures and warnings on stderr'
complete -c mcpid -n "__fish_mcpid_using_subcommand audit; and __fish_seen_subcommand_from report" -s v -l verbose -d 'Print more on stderr'
complete -c mcpid -n "__fish_mcpid_using_subcommand audit; and __fish_seen_subcommand_from report" -s h -l help -d 'Print help (see more with \'--help\')'
complete -c mcpid -n "__fish_mcpid_using_subcommand audit; and __fish_seen_subcommand_from prove" -l audit -d 'The folder of the log [default: a folder of this user]' -r -F
complete -c mcpid -n "__fish_mcpid_using_subcommand audit; and __fish_seen_subcommand_from prove" -l archive -d 'A folder with entries that mcpid audit archive has moved out of the log; may be repeated' -r -F
complete -c mcpid -n "__fish_mcpid_using_subcommand audit; and __fish_seen_subcommand_from prove" -l checkpoint -d 'The checkpoint that the proof leads to [default: the log\'s cosigned one, else the latest]' -r -F
complete -c mcpid -n "__fish_mcpid_using_subcommand audit; and __fish_seen_subcommand_from prove" -l format -d 'The format of the proof [default: evidence]' -r -f -a "evidence\t'JSON for mcpid audit check: entry, proof, checkpoint and keys'
tlog-proof\t'Text for other tools (C2SP tlog-proof): entry, proof and checkpoint'"
complete -c mcpid -n "__fish_mcpid_using_subcommand audit; and __fish_seen_subcommand_from prove" -s o -l output -d 'The file to write [default: stdout]' -r -F
complete -c mcpid -n "__fish_mcpid_using_subcommand audit; and __fish_seen_subcommand_from prove" -l json -d 'Print results, and failures on stderr, as JSON'
complete -c mcpid -n "__fish_mcpid_using_subcommand audit; and __fish_seen_subcommand_from prove" -s q -l quiet -d 'Print only failures and warnings on stderr'
complete -c mcpid -n "__fish_mcpid_using_subcommand audit; and __fish_seen_subcommand_from prove" -s v -l verbose -d 'Print more on stderr'
complete -c mcpid -n "__fish_mcpid_using_subcommand audit; and __fish_seen_subcommand_from prove" -s h -l help -d 'Print help (see more with \'--help\')'
complete -c mcpid -n "__fish_mcpid_using_subcommand audit; and __fish_seen_subcommand_from check" -l log-key -d 'The log\'s public key, NAME+HASH+KEY, or a file that holds it; never taken from the log' -r
complete -c mcpid -n "__fish_mcpid_using_subcommand audit; and __fish_seen_subcommand_from check" -l checkpoint -d 'A checkpoint that was kept elsewhere; may be repeated' -r -F
complete -c mcpid -n "__fish_mcpid_using_subcommand audit; and __fish_seen_subcommand_from check" -l witness -d 'The public key of a witness, or a file that holds it; a checkpoint that it cosigned counts as kept elsewhere; may be repeated' -r
complete -c mcpid -n "__fish_mcpid_using_subcommand audit; and __fish_seen_subcommand_from check" -l witness-policy -d 'Demand cosignatures by the quorum of this policy (C2SP tlog-policy)' -r -F
complete -c mcpid -n "__fish_mcpid_using_subcommand audit; and __fish_seen_subcommand_from check" -s r -l trust -d 'Your own trust files. An entry is good only if one of them has its key, since a log can name any key as it likes; may be repeated' -r -F
complete -c mcpid -n "__fish_mcpid_using_subcommand audit; and __fish_seen_subcommand_from check" -l profile -d 'The rules to judge by [default: the log\'s own, unless they are laxer than the default profile]' -r -f -a "mcp\t'All of mcpid\'s rules'
sep2752\t'The rules of the draft SEP-2752, and no more'
rfc9421\t'Any signature of RFC 9421, for audits and interoperability'
adcp\t'Request signing of AdCP 3.2, the Ad Context Protocol'
ucp\t'Message signatures of UCP, the Universal Commerce Protocol'"
complete -c mcpid -n "__fish_mcpid_using_subcommand audit; and __fish_seen_subcommand_from check" -l window -d 'The longest window that the log may use [default: that of the profile]' -r
complete -c mcpid -n "__fish_mcpid_using_subcommand audit; and __fish_seen_subcommand_from check" -l ahead -d 'The largest tolerance for clocks that the log may use [default: that of the profile]' -r
complete -c mcpid -n "__fish_mcpid_using_subcommand audit; and __fish_seen_subcommand_from check" -l require -d 'Require this component to be covered too; may be repeated' -r
complete -c mcpid -n "__fish_mcpid_using_subcommand audit; and __fish_seen_subcommand_from check" -l allow-uncovered -d 'Do not require this component to be covered; may be repeated' -r
complete -c mcpid -n "__fish_mcpid_using_subcommand audit; and __fish_seen_subcommand_from check" -l origin -d 'Accept only requests to this origin; may be repeated' -r
complete -c mcpid -n "__fish_mcpid_using_subcommand audit; and __fish_seen_subcommand_from check" -l touch -d 'Demand that your trust files confirm a touch of a security key for METHOD[:NAME]; may be repeated' -r
complete -c mcpid -n "__fish_mcpid_using_subcommand audit; and __fish_seen_subcommand_from check" -l body -d 'The request\'s body, if the log does not have all of it' -r -F
complete -c mcpid -n "__fish_mcpid_using_subcommand audit; and __fish_seen_subcommand_from check" -l html -d 'Write the result as one self-contained page to this file too, or only that page to stdout for -; no file but an older page is replaced' -r -F
complete -c mcpid -n "__fish_mcpid_using_subcommand audit; and __fish_seen_subcommand_from check" -l allow-clock -d 'Accept entries whose time is uncertain because the log\'s clock stepped'
complete -c mcpid -n "__fish_mcpid_using_subcommand audit; and __fish_seen_subcommand_from check" -l json -d 'Print results, and failures on stderr, as JSON'
complete -c mcpid -n "__fish_mcpid_using_subcommand audit; and __fish_seen_subcommand_from check" -s q -l quiet -d 'Print only failures and warnings on stderr'
complete -c mcpid -n "__fish_mcpid_using_subcommand audit; and __fish_seen_subcommand_from check" -s v -l verbose -d 'Print more on stderr'
complete -c mcpid -n "__fish_mcpid_using_subcommand audit; and __fish_seen_subcommand_from check" -s h -l help -d 'Print help (see more with \'--help\')'
complete -c mcpid -n "__fish_mcpid_using_subcommand audit; and __fish_seen_subcommand_from consistency" -l audit -d 'The folder of the log [default: a folder of this user]' -r -F
complete -c mcpid -n "__fish_mcpid_using_subcommand audit; and __fish_seen_subcommand_from consistency" -l log-key -d 'The log\'s public key, NAME+HASH+KEY, or a file that holds it; never taken from the log' -r
complete -c mcpid -n "__fish_mcpid_using_subcommand audit; and __fish_seen_subcommand_from consistency" -l print -d 'Print the proof and the newer checkpoint, in the form that a witness takes (C2SP add-checkpoint)'
complete -c mcpid -n "__fish_mcpid_using_subcommand audit; and __fish_seen_subcommand_from consistency" -l json -d 'Print results, and failures on stderr, as JSON'
complete -c mcpid -n "__fish_mcpid_using_subcommand audit; and __fish_seen_subcommand_from consistency" -s q -l quiet -d 'Print only failures and warnings on stderr'
complete -c mcpid -n "__fish_mcpid_using_subcommand audit; and __fish_seen_subcommand_from consistency" -s v -l verbose -d 'Print more on stderr'
complete -c mcpid -n "__fish_mcpid_using_subcommand audit; and __fish_seen_subcommand_from consistency" -s h -l help -d 'Print help'
complete -c mcpid -n "__fish_mcpid_using_subcommand audit; and __fish_seen_subcommand_from cosign" -l log-key -d 'The log\'s public key, NAME+HASH+KEY, or a file that holds it; never taken from the log' -r
complete -c mcpid -n "__fish_mcpid_using_subcommand audit; and __fish_seen_subcommand_from cosign" -l state -d 'The file that records, for each log, what this witness has signed; made if it is missing' -r -F
complete -c mcpid -n "__fish_mcpid_using_subcommand audit; and __fish_seen_subcommand_from cosign" -s k -l key -d 'The keyfile, ssh-agent:ID for a key in the ssh-agent, \'exec:PROGRAM ARG...\' for a program that signs, or a pkcs11: URI for a key in a token [env: MCPID_KEY]' -r -F
complete -c mcpid -n "__fish_mcpid_using_subcommand audit; and __fish_seen_subcommand_from cosign" -l public-key -d 'The public key of KEY, which each signature must fit; needed for exec:' -r -F
complete -c mcpid -n "__fish_mcpid_using_subcommand audit; and __fish_seen_subcommand_from cosign" -l name -d 'The witness\'s name [default: the name of its key]' -r
complete -c mcpid -n "__fish_mcpid_using_subcommand audit; and __fish_seen_subcommand_from cosign" -l passphrase-file -d 'Read the passphrase from this file; one trailing newline is dropped' -r -F
complete -c mcpid -n "__fish_mcpid_using_subcommand audit; and __fish_seen_subcommand_from cosign" -l passphrase-fd -d 'Read the passphrase from this open file descriptor; one trailing newline is dropped' -r
complete -c mcpid -n "__fish_mcpid_using_subcommand audit; and __fish_seen_subcommand_from cosign" -l first -d 'Allow a log of which this witness has signed nothing yet, and only such a log'
complete -c mcpid -n "__fish_mcpid_using_subcommand audit; and __fish_seen_subcommand_from cosign" -l json -d 'Print results, and failures on stderr, as JSON'
complete -c mcpid -n "__fish_mcpid_using_subcommand audit; and __fish_seen_subcommand_from cosign" -s q -l quiet -d 'Print only failures and warnings on stderr'
complete -c mcpid -n "__fish_mcpid_using_subcommand audit; and __fish_seen_subcommand_from cosign" -s v -l verbose -d 'Print more on stderr'
complete -c mcpid -n "__fish_mcpid_using_subcommand audit; and __fish_seen_subcommand_from cosign" -s h -l help -d 'Print help'
complete -c mcpid -n "__fish_mcpid_using_subcommand audit; and __fish_seen_subcommand_from archive" -l audit -d 'The folder of the log [default: a folder of this user]' -r -F
complete -c mcpid -n "__fish_mcpid_using_subcommand audit; and __fish_seen_subcommand_from archive" -l audit-key -d 'The log\'s private key, if it is not in the folder: a keyfile, ssh-agent:ID, \'exec:PROGRAM ARG...\' or a pkcs11: URI' -r -F
complete -c mcpid -n "__fish_mcpid_using_subcommand audit; and __fish_seen_subcommand_from archive" -l audit-passphrase-file -d 'Read the passphrase or PIN of --audit-key from this file; one trailing newline is dropped' -r -F
complete -c mcpid -n "__fish_mcpid_using_subcommand audit; and __fish_seen_subcommand_from archive" -l before -d 'Move files whose entries are all from before this time: RFC 3339, @UNIX, a date (its begin, UTC), or an age such as 90d' -r
complete -c mcpid -n "__fish_mcpid_using_subcommand audit; and __fish_seen_subcommand_from archive" -l to -d 'The folder to move the files to; it is made if it does not exist' -r -F
complete -c mcpid -n "__fish_mcpid_using_subcommand audit; and __fish_seen_subcommand_from archive" -l json -d 'Print results, and failures on stderr, as JSON'
complete -c mcpid -n "__fish_mcpid_using_subcommand audit; and __fish_seen_subcommand_from archive" -s q -l quiet -d 'Print only failures and warnings on stderr'
complete -c mcpid -n "__fish_mcpid_using_subcommand audit; and __fish_seen_subcommand_from archive" -s v -l verbose -d 'Print more on stderr'
complete -c mcpid -n "__fish_mcpid_using_subcommand audit; and __fish_seen_subcommand_from archive" -s h -l help -d 'Print help'
complete -c mcpid -n "__fish_mcpid_using_subcommand audit; and __fish_seen_subcommand_from erase" -l audit -d 'The folder of the log [default: a folder of this user]' -r -F
complete -c mcpid -n "__fish_mcpid_using_subcommand audit; and __fish_seen_subcommand_from erase" -l audit-key -d 'The log\'s private key, if it is not in the folder: a keyfile, ssh-agent:ID, \'exec:PROGRAM ARG...\' or a pkcs11: URI' -r -F
complete -c mcpid -n "__fish_mcpid_using_subcommand audit; and __fish_seen_subcommand_from erase" -l audit-passphrase-file -d 'Read the passphrase or PIN of --audit-key from this file; one trailing newline is dropped' -r -F
complete -c mcpid -n "__fish_mcpid_using_subcommand audit; and __fish_seen_subcommand_from erase" -l archive -d 'A folder with entries that mcpid audit archive has moved out of the log; may be repeated' -r -F
complete -c mcpid -n "__fish_mcpid_using_subcommand audit; and __fish_seen_subcommand_from erase" -l reason -d 'The reason, in at most 1000 bytes; it stays in the log' -r
complete -c mcpid -n "__fish_mcpid_using_subcommand audit; and __fish_seen_subcommand_from erase" -l json -d 'Print results, and failures on stderr, as JSON'
complete -c mcpid -n "__fish_mcpid_using_subcommand audit; and __fish_seen_subcommand_from erase" -s q -l quiet -d 'Print only failures and warnings on stderr'
complete -c mcpid -n "__fish_mcpid_using_subcommand audit; and __fish_seen_subcommand_from erase" -s v -l verbose -d 'Print more on stderr'
complete -c mcpid -n "__fish_mcpid_using_subcommand audit; and __fish_seen_subcommand_from erase" -s h -l help -d 'Print help'
complete -c mcpid -n "__fish_mcpid_using_subcommand audit; and __fish_seen_subcommand_from witness" -l witness-policy -d 'The witnesses and their quorum (C2SP tlog-policy)' -r -F
complete -c mcpid -n "__fish_mcpid_using_subcommand audit; and __fish_seen_subcommand_from witness" -l json -d 'Print results, and failures on stderr, as JSON'
complete -c mcpid -n "__fish_mcpid_using_subcommand audit; and __fish_seen_subcommand_from witness" -s q -l quiet -d 'Print only failures and warnings on stderr'
complete -c mcpid -n "__fish_mcpid_using_subcommand audit; and __fish_seen_subcommand_from witness" -s v -l verbose -d 'Print more on stderr'
complete -c mcpid -n "__fish_mcpid_using_subcommand audit; and __fish_seen_subcommand_from witness" -s h -l help -d 'Print help'
complete -c mcpid -n "__fish_mcpid_using_subcommand help" -l json -d 'Print results, and failures on stderr, as JSON'
complete -c mcpid -n "__fish_mcpid_using_subcommand help" -s q -l quiet -d 'Print only failures and warnings on stderr'
complete -c mcpid -n "__fish_mcpid_using_subcommand help" -s v -l verbose -d 'Print more on stderr'
complete -c mcpid -n "__fish_mcpid_using_subcommand help" -s h -l help -d 'Print help'
complete -c mcpid -n "__fish_mcpid_using_subcommand version" -l json -d 'Print results, and failures on stderr, as JSON'
complete -c mcpid -n "__fish_mcpid_using_subcommand version" -s q -l quiet -d 'Print only failures and warnings on stderr'
complete -c mcpid -n "__fish_mcpid_using_subcommand version" -s v -l verbose -d 'Print more on stderr'
complete -c mcpid -n "__fish_mcpid_using_subcommand version" -s h -l help -d 'Print help'
