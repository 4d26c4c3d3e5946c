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
complete -c mcpid -n "__fish_mcpid_needs_command" -s q -l quiet -d 'Say nothing on stderr but failures and warnings'
complete -c mcpid -n "__fish_mcpid_needs_command" -s v -l verbose -d 'Say more on stderr'
complete -c mcpid -n "__fish_mcpid_needs_command" -s h -l help -d 'Print help'
complete -c mcpid -n "__fish_mcpid_needs_command" -s V -l version -d 'Print version'
complete -c mcpid -n "__fish_mcpid_needs_command" -f -a "demo" -d 'Show the whole story in one run'
complete -c mcpid -n "__fish_mcpid_needs_command" -f -a "keygen" -d 'Make a key, or import one'
complete -c mcpid -n "__fish_mcpid_needs_command" -f -a "sign" -d 'Sign a payload or an HTTP request'
complete -c mcpid -n "__fish_mcpid_needs_command" -f -a "verify" -d 'Judge captured requests'
complete -c mcpid -n "__fish_mcpid_needs_command" -f -a "inspect" -d 'Show what signed requests claim, without judging them'
complete -c mcpid -n "__fish_mcpid_needs_command" -f -a "export" -d 'Print the public part of a key'
complete -c mcpid -n "__fish_mcpid_needs_command" -f -a "passwd" -d 'Change the passphrase of a keyfile'
complete -c mcpid -n "__fish_mcpid_needs_command" -f -a "trust" -d 'Say whose signatures count'
complete -c mcpid -n "__fish_mcpid_needs_command" -f -a "nonce" -d 'Look after the nonces that were used'
complete -c mcpid -n "__fish_mcpid_needs_command" -f -a "gateway" -d 'Verify requests before they reach an MCP server'
complete -c mcpid -n "__fish_mcpid_needs_command" -f -a "connect" -d 'Let an unmodified MCP client sign'
complete -c mcpid -n "__fish_mcpid_needs_command" -f -a "agent" -d 'Keep a key in a running ssh-agent'
complete -c mcpid -n "__fish_mcpid_needs_command" -f -a "audit" -d 'Keep and check evidence of what was authorised'
complete -c mcpid -n "__fish_mcpid_needs_command" -f -a "help" -d 'Show how a command is used'
complete -c mcpid -n "__fish_mcpid_needs_command" -f -a "version" -d 'Print the version'
complete -c mcpid -n "__fish_mcpid_using_subcommand demo" -l json -d 'Print results, and failures on stderr, as JSON'
complete -c mcpid -n "__fish_mcpid_using_subcommand demo" -s q -l quiet -d 'Say nothing on stderr but failures and warnings'
complete -c mcpid -n "__fish_mcpid_using_subcommand demo" -s v -l verbose -d 'Say more on stderr'
complete -c mcpid -n "__fish_mcpid_using_subcommand demo" -s h -l help -d 'Print help'
complete -c mcpid -n "__fish_mcpid_using_subcommand keygen" -s o -l output -d 'Where to write the keyfile' -r -F
complete -c mcpid -n "__fish_mcpid_using_subcommand keygen" -l name -d 'What to call the key; readable without the passphrase' -r
complete -c mcpid -n "__fish_mcpid_using_subcommand keygen" -l import -d 'Take the private key from this file, or - for stdin: JWK, PKCS#8 PEM, OpenSSH, or the seed in hex or base64' -r -F
complete -c mcpid -n "__fish_mcpid_using_subcommand keygen" -l passphrase-file -d 'Read the passphrase from this file; one trailing newline is dropped' -r -F
complete -c mcpid -n "__fish_mcpid_using_subcommand keygen" -l passphrase-fd -d 'Read the passphrase from this open file descriptor; one trailing newline is dropped' -r
complete -c mcpid -n "__fish_mcpid_using_subcommand keygen" -l no-passphrase -d 'Do not encrypt: whoever can read the file can sign'
complete -c mcpid -n "__fish_mcpid_using_subcommand keygen" -l weak -d 'Accept a passphrase of under 8 characters'
complete -c mcpid -n "__fish_mcpid_using_subcommand keygen" -l json -d 'Print results, and failures on stderr, as JSON'
complete -c mcpid -n "__fish_mcpid_using_subcommand keygen" -s q -l quiet -d 'Say nothing on stderr but failures and warnings'
complete -c mcpid -n "__fish_mcpid_using_subcommand keygen" -s v -l verbose -d 'Say more on stderr'
complete -c mcpid -n "__fish_mcpid_using_subcommand keygen" -s h -l help -d 'Print help'
complete -c mcpid -n "__fish_mcpid_using_subcommand sign" -s k -l key -d 'The keyfile, or ssh-agent:ID for a key in the ssh-agent [env: MCPID_KEY]' -r -F
complete -c mcpid -n "__fish_mcpid_using_subcommand sign" -l profile -d 'The rules to sign by' -r -f -a "mcp\t'All of mcpid\'s rules'
sep2752\t'What the draft SEP-2752 asks, and no more'
rfc9421\t'Any signature of RFC 9421, for audits and interoperability'"
complete -c mcpid -n "__fish_mcpid_using_subcommand sign" -l client-id -d 'The stable client id to send as tag, in place of the key id' -r
complete -c mcpid -n "__fish_mcpid_using_subcommand sign" -l cover -d 'Cover one more component, such as x-request-id or \'@authority\'' -r
complete -c mcpid -n "__fish_mcpid_using_subcommand sign" -l no-cover -d 'Leave one component out that would be covered' -r
complete -c mcpid -n "__fish_mcpid_using_subcommand sign" -l label -d 'The signature\'s label' -r
complete -c mcpid -n "__fish_mcpid_using_subcommand sign" -l ttl -d 'After how long the signature expires, or none; 30s under the profile mcp' -r
complete -c mcpid -n "__fish_mcpid_using_subcommand sign" -l at -d 'Sign as of this time: RFC 3339 or @UNIX' -r
complete -c mcpid -n "__fish_mcpid_using_subcommand sign" -l format -d 'How to print it; headers with --url, else http' -r -f -a "headers\t'The header fields to send, one a line'
http\t'The whole HTTP/1.1 request'
curl\t'A shell command that sends exactly the signed bytes'"
complete -c mcpid -n "__fish_mcpid_using_subcommand sign" -l passphrase-file -d 'Read the passphrase from this file; one trailing newline is dropped' -r -F
complete -c mcpid -n "__fish_mcpid_using_subcommand sign" -l passphrase-fd -d 'Read the passphrase from this open file descriptor; one trailing newline is dropped' -r
complete -c mcpid -n "__fish_mcpid_using_subcommand sign" -l url -d 'Where the payload will be sent' -r
complete -c mcpid -n "__fish_mcpid_using_subcommand sign" -l method -d 'With which method [default: POST]' -r
complete -c mcpid -n "__fish_mcpid_using_subcommand sign" -s H -l header -d 'A header to send with it, \'Name: value\', or @FILE with one a line' -r
complete -c mcpid -n "__fish_mcpid_using_subcommand sign" -l origin -d 'The scheme and host the request is meant for, such as https://mcp.example.com' -r
complete -c mcpid -n "__fish_mcpid_using_subcommand sign" -l replace -d 'Replace a signature of the same label that the request bears'
complete -c mcpid -n "__fish_mcpid_using_subcommand sign" -l json -d 'Print results, and failures on stderr, as JSON'
complete -c mcpid -n "__fish_mcpid_using_subcommand sign" -s q -l quiet -d 'Say nothing on stderr but failures and warnings'
complete -c mcpid -n "__fish_mcpid_using_subcommand sign" -s v -l verbose -d 'Say more on stderr'
complete -c mcpid -n "__fish_mcpid_using_subcommand sign" -s h -l help -d 'Print help (see more with \'--help\')'
complete -c mcpid -n "__fish_mcpid_using_subcommand verify" -s r -l trust -d 'A trust file, or a folder of them; may be repeated [env: MCPID_TRUST]' -r -F
complete -c mcpid -n "__fish_mcpid_using_subcommand verify" -l profile -d 'The rules to judge by' -r -f -a "mcp\t'All of mcpid\'s rules'
sep2752\t'What the draft SEP-2752 asks, and no more'
rfc9421\t'Any signature of RFC 9421, for audits and interoperability'"
complete -c mcpid -n "__fish_mcpid_using_subcommand verify" -l window -d 'How old a signature may be; 30s under the profile mcp' -r
complete -c mcpid -n "__fish_mcpid_using_subcommand verify" -l ahead -d 'How far the signer\'s clock may be ahead; 5s under the profile mcp' -r
complete -c mcpid -n "__fish_mcpid_using_subcommand verify" -l require -d 'Require one more component to be covered' -r
complete -c mcpid -n "__fish_mcpid_using_subcommand verify" -l allow-uncovered -d 'Do not require this component to be covered' -r
complete -c mcpid -n "__fish_mcpid_using_subcommand verify" -l max-body -d 'The largest body that is judged, in bytes or as 4MiB [default: 4MiB]' -r
complete -c mcpid -n "__fish_mcpid_using_subcommand verify" -l origin -d 'A scheme and host that is ours, such as https://mcp.example.com; may be repeated' -r
complete -c mcpid -n "__fish_mcpid_using_subcommand verify" -l at -d 'Judge as of this time: RFC 3339, @UNIX, or capture for the time each request bears' -r
complete -c mcpid -n "__fish_mcpid_using_subcommand verify" -l nonces -d 'Claim nonces in this store, such as sqlite:PATH (with --at, only look them up)' -r
complete -c mcpid -n "__fish_mcpid_using_subcommand verify" -l only -d 'Judge only requests whose target begins with this; the rest is counted' -r
complete -c mcpid -n "__fish_mcpid_using_subcommand verify" -l allow-evicting-store -d 'Use Redis servers though they evict when full: a nonce can then be used twice, unnoticed'
complete -c mcpid -n "__fish_mcpid_using_subcommand verify" -l raise-retention -d 'Make the store keep nonces for longer, where this window needs it; that closes it for all its users for about that window'
complete -c mcpid -n "__fish_mcpid_using_subcommand verify" -l json -d 'Print results, and failures on stderr, as JSON'
complete -c mcpid -n "__fish_mcpid_using_subcommand verify" -s q -l quiet -d 'Say nothing on stderr but failures and warnings'
complete -c mcpid -n "__fish_mcpid_using_subcommand verify" -s v -l verbose -d 'Say more on stderr'
complete -c mcpid -n "__fish_mcpid_using_subcommand verify" -s h -l help -d 'Print help (see more with \'--help\')'
complete -c mcpid -n "__fish_mcpid_using_subcommand inspect" -l label -d 'Look at the signature of this label only' -r
complete -c mcpid -n "__fish_mcpid_using_subcommand inspect" -l at -d 'Tell ages as of this time: RFC 3339, @UNIX, or capture for the time each request bears' -r
complete -c mcpid -n "__fish_mcpid_using_subcommand inspect" -l nonces -d 'Look nonces up in this store, such as sqlite:PATH' -r
complete -c mcpid -n "__fish_mcpid_using_subcommand inspect" -l base -d 'Print the signature base: exactly the bytes that were signed'
complete -c mcpid -n "__fish_mcpid_using_subcommand inspect" -l allow-evicting-store -d 'Use Redis servers though they evict when full: a nonce can then be used twice, unnoticed'
complete -c mcpid -n "__fish_mcpid_using_subcommand inspect" -l json -d 'Print results, and failures on stderr, as JSON'
complete -c mcpid -n "__fish_mcpid_using_subcommand inspect" -s q -l quiet -d 'Say nothing on stderr but failures and warnings'
complete -c mcpid -n "__fish_mcpid_using_subcommand inspect" -s v -l verbose -d 'Say more on stderr'
complete -c mcpid -n "__fish_mcpid_using_subcommand inspect" -s h -l help -d 'Print help'
complete -c mcpid -n "__fish_mcpid_using_subcommand export" -s k -l key -d 'The keyfile, or ssh-agent:ID [env: MCPID_KEY]' -r -F
complete -c mcpid -n "__fish_mcpid_using_subcommand export" -l format -d 'In which form' -r -f -a "jwk\t'A JSON Web Key (RFC 8037)'
jwks\t'A JSON Web Key Set with this one key'
pem\t'SubjectPublicKeyInfo in PEM (RFC 8410)'
openssh\t'A line for OpenSSH'
did\t'A did:key identifier'
hex\t'The 32 bytes in hex'
thumbprint\t'The key id: the RFC 7638 thumbprint'"
complete -c mcpid -n "__fish_mcpid_using_subcommand export" -l jwk-alg -d 'Give the JWK an alg member, for programs that insist on one' -r -f -a "EdDSA\t'RFC 8037: what most programs know'
Ed25519\t'RFC 9864'"
complete -c mcpid -n "__fish_mcpid_using_subcommand export" -l json -d 'Print results, and failures on stderr, as JSON'
complete -c mcpid -n "__fish_mcpid_using_subcommand export" -s q -l quiet -d 'Say nothing on stderr but failures and warnings'
complete -c mcpid -n "__fish_mcpid_using_subcommand export" -s v -l verbose -d 'Say more on stderr'
complete -c mcpid -n "__fish_mcpid_using_subcommand export" -s h -l help -d 'Print help (see more with \'--help\')'
complete -c mcpid -n "__fish_mcpid_using_subcommand passwd" -s k -l key -d 'The keyfile [env: MCPID_KEY]' -r -F
complete -c mcpid -n "__fish_mcpid_using_subcommand passwd" -l passphrase-file -d 'Read the passphrase from this file; one trailing newline is dropped' -r -F
complete -c mcpid -n "__fish_mcpid_using_subcommand passwd" -l passphrase-fd -d 'Read the passphrase from this open file descriptor; one trailing newline is dropped' -r
complete -c mcpid -n "__fish_mcpid_using_subcommand passwd" -l new-passphrase-file -d 'Read the new passphrase from this file; one trailing newline is dropped' -r -F
complete -c mcpid -n "__fish_mcpid_using_subcommand passwd" -l new-passphrase-fd -d 'Read the new passphrase from this open file descriptor; one trailing newline is dropped' -r
complete -c mcpid -n "__fish_mcpid_using_subcommand passwd" -l no-passphrase -d 'Do not encrypt any more: whoever can read the file can sign'
complete -c mcpid -n "__fish_mcpid_using_subcommand passwd" -l weak -d 'Accept a new passphrase of under 8 characters'
complete -c mcpid -n "__fish_mcpid_using_subcommand passwd" -l json -d 'Print results, and failures on stderr, as JSON'
complete -c mcpid -n "__fish_mcpid_using_subcommand passwd" -s q -l quiet -d 'Say nothing on stderr but failures and warnings'
complete -c mcpid -n "__fish_mcpid_using_subcommand passwd" -s v -l verbose -d 'Say more on stderr'
complete -c mcpid -n "__fish_mcpid_using_subcommand passwd" -s h -l help -d 'Print help'
complete -c mcpid -n "__fish_mcpid_using_subcommand trust; and not __fish_seen_subcommand_from add list revoke remove" -l json -d 'Print results, and failures on stderr, as JSON'
complete -c mcpid -n "__fish_mcpid_using_subcommand trust; and not __fish_seen_subcommand_from add list revoke remove" -s q -l quiet -d 'Say nothing on stderr but failures and warnings'
complete -c mcpid -n "__fish_mcpid_using_subcommand trust; and not __fish_seen_subcommand_from add list revoke remove" -s v -l verbose -d 'Say more on stderr'
complete -c mcpid -n "__fish_mcpid_using_subcommand trust; and not __fish_seen_subcommand_from add list revoke remove" -s h -l help -d 'Print help'
complete -c mcpid -n "__fish_mcpid_using_subcommand trust; and not __fish_seen_subcommand_from add list revoke remove" -f -a "add" -d 'Trust a key'
complete -c mcpid -n "__fish_mcpid_using_subcommand trust; and not __fish_seen_subcommand_from add list revoke remove" -f -a "list" -d 'Show the keys of a trust file'
complete -c mcpid -n "__fish_mcpid_using_subcommand trust; and not __fish_seen_subcommand_from add list revoke remove" -f -a "revoke" -d 'Revoke a key, so that nothing it signs counts any more'
complete -c mcpid -n "__fish_mcpid_using_subcommand trust; and not __fish_seen_subcommand_from add list revoke remove" -f -a "remove" -d 'Remove a key, so that it is unknown'
complete -c mcpid -n "__fish_mcpid_using_subcommand trust; and __fish_seen_subcommand_from add" -s r -l trust -d 'The trust file [env: MCPID_TRUST]' -r -F
complete -c mcpid -n "__fish_mcpid_using_subcommand trust; and __fish_seen_subcommand_from add" -l name -d 'What to call the key; the keyfile\'s own name where it has one' -r
complete -c mcpid -n "__fish_mcpid_using_subcommand trust; and __fish_seen_subcommand_from add" -l client-id -d 'A client id that this key may send as tag, besides its key id; may be repeated' -r
complete -c mcpid -n "__fish_mcpid_using_subcommand trust; and __fish_seen_subcommand_from add" -l not-before -d 'Not valid before this time: RFC 3339 or @UNIX' -r
complete -c mcpid -n "__fish_mcpid_using_subcommand trust; and __fish_seen_subcommand_from add" -l not-after -d 'Not valid after this time: RFC 3339 or @UNIX' -r
complete -c mcpid -n "__fish_mcpid_using_subcommand trust; and __fish_seen_subcommand_from add" -l allow -d 'What the key may do, METHOD[:NAME] with * for anything; may be repeated; everything, where none is given' -r
complete -c mcpid -n "__fish_mcpid_using_subcommand trust; and __fish_seen_subcommand_from add" -l json -d 'Print results, and failures on stderr, as JSON'
complete -c mcpid -n "__fish_mcpid_using_subcommand trust; and __fish_seen_subcommand_from add" -s q -l quiet -d 'Say nothing on stderr but failures and warnings'
complete -c mcpid -n "__fish_mcpid_using_subcommand trust; and __fish_seen_subcommand_from add" -s v -l verbose -d 'Say more on stderr'
complete -c mcpid -n "__fish_mcpid_using_subcommand trust; and __fish_seen_subcommand_from add" -s h -l help -d 'Print help'
complete -c mcpid -n "__fish_mcpid_using_subcommand trust; and __fish_seen_subcommand_from list" -s r -l trust -d 'The trust file [env: MCPID_TRUST]' -r -F
complete -c mcpid -n "__fish_mcpid_using_subcommand trust; and __fish_seen_subcommand_from list" -l json -d 'Print results, and failures on stderr, as JSON'
complete -c mcpid -n "__fish_mcpid_using_subcommand trust; and __fish_seen_subcommand_from list" -s q -l quiet -d 'Say nothing on stderr but failures and warnings'
complete -c mcpid -n "__fish_mcpid_using_subcommand trust; and __fish_seen_subcommand_from list" -s v -l verbose -d 'Say more on stderr'
complete -c mcpid -n "__fish_mcpid_using_subcommand trust; and __fish_seen_subcommand_from list" -s h -l help -d 'Print help'
complete -c mcpid -n "__fish_mcpid_using_subcommand trust; and __fish_seen_subcommand_from revoke" -s r -l trust -d 'The trust file [env: MCPID_TRUST]' -r -F
complete -c mcpid -n "__fish_mcpid_using_subcommand trust; and __fish_seen_subcommand_from revoke" -l at -d 'Since when: RFC 3339 or @UNIX; now, where it is not given' -r
complete -c mcpid -n "__fish_mcpid_using_subcommand trust; and __fish_seen_subcommand_from revoke" -l json -d 'Print results, and failures on stderr, as JSON'
complete -c mcpid -n "__fish_mcpid_using_subcommand trust; and __fish_seen_subcommand_from revoke" -s q -l quiet -d 'Say nothing on stderr but failures and warnings'
complete -c mcpid -n "__fish_mcpid_using_subcommand trust; and __fish_seen_subcommand_from revoke" -s v -l verbose -d 'Say more on stderr'
complete -c mcpid -n "__fish_mcpid_using_subcommand trust; and __fish_seen_subcommand_from revoke" -s h -l help -d 'Print help'
complete -c mcpid -n "__fish_mcpid_using_subcommand trust; and __fish_seen_subcommand_from remove" -s r -l trust -d 'The trust file [env: MCPID_TRUST]' -r -F
complete -c mcpid -n "__fish_mcpid_using_subcommand trust; and __fish_seen_subcommand_from remove" -l json -d 'Print results, and failures on stderr, as JSON'
complete -c mcpid -n "__fish_mcpid_using_subcommand trust; and __fish_seen_subcommand_from remove" -s q -l quiet -d 'Say nothing on stderr but failures and warnings'
complete -c mcpid -n "__fish_mcpid_using_subcommand trust; and __fish_seen_subcommand_from remove" -s v -l verbose -d 'Say more on stderr'
complete -c mcpid -n "__fish_mcpid_using_subcommand trust; and __fish_seen_subcommand_from remove" -s h -l help -d 'Print help'
complete -c mcpid -n "__fish_mcpid_using_subcommand nonce; and not __fish_seen_subcommand_from list prune" -l json -d 'Print results, and failures on stderr, as JSON'
complete -c mcpid -n "__fish_mcpid_using_subcommand nonce; and not __fish_seen_subcommand_from list prune" -s q -l quiet -d 'Say nothing on stderr but failures and warnings'
complete -c mcpid -n "__fish_mcpid_using_subcommand nonce; and not __fish_seen_subcommand_from list prune" -s v -l verbose -d 'Say more on stderr'
complete -c mcpid -n "__fish_mcpid_using_subcommand nonce; and not __fish_seen_subcommand_from list prune" -s h -l help -d 'Print help'
complete -c mcpid -n "__fish_mcpid_using_subcommand nonce; and not __fish_seen_subcommand_from list prune" -f -a "list" -d 'Show what is kept, and until when'
complete -c mcpid -n "__fish_mcpid_using_subcommand nonce; and not __fish_seen_subcommand_from list prune" -f -a "prune" -d 'Remove what is needed no longer'
complete -c mcpid -n "__fish_mcpid_using_subcommand nonce; and __fish_seen_subcommand_from list" -l nonces -d 'The store, such as sqlite:PATH [env: MCPID_NONCES]' -r
complete -c mcpid -n "__fish_mcpid_using_subcommand nonce; and __fish_seen_subcommand_from list" -l allow-evicting-store -d 'Use Redis servers though they evict when full: a nonce can then be used twice, unnoticed'
complete -c mcpid -n "__fish_mcpid_using_subcommand nonce; and __fish_seen_subcommand_from list" -l json -d 'Print results, and failures on stderr, as JSON'
complete -c mcpid -n "__fish_mcpid_using_subcommand nonce; and __fish_seen_subcommand_from list" -s q -l quiet -d 'Say nothing on stderr but failures and warnings'
complete -c mcpid -n "__fish_mcpid_using_subcommand nonce; and __fish_seen_subcommand_from list" -s v -l verbose -d 'Say more on stderr'
complete -c mcpid -n "__fish_mcpid_using_subcommand nonce; and __fish_seen_subcommand_from list" -s h -l help -d 'Print help'
complete -c mcpid -n "__fish_mcpid_using_subcommand nonce; and __fish_seen_subcommand_from prune" -l nonces -d 'The store, such as sqlite:PATH [env: MCPID_NONCES]' -r
complete -c mcpid -n "__fish_mcpid_using_subcommand nonce; and __fish_seen_subcommand_from prune" -l allow-evicting-store -d 'Use Redis servers though they evict when full: a nonce can then be used twice, unnoticed'
complete -c mcpid -n "__fish_mcpid_using_subcommand nonce; and __fish_seen_subcommand_from prune" -l json -d 'Print results, and failures on stderr, as JSON'
complete -c mcpid -n "__fish_mcpid_using_subcommand nonce; and __fish_seen_subcommand_from prune" -s q -l quiet -d 'Say nothing on stderr but failures and warnings'
complete -c mcpid -n "__fish_mcpid_using_subcommand nonce; and __fish_seen_subcommand_from prune" -s v -l verbose -d 'Say more on stderr'
complete -c mcpid -n "__fish_mcpid_using_subcommand nonce; and __fish_seen_subcommand_from prune" -s h -l help -d 'Print help'
complete -c mcpid -n "__fish_mcpid_using_subcommand gateway; and not __fish_seen_subcommand_from report" -l config -d 'Read what is not given by flags from this TOML file' -r -F
complete -c mcpid -n "__fish_mcpid_using_subcommand gateway; and not __fish_seen_subcommand_from report" -l upstream -d 'The server behind: http://HOST[:PORT]/PATH, https://…, or unix:SOCKET' -r
complete -c mcpid -n "__fish_mcpid_using_subcommand gateway; and not __fish_seen_subcommand_from report" -l listen -d 'Where to listen [default: 127.0.0.1:8080]' -r
complete -c mcpid -n "__fish_mcpid_using_subcommand gateway; and not __fish_seen_subcommand_from report" -s r -l trust -d 'A trust file, or a folder of them; may be repeated [env: MCPID_TRUST]' -r -F
complete -c mcpid -n "__fish_mcpid_using_subcommand gateway; and not __fish_seen_subcommand_from report" -l profile -d 'The rules to judge by' -r -f -a "mcp\t'All of mcpid\'s rules'
sep2752\t'What the draft SEP-2752 asks, and no more'
rfc9421\t'Any signature of RFC 9421, for audits and interoperability'"
complete -c mcpid -n "__fish_mcpid_using_subcommand gateway; and not __fish_seen_subcommand_from report" -l window -d 'How old a signature may be; 30s under the profile mcp' -r
complete -c mcpid -n "__fish_mcpid_using_subcommand gateway; and not __fish_seen_subcommand_from report" -l ahead -d 'How far the signer\'s clock may be ahead; 5s under the profile mcp' -r
complete -c mcpid -n "__fish_mcpid_using_subcommand gateway; and not __fish_seen_subcommand_from report" -l require -d 'Require one more component to be covered' -r
complete -c mcpid -n "__fish_mcpid_using_subcommand gateway; and not __fish_seen_subcommand_from report" -l allow-uncovered -d 'Do not require this component to be covered' -r
complete -c mcpid -n "__fish_mcpid_using_subcommand gateway; and not __fish_seen_subcommand_from report" -l max-body -d 'The largest body that is judged, in bytes or as 4MiB [default: 4MiB]' -r
complete -c mcpid -n "__fish_mcpid_using_subcommand gateway; and not __fish_seen_subcommand_from report" -l origin -d 'A scheme and host that is ours, such as https://mcp.example.com; may be repeated' -r
complete -c mcpid -n "__fish_mcpid_using_subcommand gateway; and not __fish_seen_subcommand_from report" -l nonces -d 'Where used nonces are kept: memory:, sqlite:PATH, redis://HOST… [env: MCPID_NONCES] [default: a file of this user\'s]' -r
complete -c mcpid -n "__fish_mcpid_using_subcommand gateway; and not __fish_seen_subcommand_from report" -l mode -d 'What becomes of requests that are not verified' -r -f -a "strict\t'It is refused'
permissive\t'It gets through, labelled'"
complete -c mcpid -n "__fish_mcpid_using_subcommand gateway; and not __fish_seen_subcommand_from report" -l strict -d 'Refuse what is not verified for METHOD[:NAME], * being anything, or for the tools that the server\'s own list does not call harmless (destructive); may be repeated' -r -f -a "destructive\t''"
complete -c mcpid -n "__fish_mcpid_using_subcommand gateway; and not __fish_seen_subcommand_from report" -l permissive -d 'Let METHOD[:NAME] through unverified, unless it is strict too; may be repeated' -r
complete -c mcpid -n "__fish_mcpid_using_subcommand gateway; and not __fish_seen_subcommand_from report" -l refuse-with -d 'The status of a refusal' -r -f -a "403\t'Forbidden: MCP clients take it for what it is'
401\t'Unauthorized, with WWW-Authenticate: HTTPSig; other clients start an OAuth login'
200\t'OK with a JSON-RPC error, for clients that hide the text of an error status'"
complete -c mcpid -n "__fish_mcpid_using_subcommand gateway; and not __fish_seen_subcommand_from report" -l realm -d 'The realm that a 401 names [default: mcp]' -r
complete -c mcpid -n "__fish_mcpid_using_subcommand gateway; and not __fish_seen_subcommand_from report" -l path -d 'The path of the endpoint [default: that of the upstream]' -r
complete -c mcpid -n "__fish_mcpid_using_subcommand gateway; and not __fish_seen_subcommand_from report" -l open -d 'Pass [METHOD ]PATH, or with /* all below it, through unsigned; may be repeated' -r
complete -c mcpid -n "__fish_mcpid_using_subcommand gateway; and not __fish_seen_subcommand_from report" -l allow-origin -d 'A web origin beside --origin whose pages may ask; with it browsers are answered (CORS); may be repeated' -r
complete -c mcpid -n "__fish_mcpid_using_subcommand gateway; and not __fish_seen_subcommand_from report" -l trusted-proxy -d 'Believe X-Forwarded-For of proxies at this address or network, or of those at the Unix socket (unix), for the client\'s address in the log; may be repeated' -r
complete -c mcpid -n "__fish_mcpid_using_subcommand gateway; and not __fish_seen_subcommand_from report" -l tls-cert -d 'The certificates to show, PEM, the server\'s own first; with it TLS is spoken' -r -F
complete -c mcpid -n "__fish_mcpid_using_subcommand gateway; and not __fish_seen_subcommand_from report" -l tls-key -d 'Their private key, PEM' -r -F
complete -c mcpid -n "__fish_mcpid_using_subcommand gateway; and not __fish_seen_subcommand_from report" -l upstream-ca -d 'Trust an https upstream by these authorities, PEM, in place of this machine\'s own' -r -F
complete -c mcpid -n "__fish_mcpid_using_subcommand gateway; and not __fish_seen_subcommand_from report" -l log -d 'Append one JSON line a request to this file, in place of stdout; opened anew on SIGHUP' -r -F
complete -c mcpid -n "__fish_mcpid_using_subcommand gateway; and not __fish_seen_subcommand_from report" -l admin -d 'Serve /healthz, /readyz and /metrics there' -r
complete -c mcpid -n "__fish_mcpid_using_subcommand gateway; and not __fish_seen_subcommand_from report" -l max-connections -d 'Connections at once, and as many requests with the server [default: 10000, or what the limit on open files allows]' -r
complete -c mcpid -n "__fish_mcpid_using_subcommand gateway; and not __fish_seen_subcommand_from report" -l budget -d 'Bytes of bodies that nobody has vouched for, of all requests together, the last quarter for signatures that hold [default: 256MiB]' -r
complete -c mcpid -n "__fish_mcpid_using_subcommand gateway; and not __fish_seen_subcommand_from report" -l head-timeout -d 'How long a request\'s head may take [default: 10s]' -r
complete -c mcpid -n "__fish_mcpid_using_subcommand gateway; and not __fish_seen_subcommand_from report" -l body-timeout -d 'How long a request\'s body may take [default: 30s]' -r
complete -c mcpid -n "__fish_mcpid_using_subcommand gateway; and not __fish_seen_subcommand_from report" -l idle-timeout -d 'How long a connection may lie unused, or its client take nothing of an answer [default: 75s]' -r
complete -c mcpid -n "__fish_mcpid_using_subcommand gateway; and not __fish_seen_subcommand_from report" -l connect-timeout -d 'How long connecting to the server may take [default: 5s]' -r
complete -c mcpid -n "__fish_mcpid_using_subcommand gateway; and not __fish_seen_subcommand_from report" -l answer-timeout -d 'How long the server may take to begin its answer [default: 5m]' -r
complete -c mcpid -n "__fish_mcpid_using_subcommand gateway; and not __fish_seen_subcommand_from report" -l drain-timeout -d 'How long requests in flight may take when the end has come [default: 30s]' -r
complete -c mcpid -n "__fish_mcpid_using_subcommand gateway; and not __fish_seen_subcommand_from report" -l audit -d 'Write every request down in the audit log in this folder (see mcpid audit init)' -r -F
complete -c mcpid -n "__fish_mcpid_using_subcommand gateway; and not __fish_seen_subcommand_from report" -l audit-policy -d 'What becomes of a request that cannot be written down [default: required]' -r -f -a "required\t'It is not passed on'
best-effort\t'It is passed on, and counted as a gap'"
complete -c mcpid -n "__fish_mcpid_using_subcommand gateway; and not __fish_seen_subcommand_from report" -l audit-redact -d 'Keep a salted hash in place of what METHOD:NAME:PATH names in a body, such as tools/call:*:arguments.password; may be repeated' -r
complete -c mcpid -n "__fish_mcpid_using_subcommand gateway; and not __fish_seen_subcommand_from report" -l audit-sync -d 'When an entry counts as written [default: batch]' -r -f -a "batch\t'When it is on the disk; entries that wait together share one fdatasync'
checkpoint\t'When the system has it; a power cut can take what came since the last checkpoint'"
complete -c mcpid -n "__fish_mcpid_using_subcommand gateway; and not __fish_seen_subcommand_from report" -l witness-policy -d 'Let the witnesses of this policy (C2SP tlog-policy) cosign each checkpoint of the log' -r -F
complete -c mcpid -n "__fish_mcpid_using_subcommand gateway; and not __fish_seen_subcommand_from report" -l check-config -d 'Check flags, configuration, trust files and certificates, and end'
complete -c mcpid -n "__fish_mcpid_using_subcommand gateway; and not __fish_seen_subcommand_from report" -l allow-evicting-store -d 'Use Redis servers though they evict when full: a nonce can then be used twice, unnoticed'
complete -c mcpid -n "__fish_mcpid_using_subcommand gateway; and not __fish_seen_subcommand_from report" -l raise-retention -d 'Make the store keep nonces for longer, where this window needs it; that closes it for all its users for about that window'
complete -c mcpid -n "__fish_mcpid_using_subcommand gateway; and not __fish_seen_subcommand_from report" -l preserve-host -d 'Show the server Host and Origin as the client sent them'
complete -c mcpid -n "__fish_mcpid_using_subcommand gateway; and not __fish_seen_subcommand_from report" -l allow-remote-upstream -d 'Send to another machine by plain http, where whoever is on the way can forge Mcpid-Status'
complete -c mcpid -n "__fish_mcpid_using_subcommand gateway; and not __fish_seen_subcommand_from report" -l allow-remote-admin -d 'Let --admin be an address that other machines reach'
complete -c mcpid -n "__fish_mcpid_using_subcommand gateway; and not __fish_seen_subcommand_from report" -l audit-bodies -d 'Keep bodies, and not only their digests'
complete -c mcpid -n "__fish_mcpid_using_subcommand gateway; and not __fish_seen_subcommand_from report" -l json -d 'Print results, and failures on stderr, as JSON'
complete -c mcpid -n "__fish_mcpid_using_subcommand gateway; and not __fish_seen_subcommand_from report" -s q -l quiet -d 'Say nothing on stderr but failures and warnings'
complete -c mcpid -n "__fish_mcpid_using_subcommand gateway; and not __fish_seen_subcommand_from report" -s v -l verbose -d 'Say more on stderr'
complete -c mcpid -n "__fish_mcpid_using_subcommand gateway; and not __fish_seen_subcommand_from report" -s h -l help -d 'Print help (see more with \'--help\')'
complete -c mcpid -n "__fish_mcpid_using_subcommand gateway; and not __fish_seen_subcommand_from report" -f -a "report" -d 'Say from a gateway\'s log whom strict would refuse, and why'
complete -c mcpid -n "__fish_mcpid_using_subcommand gateway; and __fish_seen_subcommand_from report" -l html -d 'Write one self-contained page here, or to stdout for -; an older report is replaced, any other file is not' -r -F
complete -c mcpid -n "__fish_mcpid_using_subcommand gateway; and __fish_seen_subcommand_from report" -l since -d 'Leave out what came before this time: RFC 3339, @UNIX, a date (its begin, UTC), or an age such as 24h' -r
complete -c mcpid -n "__fish_mcpid_using_subcommand gateway; and __fish_seen_subcommand_from report" -l until -d 'Leave out what came at this time or later, likewise' -r
complete -c mcpid -n "__fish_mcpid_using_subcommand gateway; and __fish_seen_subcommand_from report" -l json -d 'Print results, and failures on stderr, as JSON'
complete -c mcpid -n "__fish_mcpid_using_subcommand gateway; and __fish_seen_subcommand_from report" -s q -l quiet -d 'Say nothing on stderr but failures and warnings'
complete -c mcpid -n "__fish_mcpid_using_subcommand gateway; and __fish_seen_subcommand_from report" -s v -l verbose -d 'Say more on stderr'
complete -c mcpid -n "__fish_mcpid_using_subcommand gateway; and __fish_seen_subcommand_from report" -s h -l help -d 'Print help'
complete -c mcpid -n "__fish_mcpid_using_subcommand connect" -s k -l key -d 'The keyfile, or ssh-agent:ID for a key in the ssh-agent [env: MCPID_KEY]' -r -F
complete -c mcpid -n "__fish_mcpid_using_subcommand connect" -l profile -d 'The rules to sign by' -r -f -a "mcp\t'All of mcpid\'s rules'
sep2752\t'What the draft SEP-2752 asks, and no more'
rfc9421\t'Any signature of RFC 9421, for audits and interoperability'"
complete -c mcpid -n "__fish_mcpid_using_subcommand connect" -l client-id -d 'The stable client id to send as tag, in place of the key id' -r
complete -c mcpid -n "__fish_mcpid_using_subcommand connect" -l ttl -d 'After how long a signature expires, or none; 30s under the profile mcp' -r
complete -c mcpid -n "__fish_mcpid_using_subcommand connect" -s H -l header -d 'A header to send with every request, \'Name: value\', or @FILE with one a line' -r
complete -c mcpid -n "__fish_mcpid_using_subcommand connect" -l max-body -d 'The largest message that is signed, in bytes or as 4MiB [default: 4MiB]' -r
complete -c mcpid -n "__fish_mcpid_using_subcommand connect" -l timeout -d 'How long the server may say nothing before a request is given up [default: 15m]' -r
complete -c mcpid -n "__fish_mcpid_using_subcommand connect" -l ca -d 'The authorities to trust for TLS, a PEM file, in place of this machine\'s' -r -F
complete -c mcpid -n "__fish_mcpid_using_subcommand connect" -l log-file -d 'Write the log into this file, all of it, instead of to stderr' -r -F
complete -c mcpid -n "__fish_mcpid_using_subcommand connect" -l print-config -d 'Print the configuration that makes a client start this command, and end' -r -f -a "claude\t'Claude Desktop and Claude Code'
cursor\t'Cursor'
vscode\t'Visual Studio Code'
generic\t'Any other: command and arguments'"
complete -c mcpid -n "__fish_mcpid_using_subcommand connect" -l passphrase-file -d 'Read the passphrase from this file; one trailing newline is dropped' -r -F
complete -c mcpid -n "__fish_mcpid_using_subcommand connect" -l passphrase-fd -d 'Read the passphrase from this open file descriptor; one trailing newline is dropped' -r
complete -c mcpid -n "__fish_mcpid_using_subcommand connect" -l listen -d 'Be an HTTP server for the client: 127.0.0.1:PORT, port 0 for a free one, or unix:PATH' -r
complete -c mcpid -n "__fish_mcpid_using_subcommand connect" -l allow-origin -d 'Let web pages of this origin in, if they know the URL' -r
complete -c mcpid -n "__fish_mcpid_using_subcommand connect" -l confirm -d 'Ask a person before signing what this pattern matches, or calls of destructive tools' -r -f -a "destructive\t''"
complete -c mcpid -n "__fish_mcpid_using_subcommand connect" -l confirm-via -d 'Who asks [default: MCPID_ASKPASS, else the terminal if no other program has it, else SSH_ASKPASS]' -r -f -a "terminal\t'The terminal'
askpass\t'The program that `MCPID_ASKPASS` or `SSH_ASKPASS` names'
client\t'The client itself, by an elicitation: only for a client that may answer for its person'"
complete -c mcpid -n "__fish_mcpid_using_subcommand connect" -l confirm-timeout -d 'How long the person has to answer; silence is a no [default: 60s]' -r
complete -c mcpid -n "__fish_mcpid_using_subcommand connect" -l audit -d 'Write every request down in the audit log in this folder (see mcpid audit init)' -r -F
complete -c mcpid -n "__fish_mcpid_using_subcommand connect" -l audit-policy -d 'What becomes of a request that cannot be written down [default: required]' -r -f -a "required\t'It is not passed on'
best-effort\t'It is passed on, and counted as a gap'"
complete -c mcpid -n "__fish_mcpid_using_subcommand connect" -l audit-redact -d 'Keep a salted hash in place of what METHOD:NAME:PATH names in a body, such as tools/call:*:arguments.password; may be repeated' -r
complete -c mcpid -n "__fish_mcpid_using_subcommand connect" -l audit-sync -d 'When an entry counts as written [default: batch]' -r -f -a "batch\t'When it is on the disk; entries that wait together share one fdatasync'
checkpoint\t'When the system has it; a power cut can take what came since the last checkpoint'"
complete -c mcpid -n "__fish_mcpid_using_subcommand connect" -l witness-policy -d 'Let the witnesses of this policy (C2SP tlog-policy) cosign each checkpoint of the log' -r -F
complete -c mcpid -n "__fish_mcpid_using_subcommand connect" -l check -d 'Try the server once, say what a client would meet there, and end'
complete -c mcpid -n "__fish_mcpid_using_subcommand connect" -l allow-remote -d 'Listen where other machines can connect, too'
complete -c mcpid -n "__fish_mcpid_using_subcommand connect" -l audit-bodies -d 'Keep bodies, and not only their digests'
complete -c mcpid -n "__fish_mcpid_using_subcommand connect" -l json -d 'Print results, and failures on stderr, as JSON'
complete -c mcpid -n "__fish_mcpid_using_subcommand connect" -s q -l quiet -d 'Say nothing on stderr but failures and warnings'
complete -c mcpid -n "__fish_mcpid_using_subcommand connect" -s v -l verbose -d 'Say more on stderr'
complete -c mcpid -n "__fish_mcpid_using_subcommand connect" -s h -l help -d 'Print help (see more with \'--help\')'
complete -c mcpid -n "__fish_mcpid_using_subcommand agent; and not __fish_seen_subcommand_from add" -l json -d 'Print results, and failures on stderr, as JSON'
complete -c mcpid -n "__fish_mcpid_using_subcommand agent; and not __fish_seen_subcommand_from add" -s q -l quiet -d 'Say nothing on stderr but failures and warnings'
complete -c mcpid -n "__fish_mcpid_using_subcommand agent; and not __fish_seen_subcommand_from add" -s v -l verbose -d 'Say more on stderr'
complete -c mcpid -n "__fish_mcpid_using_subcommand agent; and not __fish_seen_subcommand_from add" -s h -l help -d 'Print help'
complete -c mcpid -n "__fish_mcpid_using_subcommand agent; and not __fish_seen_subcommand_from add" -f -a "add" -d 'Put a keyfile\'s key into the ssh-agent'
complete -c mcpid -n "__fish_mcpid_using_subcommand agent; and __fish_seen_subcommand_from add" -s k -l key -d 'The keyfile [env: MCPID_KEY]' -r -F
complete -c mcpid -n "__fish_mcpid_using_subcommand agent; and __fish_seen_subcommand_from add" -l lifetime -d 'Have the agent forget the key after this time' -r
complete -c mcpid -n "__fish_mcpid_using_subcommand agent; and __fish_seen_subcommand_from add" -l passphrase-file -d 'Read the passphrase from this file; one trailing newline is dropped' -r -F
complete -c mcpid -n "__fish_mcpid_using_subcommand agent; and __fish_seen_subcommand_from add" -l passphrase-fd -d 'Read the passphrase from this open file descriptor; one trailing newline is dropped' -r
complete -c mcpid -n "__fish_mcpid_using_subcommand agent; and __fish_seen_subcommand_from add" -l ask -d 'Have the agent ask a person before each signature, by its askpass program'
complete -c mcpid -n "__fish_mcpid_using_subcommand agent; and __fish_seen_subcommand_from add" -l json -d 'Print results, and failures on stderr, as JSON'
complete -c mcpid -n "__fish_mcpid_using_subcommand agent; and __fish_seen_subcommand_from add" -s q -l quiet -d 'Say nothing on stderr but failures and warnings'
complete -c mcpid -n "__fish_mcpid_using_subcommand agent; and __fish_seen_subcommand_from add" -s v -l verbose -d 'Say more on stderr'
complete -c mcpid -n "__fish_mcpid_using_subcommand agent; and __fish_seen_subcommand_from add" -s h -l help -d 'Print help'
complete -c mcpid -n "__fish_mcpid_using_subcommand audit; and not __fish_seen_subcommand_from init verify show prove check consistency cosign archive erase witness" -l json -d 'Print results, and failures on stderr, as JSON'
complete -c mcpid -n "__fish_mcpid_using_subcommand audit; and not __fish_seen_subcommand_from init verify show prove check consistency cosign archive erase witness" -s q -l quiet -d 'Say nothing on stderr but failures and warnings'
complete -c mcpid -n "__fish_mcpid_using_subcommand audit; and not __fish_seen_subcommand_from init verify show prove check consistency cosign archive erase witness" -s v -l verbose -d 'Say more on stderr'
complete -c mcpid -n "__fish_mcpid_using_subcommand audit; and not __fish_seen_subcommand_from init verify show prove check consistency cosign archive erase witness" -s h -l help -d 'Print help'
complete -c mcpid -n "__fish_mcpid_using_subcommand audit; and not __fish_seen_subcommand_from init verify show prove check consistency cosign archive erase witness" -f -a "init" -d 'Make a log and its key'
complete -c mcpid -n "__fish_mcpid_using_subcommand audit; and not __fish_seen_subcommand_from init verify show prove check consistency cosign archive erase witness" -f -a "verify" -d 'Check a whole log'
complete -c mcpid -n "__fish_mcpid_using_subcommand audit; and not __fish_seen_subcommand_from init verify show prove check consistency cosign archive erase witness" -f -a "show" -d 'Show entries, or one of them'
complete -c mcpid -n "__fish_mcpid_using_subcommand audit; and not __fish_seen_subcommand_from init verify show prove check consistency cosign archive erase witness" -f -a "prove" -d 'Write one entry\'s evidence into a file of its own'
complete -c mcpid -n "__fish_mcpid_using_subcommand audit; and not __fish_seen_subcommand_from init verify show prove check consistency cosign archive erase witness" -f -a "check" -d 'Check the evidence of one entry, offline'
complete -c mcpid -n "__fish_mcpid_using_subcommand audit; and not __fish_seen_subcommand_from init verify show prove check consistency cosign archive erase witness" -f -a "consistency" -d 'Check that a log has only grown between two checkpoints'
complete -c mcpid -n "__fish_mcpid_using_subcommand audit; and not __fish_seen_subcommand_from init verify show prove check consistency cosign archive erase witness" -f -a "cosign" -d 'Sign a checkpoint as a witness'
complete -c mcpid -n "__fish_mcpid_using_subcommand audit; and not __fish_seen_subcommand_from init verify show prove check consistency cosign archive erase witness" -f -a "archive" -d 'Move old entries out of a log, packed'
complete -c mcpid -n "__fish_mcpid_using_subcommand audit; and not __fish_seen_subcommand_from init verify show prove check consistency cosign archive erase witness" -f -a "erase" -d 'Erase one entry'
complete -c mcpid -n "__fish_mcpid_using_subcommand audit; and not __fish_seen_subcommand_from init verify show prove check consistency cosign archive erase witness" -f -a "witness" -d 'Let witnesses cosign the latest checkpoint of a log'
complete -c mcpid -n "__fish_mcpid_using_subcommand audit; and __fish_seen_subcommand_from init" -l audit -d 'The folder of the log [default: a folder of this user\'s]' -r -F
complete -c mcpid -n "__fish_mcpid_using_subcommand audit; and __fish_seen_subcommand_from init" -l name -d 'What to call the log, in each of its checkpoints; without white space and plus signs' -r
complete -c mcpid -n "__fish_mcpid_using_subcommand audit; and __fish_seen_subcommand_from init" -l after -d 'The log that this one follows: its folder, where it is closed by an entry that names this one; or a checkpoint of it, if it is lost or damaged, and so abandoned' -r -F
complete -c mcpid -n "__fish_mcpid_using_subcommand audit; and __fish_seen_subcommand_from init" -l log-key -d 'The public key of an abandoned log [default: log-key.pub beside the checkpoint]' -r
complete -c mcpid -n "__fish_mcpid_using_subcommand audit; and __fish_seen_subcommand_from init" -l json -d 'Print results, and failures on stderr, as JSON'
complete -c mcpid -n "__fish_mcpid_using_subcommand audit; and __fish_seen_subcommand_from init" -s q -l quiet -d 'Say nothing on stderr but failures and warnings'
complete -c mcpid -n "__fish_mcpid_using_subcommand audit; and __fish_seen_subcommand_from init" -s v -l verbose -d 'Say more on stderr'
complete -c mcpid -n "__fish_mcpid_using_subcommand audit; and __fish_seen_subcommand_from init" -s h -l help -d 'Print help'
complete -c mcpid -n "__fish_mcpid_using_subcommand audit; and __fish_seen_subcommand_from verify" -l audit -d 'The folder of the log [default: a folder of this user\'s]' -r -F
complete -c mcpid -n "__fish_mcpid_using_subcommand audit; and __fish_seen_subcommand_from verify" -l archive -d 'A folder with entries that mcpid audit archive has moved out of the log; may be repeated' -r -F
complete -c mcpid -n "__fish_mcpid_using_subcommand audit; and __fish_seen_subcommand_from verify" -l log-key -d 'The log\'s public key, NAME+HASH+KEY, or a file that holds it; never taken from the log' -r
complete -c mcpid -n "__fish_mcpid_using_subcommand audit; and __fish_seen_subcommand_from verify" -l checkpoint -d 'A checkpoint that was kept elsewhere; may be repeated' -r -F
complete -c mcpid -n "__fish_mcpid_using_subcommand audit; and __fish_seen_subcommand_from verify" -l witness -d 'The public key of a witness, or a file that holds it: what it cosigned counts as kept elsewhere; may be repeated' -r
complete -c mcpid -n "__fish_mcpid_using_subcommand audit; and __fish_seen_subcommand_from verify" -l witness-policy -d 'Demand cosignatures by the quorum of this policy (C2SP tlog-policy)' -r -F
complete -c mcpid -n "__fish_mcpid_using_subcommand audit; and __fish_seen_subcommand_from verify" -s r -l trust -d 'Your own trust files: without one that has the key nothing is good, since a keeper of a log can make a key and give it a name; may be repeated' -r -F
complete -c mcpid -n "__fish_mcpid_using_subcommand audit; and __fish_seen_subcommand_from verify" -l profile -d 'The rules that hold in place of the log\'s [default: the log\'s, where they are not laxer]' -r -f -a "mcp\t'All of mcpid\'s rules'
sep2752\t'What the draft SEP-2752 asks, and no more'
rfc9421\t'Any signature of RFC 9421, for audits and interoperability'"
complete -c mcpid -n "__fish_mcpid_using_subcommand audit; and __fish_seen_subcommand_from verify" -l window -d 'The longest window that is not lax [default: that of the profile]' -r
complete -c mcpid -n "__fish_mcpid_using_subcommand audit; and __fish_seen_subcommand_from verify" -l ahead -d 'The longest time ahead that is not lax [default: that of the profile]' -r
complete -c mcpid -n "__fish_mcpid_using_subcommand audit; and __fish_seen_subcommand_from verify" -l require -d 'This component has to be covered too; may be repeated' -r
complete -c mcpid -n "__fish_mcpid_using_subcommand audit; and __fish_seen_subcommand_from verify" -l allow-uncovered -d 'This component may stay uncovered; may be repeated' -r
complete -c mcpid -n "__fish_mcpid_using_subcommand audit; and __fish_seen_subcommand_from verify" -l origin -d 'Requests had to be sent to this origin; may be repeated' -r
complete -c mcpid -n "__fish_mcpid_using_subcommand audit; and __fish_seen_subcommand_from verify" -l predecessor -d 'A log before this one, to be verified with it, also against its own checkpoints among those that were given; may be repeated' -r -F
complete -c mcpid -n "__fish_mcpid_using_subcommand audit; and __fish_seen_subcommand_from verify" -l allow-clock -d 'Take the times of entries as they are where the log\'s clock stepped'
complete -c mcpid -n "__fish_mcpid_using_subcommand audit; and __fish_seen_subcommand_from verify" -l allow-erased -d 'Count entries that were erased, as the log says, as good'
complete -c mcpid -n "__fish_mcpid_using_subcommand audit; and __fish_seen_subcommand_from verify" -l all -d 'List every finding, and not the first alone'
complete -c mcpid -n "__fish_mcpid_using_subcommand audit; and __fish_seen_subcommand_from verify" -l json -d 'Print results, and failures on stderr, as JSON'
complete -c mcpid -n "__fish_mcpid_using_subcommand audit; and __fish_seen_subcommand_from verify" -s q -l quiet -d 'Say nothing on stderr but failures and warnings'
complete -c mcpid -n "__fish_mcpid_using_subcommand audit; and __fish_seen_subcommand_from verify" -s v -l verbose -d 'Say more on stderr'
complete -c mcpid -n "__fish_mcpid_using_subcommand audit; and __fish_seen_subcommand_from verify" -s h -l help -d 'Print help (see more with \'--help\')'
complete -c mcpid -n "__fish_mcpid_using_subcommand audit; and __fish_seen_subcommand_from show" -l audit -d 'The folder of the log [default: a folder of this user\'s]' -r -F
complete -c mcpid -n "__fish_mcpid_using_subcommand audit; and __fish_seen_subcommand_from show" -l archive -d 'A folder with entries that mcpid audit archive has moved out of the log; may be repeated' -r -F
complete -c mcpid -n "__fish_mcpid_using_subcommand audit; and __fish_seen_subcommand_from show" -l key -d 'Only requests signed by the key of this id or name' -r
complete -c mcpid -n "__fish_mcpid_using_subcommand audit; and __fish_seen_subcommand_from show" -l tool -d 'Only requests for the tool, prompt, resource or task of this name, * being anything' -r
complete -c mcpid -n "__fish_mcpid_using_subcommand audit; and __fish_seen_subcommand_from show" -l status -d 'Only requests with this verdict or code: verified, refused, would_refuse, signed, expired, …' -r
complete -c mcpid -n "__fish_mcpid_using_subcommand audit; and __fish_seen_subcommand_from show" -l since -d 'Leave out what came before this time: RFC 3339, @UNIX, a date (its begin, UTC), or an age such as 24h' -r
complete -c mcpid -n "__fish_mcpid_using_subcommand audit; and __fish_seen_subcommand_from show" -l until -d 'Leave out what came at this time or later, likewise' -r
complete -c mcpid -n "__fish_mcpid_using_subcommand audit; and __fish_seen_subcommand_from show" -l format -d 'How to write entries [default: a table]' -r -f -a "csv\t'Comma-separated values (RFC 4180), with a line of names'
jsonl\t'The entries as they are'"
complete -c mcpid -n "__fish_mcpid_using_subcommand audit; and __fish_seen_subcommand_from show" -l json -d 'Print results, and failures on stderr, as JSON'
complete -c mcpid -n "__fish_mcpid_using_subcommand audit; and __fish_seen_subcommand_from show" -s q -l quiet -d 'Say nothing on stderr but failures and warnings'
complete -c mcpid -n "__fish_mcpid_using_subcommand audit; and __fish_seen_subcommand_from show" -s v -l verbose -d 'Say more on stderr'
complete -c mcpid -n "__fish_mcpid_using_subcommand audit; and __fish_seen_subcommand_from show" -s h -l help -d 'Print help (see more with \'--help\')'
complete -c mcpid -n "__fish_mcpid_using_subcommand audit; and __fish_seen_subcommand_from prove" -l audit -d 'The folder of the log [default: a folder of this user\'s]' -r -F
complete -c mcpid -n "__fish_mcpid_using_subcommand audit; and __fish_seen_subcommand_from prove" -l archive -d 'A folder with entries that mcpid audit archive has moved out of the log; may be repeated' -r -F
complete -c mcpid -n "__fish_mcpid_using_subcommand audit; and __fish_seen_subcommand_from prove" -l checkpoint -d 'Prove it under this checkpoint [default: the log\'s cosigned one, else the latest]' -r -F
complete -c mcpid -n "__fish_mcpid_using_subcommand audit; and __fish_seen_subcommand_from prove" -l format -d 'How to write it [default: evidence]' -r -f -a "evidence\t'JSON for mcpid audit check: entry, proof, checkpoint and keys'
tlog-proof\t'Text for other tools (C2SP tlog-proof): entry, proof and checkpoint'"
complete -c mcpid -n "__fish_mcpid_using_subcommand audit; and __fish_seen_subcommand_from prove" -s o -l output -d 'Where to write it; stdout where none is named' -r -F
complete -c mcpid -n "__fish_mcpid_using_subcommand audit; and __fish_seen_subcommand_from prove" -l json -d 'Print results, and failures on stderr, as JSON'
complete -c mcpid -n "__fish_mcpid_using_subcommand audit; and __fish_seen_subcommand_from prove" -s q -l quiet -d 'Say nothing on stderr but failures and warnings'
complete -c mcpid -n "__fish_mcpid_using_subcommand audit; and __fish_seen_subcommand_from prove" -s v -l verbose -d 'Say more on stderr'
complete -c mcpid -n "__fish_mcpid_using_subcommand audit; and __fish_seen_subcommand_from prove" -s h -l help -d 'Print help (see more with \'--help\')'
complete -c mcpid -n "__fish_mcpid_using_subcommand audit; and __fish_seen_subcommand_from check" -l log-key -d 'The log\'s public key, NAME+HASH+KEY, or a file that holds it; never taken from the log' -r
complete -c mcpid -n "__fish_mcpid_using_subcommand audit; and __fish_seen_subcommand_from check" -l checkpoint -d 'A checkpoint that was kept elsewhere; may be repeated' -r -F
complete -c mcpid -n "__fish_mcpid_using_subcommand audit; and __fish_seen_subcommand_from check" -l witness -d 'The public key of a witness, or a file that holds it: what it cosigned counts as kept elsewhere; may be repeated' -r
complete -c mcpid -n "__fish_mcpid_using_subcommand audit; and __fish_seen_subcommand_from check" -l witness-policy -d 'Demand cosignatures by the quorum of this policy (C2SP tlog-policy)' -r -F
complete -c mcpid -n "__fish_mcpid_using_subcommand audit; and __fish_seen_subcommand_from check" -s r -l trust -d 'Your own trust files: without one that has the key nothing is good, since a keeper of a log can make a key and give it a name; may be repeated' -r -F
complete -c mcpid -n "__fish_mcpid_using_subcommand audit; and __fish_seen_subcommand_from check" -l profile -d 'The rules that hold in place of the log\'s [default: the log\'s, where they are not laxer]' -r -f -a "mcp\t'All of mcpid\'s rules'
sep2752\t'What the draft SEP-2752 asks, and no more'
rfc9421\t'Any signature of RFC 9421, for audits and interoperability'"
complete -c mcpid -n "__fish_mcpid_using_subcommand audit; and __fish_seen_subcommand_from check" -l window -d 'The longest window that is not lax [default: that of the profile]' -r
complete -c mcpid -n "__fish_mcpid_using_subcommand audit; and __fish_seen_subcommand_from check" -l ahead -d 'The longest time ahead that is not lax [default: that of the profile]' -r
complete -c mcpid -n "__fish_mcpid_using_subcommand audit; and __fish_seen_subcommand_from check" -l require -d 'This component has to be covered too; may be repeated' -r
complete -c mcpid -n "__fish_mcpid_using_subcommand audit; and __fish_seen_subcommand_from check" -l allow-uncovered -d 'This component may stay uncovered; may be repeated' -r
complete -c mcpid -n "__fish_mcpid_using_subcommand audit; and __fish_seen_subcommand_from check" -l origin -d 'Requests had to be sent to this origin; may be repeated' -r
complete -c mcpid -n "__fish_mcpid_using_subcommand audit; and __fish_seen_subcommand_from check" -l body -d 'The body of the request, where it was kept and the log has it not, or only in part' -r -F
complete -c mcpid -n "__fish_mcpid_using_subcommand audit; and __fish_seen_subcommand_from check" -l allow-clock -d 'Take the times of entries as they are where the log\'s clock stepped'
complete -c mcpid -n "__fish_mcpid_using_subcommand audit; and __fish_seen_subcommand_from check" -l json -d 'Print results, and failures on stderr, as JSON'
complete -c mcpid -n "__fish_mcpid_using_subcommand audit; and __fish_seen_subcommand_from check" -s q -l quiet -d 'Say nothing on stderr but failures and warnings'
complete -c mcpid -n "__fish_mcpid_using_subcommand audit; and __fish_seen_subcommand_from check" -s v -l verbose -d 'Say more on stderr'
complete -c mcpid -n "__fish_mcpid_using_subcommand audit; and __fish_seen_subcommand_from check" -s h -l help -d 'Print help (see more with \'--help\')'
complete -c mcpid -n "__fish_mcpid_using_subcommand audit; and __fish_seen_subcommand_from consistency" -l audit -d 'The folder of the log [default: a folder of this user\'s]' -r -F
complete -c mcpid -n "__fish_mcpid_using_subcommand audit; and __fish_seen_subcommand_from consistency" -l log-key -d 'The log\'s public key, NAME+HASH+KEY, or a file that holds it; never taken from the log' -r
complete -c mcpid -n "__fish_mcpid_using_subcommand audit; and __fish_seen_subcommand_from consistency" -l print -d 'Print the proof with the newer checkpoint, as a witness is sent it (C2SP add-checkpoint)'
complete -c mcpid -n "__fish_mcpid_using_subcommand audit; and __fish_seen_subcommand_from consistency" -l json -d 'Print results, and failures on stderr, as JSON'
complete -c mcpid -n "__fish_mcpid_using_subcommand audit; and __fish_seen_subcommand_from consistency" -s q -l quiet -d 'Say nothing on stderr but failures and warnings'
complete -c mcpid -n "__fish_mcpid_using_subcommand audit; and __fish_seen_subcommand_from consistency" -s v -l verbose -d 'Say more on stderr'
complete -c mcpid -n "__fish_mcpid_using_subcommand audit; and __fish_seen_subcommand_from consistency" -s h -l help -d 'Print help'
complete -c mcpid -n "__fish_mcpid_using_subcommand audit; and __fish_seen_subcommand_from cosign" -l log-key -d 'The log\'s public key, NAME+HASH+KEY, or a file that holds it; never taken from the log' -r
complete -c mcpid -n "__fish_mcpid_using_subcommand audit; and __fish_seen_subcommand_from cosign" -l state -d 'What this witness has signed, by log; made where it is not there' -r -F
complete -c mcpid -n "__fish_mcpid_using_subcommand audit; and __fish_seen_subcommand_from cosign" -s k -l key -d 'The witness\'s keyfile' -r -F
complete -c mcpid -n "__fish_mcpid_using_subcommand audit; and __fish_seen_subcommand_from cosign" -l name -d 'The witness\'s name [default: that of its key]' -r
complete -c mcpid -n "__fish_mcpid_using_subcommand audit; and __fish_seen_subcommand_from cosign" -l passphrase-file -d 'Read the passphrase from this file; one trailing newline is dropped' -r -F
complete -c mcpid -n "__fish_mcpid_using_subcommand audit; and __fish_seen_subcommand_from cosign" -l passphrase-fd -d 'Read the passphrase from this open file descriptor; one trailing newline is dropped' -r
complete -c mcpid -n "__fish_mcpid_using_subcommand audit; and __fish_seen_subcommand_from cosign" -l first -d 'Nothing of this log was signed yet: only then'
complete -c mcpid -n "__fish_mcpid_using_subcommand audit; and __fish_seen_subcommand_from cosign" -l json -d 'Print results, and failures on stderr, as JSON'
complete -c mcpid -n "__fish_mcpid_using_subcommand audit; and __fish_seen_subcommand_from cosign" -s q -l quiet -d 'Say nothing on stderr but failures and warnings'
complete -c mcpid -n "__fish_mcpid_using_subcommand audit; and __fish_seen_subcommand_from cosign" -s v -l verbose -d 'Say more on stderr'
complete -c mcpid -n "__fish_mcpid_using_subcommand audit; and __fish_seen_subcommand_from cosign" -s h -l help -d 'Print help'
complete -c mcpid -n "__fish_mcpid_using_subcommand audit; and __fish_seen_subcommand_from archive" -l audit -d 'The folder of the log [default: a folder of this user\'s]' -r -F
complete -c mcpid -n "__fish_mcpid_using_subcommand audit; and __fish_seen_subcommand_from archive" -l before -d 'Move files whose entries are all from before this time: RFC 3339, @UNIX, a date (its begin, UTC), or an age such as 90d' -r
complete -c mcpid -n "__fish_mcpid_using_subcommand audit; and __fish_seen_subcommand_from archive" -l to -d 'The folder to move them to; made where it is not there' -r -F
complete -c mcpid -n "__fish_mcpid_using_subcommand audit; and __fish_seen_subcommand_from archive" -l json -d 'Print results, and failures on stderr, as JSON'
complete -c mcpid -n "__fish_mcpid_using_subcommand audit; and __fish_seen_subcommand_from archive" -s q -l quiet -d 'Say nothing on stderr but failures and warnings'
complete -c mcpid -n "__fish_mcpid_using_subcommand audit; and __fish_seen_subcommand_from archive" -s v -l verbose -d 'Say more on stderr'
complete -c mcpid -n "__fish_mcpid_using_subcommand audit; and __fish_seen_subcommand_from archive" -s h -l help -d 'Print help'
complete -c mcpid -n "__fish_mcpid_using_subcommand audit; and __fish_seen_subcommand_from erase" -l audit -d 'The folder of the log [default: a folder of this user\'s]' -r -F
complete -c mcpid -n "__fish_mcpid_using_subcommand audit; and __fish_seen_subcommand_from erase" -l archive -d 'A folder with entries that mcpid audit archive has moved out of the log; may be repeated' -r -F
complete -c mcpid -n "__fish_mcpid_using_subcommand audit; and __fish_seen_subcommand_from erase" -l reason -d 'Why, in at most 1000 bytes; it stays in the log' -r
complete -c mcpid -n "__fish_mcpid_using_subcommand audit; and __fish_seen_subcommand_from erase" -l json -d 'Print results, and failures on stderr, as JSON'
complete -c mcpid -n "__fish_mcpid_using_subcommand audit; and __fish_seen_subcommand_from erase" -s q -l quiet -d 'Say nothing on stderr but failures and warnings'
complete -c mcpid -n "__fish_mcpid_using_subcommand audit; and __fish_seen_subcommand_from erase" -s v -l verbose -d 'Say more on stderr'
complete -c mcpid -n "__fish_mcpid_using_subcommand audit; and __fish_seen_subcommand_from erase" -s h -l help -d 'Print help'
complete -c mcpid -n "__fish_mcpid_using_subcommand audit; and __fish_seen_subcommand_from witness" -l witness-policy -d 'The witnesses and their quorum (C2SP tlog-policy)' -r -F
complete -c mcpid -n "__fish_mcpid_using_subcommand audit; and __fish_seen_subcommand_from witness" -l json -d 'Print results, and failures on stderr, as JSON'
complete -c mcpid -n "__fish_mcpid_using_subcommand audit; and __fish_seen_subcommand_from witness" -s q -l quiet -d 'Say nothing on stderr but failures and warnings'
complete -c mcpid -n "__fish_mcpid_using_subcommand audit; and __fish_seen_subcommand_from witness" -s v -l verbose -d 'Say more on stderr'
complete -c mcpid -n "__fish_mcpid_using_subcommand audit; and __fish_seen_subcommand_from witness" -s h -l help -d 'Print help'
complete -c mcpid -n "__fish_mcpid_using_subcommand help" -l json -d 'Print results, and failures on stderr, as JSON'
complete -c mcpid -n "__fish_mcpid_using_subcommand help" -s q -l quiet -d 'Say nothing on stderr but failures and warnings'
complete -c mcpid -n "__fish_mcpid_using_subcommand help" -s v -l verbose -d 'Say more on stderr'
complete -c mcpid -n "__fish_mcpid_using_subcommand help" -s h -l help -d 'Print help'
complete -c mcpid -n "__fish_mcpid_using_subcommand version" -l json -d 'Print results, and failures on stderr, as JSON'
complete -c mcpid -n "__fish_mcpid_using_subcommand version" -s q -l quiet -d 'Say nothing on stderr but failures and warnings'
complete -c mcpid -n "__fish_mcpid_using_subcommand version" -s v -l verbose -d 'Say more on stderr'
complete -c mcpid -n "__fish_mcpid_using_subcommand version" -s h -l help -d 'Print help'
