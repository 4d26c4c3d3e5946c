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
complete -c mcpid -n "__fish_mcpid_needs_command" -s h -l help -d 'Print help (see more with \'--help\')'
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
complete -c mcpid -n "__fish_mcpid_needs_command" -f -a "generate" -d 'Write man pages or completions into a folder'
complete -c mcpid -n "__fish_mcpid_using_subcommand demo" -l json -d 'Print results, and failures on stderr, as JSON'
complete -c mcpid -n "__fish_mcpid_using_subcommand demo" -s q -l quiet -d 'Say nothing on stderr but failures and warnings'
complete -c mcpid -n "__fish_mcpid_using_subcommand demo" -s v -l verbose -d 'Say more on stderr'
complete -c mcpid -n "__fish_mcpid_using_subcommand demo" -s h -l help -d 'Print help (see more with \'--help\')'
complete -c mcpid -n "__fish_mcpid_using_subcommand keygen" -s o -l output -d 'Where to write the keyfile' -r -F
complete -c mcpid -n "__fish_mcpid_using_subcommand keygen" -l name -d 'What to call the key; readable without the passphrase' -r
complete -c mcpid -n "__fish_mcpid_using_subcommand keygen" -l import -d 'Take the private key from this file, or - for stdin: JWK, PKCS#8 PEM, OpenSSH, or the seed in hex or base64' -r -F
complete -c mcpid -n "__fish_mcpid_using_subcommand keygen" -l passphrase-file -d 'Read the passphrase from this file; one trailing newline is dropped' -r -F
complete -c mcpid -n "__fish_mcpid_using_subcommand keygen" -l passphrase-fd -d 'Read the passphrase from this open file descriptor; one trailing newline is dropped' -r
complete -c mcpid -n "__fish_mcpid_using_subcommand keygen" -l no-passphrase -d 'Do not encrypt: whoever can read the file can sign'
complete -c mcpid -n "__fish_mcpid_using_subcommand keygen" -l json -d 'Print results, and failures on stderr, as JSON'
complete -c mcpid -n "__fish_mcpid_using_subcommand keygen" -s q -l quiet -d 'Say nothing on stderr but failures and warnings'
complete -c mcpid -n "__fish_mcpid_using_subcommand keygen" -s v -l verbose -d 'Say more on stderr'
complete -c mcpid -n "__fish_mcpid_using_subcommand keygen" -s h -l help -d 'Print help (see more with \'--help\')'
complete -c mcpid -n "__fish_mcpid_using_subcommand sign" -s k -l key -d 'The keyfile' -r -F
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
complete -c mcpid -n "__fish_mcpid_using_subcommand verify" -s r -l trust -d 'A trust file, or a folder of them; may be repeated' -r -F
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
complete -c mcpid -n "__fish_mcpid_using_subcommand inspect" -s h -l help -d 'Print help (see more with \'--help\')'
complete -c mcpid -n "__fish_mcpid_using_subcommand export" -s k -l key -d 'The keyfile' -r -F
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
complete -c mcpid -n "__fish_mcpid_using_subcommand passwd" -s k -l key -d 'The keyfile' -r -F
complete -c mcpid -n "__fish_mcpid_using_subcommand passwd" -l passphrase-file -d 'Read the passphrase from this file; one trailing newline is dropped' -r -F
complete -c mcpid -n "__fish_mcpid_using_subcommand passwd" -l passphrase-fd -d 'Read the passphrase from this open file descriptor; one trailing newline is dropped' -r
complete -c mcpid -n "__fish_mcpid_using_subcommand passwd" -l new-passphrase-file -d 'Read the new passphrase from this file; one trailing newline is dropped' -r -F
complete -c mcpid -n "__fish_mcpid_using_subcommand passwd" -l new-passphrase-fd -d 'Read the new passphrase from this open file descriptor; one trailing newline is dropped' -r
complete -c mcpid -n "__fish_mcpid_using_subcommand passwd" -l no-passphrase -d 'Do not encrypt any more: whoever can read the file can sign'
complete -c mcpid -n "__fish_mcpid_using_subcommand passwd" -l json -d 'Print results, and failures on stderr, as JSON'
complete -c mcpid -n "__fish_mcpid_using_subcommand passwd" -s q -l quiet -d 'Say nothing on stderr but failures and warnings'
complete -c mcpid -n "__fish_mcpid_using_subcommand passwd" -s v -l verbose -d 'Say more on stderr'
complete -c mcpid -n "__fish_mcpid_using_subcommand passwd" -s h -l help -d 'Print help (see more with \'--help\')'
complete -c mcpid -n "__fish_mcpid_using_subcommand trust; and not __fish_seen_subcommand_from add list revoke remove" -l json -d 'Print results, and failures on stderr, as JSON'
complete -c mcpid -n "__fish_mcpid_using_subcommand trust; and not __fish_seen_subcommand_from add list revoke remove" -s q -l quiet -d 'Say nothing on stderr but failures and warnings'
complete -c mcpid -n "__fish_mcpid_using_subcommand trust; and not __fish_seen_subcommand_from add list revoke remove" -s v -l verbose -d 'Say more on stderr'
complete -c mcpid -n "__fish_mcpid_using_subcommand trust; and not __fish_seen_subcommand_from add list revoke remove" -s h -l help -d 'Print help (see more with \'--help\')'
complete -c mcpid -n "__fish_mcpid_using_subcommand trust; and not __fish_seen_subcommand_from add list revoke remove" -f -a "add" -d 'Trust a key'
complete -c mcpid -n "__fish_mcpid_using_subcommand trust; and not __fish_seen_subcommand_from add list revoke remove" -f -a "list" -d 'Show the keys of a trust file'
complete -c mcpid -n "__fish_mcpid_using_subcommand trust; and not __fish_seen_subcommand_from add list revoke remove" -f -a "revoke" -d 'Revoke a key, so that nothing it signs counts any more'
complete -c mcpid -n "__fish_mcpid_using_subcommand trust; and not __fish_seen_subcommand_from add list revoke remove" -f -a "remove" -d 'Remove a key, so that it is unknown'
complete -c mcpid -n "__fish_mcpid_using_subcommand trust; and __fish_seen_subcommand_from add" -s r -l trust -d 'The trust file' -r -F
complete -c mcpid -n "__fish_mcpid_using_subcommand trust; and __fish_seen_subcommand_from add" -l name -d 'What to call the key; the keyfile\'s own name where it has one' -r
complete -c mcpid -n "__fish_mcpid_using_subcommand trust; and __fish_seen_subcommand_from add" -l client-id -d 'A client id that this key may send as tag, besides its key id; may be repeated' -r
complete -c mcpid -n "__fish_mcpid_using_subcommand trust; and __fish_seen_subcommand_from add" -l not-before -d 'Not valid before this time: RFC 3339 or @UNIX' -r
complete -c mcpid -n "__fish_mcpid_using_subcommand trust; and __fish_seen_subcommand_from add" -l not-after -d 'Not valid after this time: RFC 3339 or @UNIX' -r
complete -c mcpid -n "__fish_mcpid_using_subcommand trust; and __fish_seen_subcommand_from add" -l allow -d 'What the key may do, METHOD[:NAME] with * for anything; may be repeated; everything, where none is given' -r
complete -c mcpid -n "__fish_mcpid_using_subcommand trust; and __fish_seen_subcommand_from add" -l json -d 'Print results, and failures on stderr, as JSON'
complete -c mcpid -n "__fish_mcpid_using_subcommand trust; and __fish_seen_subcommand_from add" -s q -l quiet -d 'Say nothing on stderr but failures and warnings'
complete -c mcpid -n "__fish_mcpid_using_subcommand trust; and __fish_seen_subcommand_from add" -s v -l verbose -d 'Say more on stderr'
complete -c mcpid -n "__fish_mcpid_using_subcommand trust; and __fish_seen_subcommand_from add" -s h -l help -d 'Print help (see more with \'--help\')'
complete -c mcpid -n "__fish_mcpid_using_subcommand trust; and __fish_seen_subcommand_from list" -s r -l trust -d 'The trust file' -r -F
complete -c mcpid -n "__fish_mcpid_using_subcommand trust; and __fish_seen_subcommand_from list" -l json -d 'Print results, and failures on stderr, as JSON'
complete -c mcpid -n "__fish_mcpid_using_subcommand trust; and __fish_seen_subcommand_from list" -s q -l quiet -d 'Say nothing on stderr but failures and warnings'
complete -c mcpid -n "__fish_mcpid_using_subcommand trust; and __fish_seen_subcommand_from list" -s v -l verbose -d 'Say more on stderr'
complete -c mcpid -n "__fish_mcpid_using_subcommand trust; and __fish_seen_subcommand_from list" -s h -l help -d 'Print help (see more with \'--help\')'
complete -c mcpid -n "__fish_mcpid_using_subcommand trust; and __fish_seen_subcommand_from revoke" -s r -l trust -d 'The trust file' -r -F
complete -c mcpid -n "__fish_mcpid_using_subcommand trust; and __fish_seen_subcommand_from revoke" -l at -d 'Since when: RFC 3339 or @UNIX; now, where it is not given' -r
complete -c mcpid -n "__fish_mcpid_using_subcommand trust; and __fish_seen_subcommand_from revoke" -l json -d 'Print results, and failures on stderr, as JSON'
complete -c mcpid -n "__fish_mcpid_using_subcommand trust; and __fish_seen_subcommand_from revoke" -s q -l quiet -d 'Say nothing on stderr but failures and warnings'
complete -c mcpid -n "__fish_mcpid_using_subcommand trust; and __fish_seen_subcommand_from revoke" -s v -l verbose -d 'Say more on stderr'
complete -c mcpid -n "__fish_mcpid_using_subcommand trust; and __fish_seen_subcommand_from revoke" -s h -l help -d 'Print help (see more with \'--help\')'
complete -c mcpid -n "__fish_mcpid_using_subcommand trust; and __fish_seen_subcommand_from remove" -s r -l trust -d 'The trust file' -r -F
complete -c mcpid -n "__fish_mcpid_using_subcommand trust; and __fish_seen_subcommand_from remove" -l json -d 'Print results, and failures on stderr, as JSON'
complete -c mcpid -n "__fish_mcpid_using_subcommand trust; and __fish_seen_subcommand_from remove" -s q -l quiet -d 'Say nothing on stderr but failures and warnings'
complete -c mcpid -n "__fish_mcpid_using_subcommand trust; and __fish_seen_subcommand_from remove" -s v -l verbose -d 'Say more on stderr'
complete -c mcpid -n "__fish_mcpid_using_subcommand trust; and __fish_seen_subcommand_from remove" -s h -l help -d 'Print help (see more with \'--help\')'
complete -c mcpid -n "__fish_mcpid_using_subcommand nonce; and not __fish_seen_subcommand_from list prune" -l json -d 'Print results, and failures on stderr, as JSON'
complete -c mcpid -n "__fish_mcpid_using_subcommand nonce; and not __fish_seen_subcommand_from list prune" -s q -l quiet -d 'Say nothing on stderr but failures and warnings'
complete -c mcpid -n "__fish_mcpid_using_subcommand nonce; and not __fish_seen_subcommand_from list prune" -s v -l verbose -d 'Say more on stderr'
complete -c mcpid -n "__fish_mcpid_using_subcommand nonce; and not __fish_seen_subcommand_from list prune" -s h -l help -d 'Print help (see more with \'--help\')'
complete -c mcpid -n "__fish_mcpid_using_subcommand nonce; and not __fish_seen_subcommand_from list prune" -f -a "list" -d 'Show what is kept, and until when'
complete -c mcpid -n "__fish_mcpid_using_subcommand nonce; and not __fish_seen_subcommand_from list prune" -f -a "prune" -d 'Remove what is needed no longer'
complete -c mcpid -n "__fish_mcpid_using_subcommand nonce; and __fish_seen_subcommand_from list" -l nonces -d 'The store, such as sqlite:PATH' -r
complete -c mcpid -n "__fish_mcpid_using_subcommand nonce; and __fish_seen_subcommand_from list" -l allow-evicting-store -d 'Use Redis servers though they evict when full: a nonce can then be used twice, unnoticed'
complete -c mcpid -n "__fish_mcpid_using_subcommand nonce; and __fish_seen_subcommand_from list" -l json -d 'Print results, and failures on stderr, as JSON'
complete -c mcpid -n "__fish_mcpid_using_subcommand nonce; and __fish_seen_subcommand_from list" -s q -l quiet -d 'Say nothing on stderr but failures and warnings'
complete -c mcpid -n "__fish_mcpid_using_subcommand nonce; and __fish_seen_subcommand_from list" -s v -l verbose -d 'Say more on stderr'
complete -c mcpid -n "__fish_mcpid_using_subcommand nonce; and __fish_seen_subcommand_from list" -s h -l help -d 'Print help (see more with \'--help\')'
complete -c mcpid -n "__fish_mcpid_using_subcommand nonce; and __fish_seen_subcommand_from prune" -l nonces -d 'The store, such as sqlite:PATH' -r
complete -c mcpid -n "__fish_mcpid_using_subcommand nonce; and __fish_seen_subcommand_from prune" -l allow-evicting-store -d 'Use Redis servers though they evict when full: a nonce can then be used twice, unnoticed'
complete -c mcpid -n "__fish_mcpid_using_subcommand nonce; and __fish_seen_subcommand_from prune" -l json -d 'Print results, and failures on stderr, as JSON'
complete -c mcpid -n "__fish_mcpid_using_subcommand nonce; and __fish_seen_subcommand_from prune" -s q -l quiet -d 'Say nothing on stderr but failures and warnings'
complete -c mcpid -n "__fish_mcpid_using_subcommand nonce; and __fish_seen_subcommand_from prune" -s v -l verbose -d 'Say more on stderr'
complete -c mcpid -n "__fish_mcpid_using_subcommand nonce; and __fish_seen_subcommand_from prune" -s h -l help -d 'Print help (see more with \'--help\')'
complete -c mcpid -n "__fish_mcpid_using_subcommand generate; and not __fish_seen_subcommand_from man completions" -l json -d 'Print results, and failures on stderr, as JSON'
complete -c mcpid -n "__fish_mcpid_using_subcommand generate; and not __fish_seen_subcommand_from man completions" -s q -l quiet -d 'Say nothing on stderr but failures and warnings'
complete -c mcpid -n "__fish_mcpid_using_subcommand generate; and not __fish_seen_subcommand_from man completions" -s v -l verbose -d 'Say more on stderr'
complete -c mcpid -n "__fish_mcpid_using_subcommand generate; and not __fish_seen_subcommand_from man completions" -s h -l help -d 'Print help (see more with \'--help\')'
complete -c mcpid -n "__fish_mcpid_using_subcommand generate; and not __fish_seen_subcommand_from man completions" -f -a "man" -d 'Write a man page for every command and an overview'
complete -c mcpid -n "__fish_mcpid_using_subcommand generate; and not __fish_seen_subcommand_from man completions" -f -a "completions" -d 'Write completions for bash, zsh, fish, PowerShell and elvish'
complete -c mcpid -n "__fish_mcpid_using_subcommand generate; and __fish_seen_subcommand_from man" -l json -d 'Print results, and failures on stderr, as JSON'
complete -c mcpid -n "__fish_mcpid_using_subcommand generate; and __fish_seen_subcommand_from man" -s q -l quiet -d 'Say nothing on stderr but failures and warnings'
complete -c mcpid -n "__fish_mcpid_using_subcommand generate; and __fish_seen_subcommand_from man" -s v -l verbose -d 'Say more on stderr'
complete -c mcpid -n "__fish_mcpid_using_subcommand generate; and __fish_seen_subcommand_from man" -s h -l help -d 'Print help (see more with \'--help\')'
complete -c mcpid -n "__fish_mcpid_using_subcommand generate; and __fish_seen_subcommand_from completions" -l json -d 'Print results, and failures on stderr, as JSON'
complete -c mcpid -n "__fish_mcpid_using_subcommand generate; and __fish_seen_subcommand_from completions" -s q -l quiet -d 'Say nothing on stderr but failures and warnings'
complete -c mcpid -n "__fish_mcpid_using_subcommand generate; and __fish_seen_subcommand_from completions" -s v -l verbose -d 'Say more on stderr'
complete -c mcpid -n "__fish_mcpid_using_subcommand generate; and __fish_seen_subcommand_from completions" -s h -l help -d 'Print help (see more with \'--help\')'
