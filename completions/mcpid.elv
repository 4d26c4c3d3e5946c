
use builtin;
use str;

set edit:completion:arg-completer[mcpid] = {|@words|
    fn spaces {|n|
        builtin:repeat $n ' ' | str:join ''
    }
    fn cand {|text desc|
        edit:complex-candidate $text &display=$text' '(spaces (- 14 (wcswidth $text)))$desc
    }
    var command = 'mcpid'
    for word $words[1..-1] {
        if (str:has-prefix $word '-') {
            break
        }
        set command = $command';'$word
    }
    var completions = [
        &'mcpid'= {
            cand --json 'Print results, and failures on stderr, as JSON'
            cand -q 'Say nothing on stderr but failures and warnings'
            cand --quiet 'Say nothing on stderr but failures and warnings'
            cand -v 'Say more on stderr'
            cand --verbose 'Say more on stderr'
            cand -h 'Print help (see more with ''--help'')'
            cand --help 'Print help (see more with ''--help'')'
            cand -V 'Print version'
            cand --version 'Print version'
            cand demo 'Show the whole story in one run'
            cand keygen 'Make a key, or import one'
            cand sign 'Sign a payload or an HTTP request'
            cand verify 'Judge captured requests'
            cand inspect 'Show what signed requests claim, without judging them'
            cand export 'Print the public part of a key'
            cand passwd 'Change the passphrase of a keyfile'
            cand trust 'Say whose signatures count'
            cand nonce 'Look after the nonces that were used'
            cand generate 'Write man pages or completions into a folder'
        }
        &'mcpid;demo'= {
            cand --json 'Print results, and failures on stderr, as JSON'
            cand -q 'Say nothing on stderr but failures and warnings'
            cand --quiet 'Say nothing on stderr but failures and warnings'
            cand -v 'Say more on stderr'
            cand --verbose 'Say more on stderr'
            cand -h 'Print help (see more with ''--help'')'
            cand --help 'Print help (see more with ''--help'')'
        }
        &'mcpid;keygen'= {
            cand -o 'Where to write the keyfile'
            cand --output 'Where to write the keyfile'
            cand --name 'What to call the key; readable without the passphrase'
            cand --import 'Take the private key from this file, or - for stdin: JWK, PKCS#8 PEM, OpenSSH, or the seed in hex or base64'
            cand --passphrase-file 'Read the passphrase from this file; one trailing newline is dropped'
            cand --passphrase-fd 'Read the passphrase from this open file descriptor; one trailing newline is dropped'
            cand --no-passphrase 'Do not encrypt: whoever can read the file can sign'
            cand --json 'Print results, and failures on stderr, as JSON'
            cand -q 'Say nothing on stderr but failures and warnings'
            cand --quiet 'Say nothing on stderr but failures and warnings'
            cand -v 'Say more on stderr'
            cand --verbose 'Say more on stderr'
            cand -h 'Print help (see more with ''--help'')'
            cand --help 'Print help (see more with ''--help'')'
        }
        &'mcpid;sign'= {
            cand -k 'The keyfile'
            cand --key 'The keyfile'
            cand --profile 'The rules to sign by'
            cand --client-id 'The stable client id to send as tag, in place of the key id'
            cand --cover 'Cover one more component, such as x-request-id or ''@authority'''
            cand --no-cover 'Leave one component out that would be covered'
            cand --label 'The signature''s label'
            cand --ttl 'After how long the signature expires, or none; 30s under the profile mcp'
            cand --at 'Sign as of this time: RFC 3339 or @UNIX'
            cand --format 'How to print it; headers with --url, else http'
            cand --passphrase-file 'Read the passphrase from this file; one trailing newline is dropped'
            cand --passphrase-fd 'Read the passphrase from this open file descriptor; one trailing newline is dropped'
            cand --url 'Where the payload will be sent'
            cand --method 'With which method [default: POST]'
            cand -H 'A header to send with it, ''Name: value'', or @FILE with one a line'
            cand --header 'A header to send with it, ''Name: value'', or @FILE with one a line'
            cand --origin 'The scheme and host the request is meant for, such as https://mcp.example.com'
            cand --replace 'Replace a signature of the same label that the request bears'
            cand --json 'Print results, and failures on stderr, as JSON'
            cand -q 'Say nothing on stderr but failures and warnings'
            cand --quiet 'Say nothing on stderr but failures and warnings'
            cand -v 'Say more on stderr'
            cand --verbose 'Say more on stderr'
            cand -h 'Print help (see more with ''--help'')'
            cand --help 'Print help (see more with ''--help'')'
        }
        &'mcpid;verify'= {
            cand -r 'A trust file, or a folder of them; may be repeated'
            cand --trust 'A trust file, or a folder of them; may be repeated'
            cand --profile 'The rules to judge by'
            cand --window 'How old a signature may be; 30s under the profile mcp'
            cand --ahead 'How far the signer''s clock may be ahead; 5s under the profile mcp'
            cand --require 'Require one more component to be covered'
            cand --allow-uncovered 'Do not require this component to be covered'
            cand --max-body 'The largest body that is judged, in bytes or as 4MiB [default: 4MiB]'
            cand --origin 'A scheme and host that is ours, such as https://mcp.example.com; may be repeated'
            cand --at 'Judge as of this time: RFC 3339, @UNIX, or capture for the time each request bears'
            cand --nonces 'Claim nonces in this store, such as sqlite:PATH (with --at, only look them up)'
            cand --only 'Judge only requests whose target begins with this; the rest is counted'
            cand --allow-evicting-store 'Use Redis servers though they evict when full: a nonce can then be used twice, unnoticed'
            cand --raise-retention 'Make the store keep nonces for longer, where this window needs it; that closes it for all its users for about that window'
            cand --json 'Print results, and failures on stderr, as JSON'
            cand -q 'Say nothing on stderr but failures and warnings'
            cand --quiet 'Say nothing on stderr but failures and warnings'
            cand -v 'Say more on stderr'
            cand --verbose 'Say more on stderr'
            cand -h 'Print help (see more with ''--help'')'
            cand --help 'Print help (see more with ''--help'')'
        }
        &'mcpid;inspect'= {
            cand --label 'Look at the signature of this label only'
            cand --at 'Tell ages as of this time: RFC 3339, @UNIX, or capture for the time each request bears'
            cand --nonces 'Look nonces up in this store, such as sqlite:PATH'
            cand --base 'Print the signature base: exactly the bytes that were signed'
            cand --allow-evicting-store 'Use Redis servers though they evict when full: a nonce can then be used twice, unnoticed'
            cand --json 'Print results, and failures on stderr, as JSON'
            cand -q 'Say nothing on stderr but failures and warnings'
            cand --quiet 'Say nothing on stderr but failures and warnings'
            cand -v 'Say more on stderr'
            cand --verbose 'Say more on stderr'
            cand -h 'Print help (see more with ''--help'')'
            cand --help 'Print help (see more with ''--help'')'
        }
        &'mcpid;export'= {
            cand -k 'The keyfile'
            cand --key 'The keyfile'
            cand --format 'In which form'
            cand --jwk-alg 'Give the JWK an alg member, for programs that insist on one'
            cand --json 'Print results, and failures on stderr, as JSON'
            cand -q 'Say nothing on stderr but failures and warnings'
            cand --quiet 'Say nothing on stderr but failures and warnings'
            cand -v 'Say more on stderr'
            cand --verbose 'Say more on stderr'
            cand -h 'Print help (see more with ''--help'')'
            cand --help 'Print help (see more with ''--help'')'
        }
        &'mcpid;passwd'= {
            cand -k 'The keyfile'
            cand --key 'The keyfile'
            cand --passphrase-file 'Read the passphrase from this file; one trailing newline is dropped'
            cand --passphrase-fd 'Read the passphrase from this open file descriptor; one trailing newline is dropped'
            cand --new-passphrase-file 'Read the new passphrase from this file; one trailing newline is dropped'
            cand --new-passphrase-fd 'Read the new passphrase from this open file descriptor; one trailing newline is dropped'
            cand --no-passphrase 'Do not encrypt any more: whoever can read the file can sign'
            cand --json 'Print results, and failures on stderr, as JSON'
            cand -q 'Say nothing on stderr but failures and warnings'
            cand --quiet 'Say nothing on stderr but failures and warnings'
            cand -v 'Say more on stderr'
            cand --verbose 'Say more on stderr'
            cand -h 'Print help (see more with ''--help'')'
            cand --help 'Print help (see more with ''--help'')'
        }
        &'mcpid;trust'= {
            cand --json 'Print results, and failures on stderr, as JSON'
            cand -q 'Say nothing on stderr but failures and warnings'
            cand --quiet 'Say nothing on stderr but failures and warnings'
            cand -v 'Say more on stderr'
            cand --verbose 'Say more on stderr'
            cand -h 'Print help (see more with ''--help'')'
            cand --help 'Print help (see more with ''--help'')'
            cand add 'Trust a key'
            cand list 'Show the keys of a trust file'
            cand revoke 'Revoke a key, so that nothing it signs counts any more'
            cand remove 'Remove a key, so that it is unknown'
        }
        &'mcpid;trust;add'= {
            cand -r 'The trust file'
            cand --trust 'The trust file'
            cand --name 'What to call the key; the keyfile''s own name where it has one'
            cand --client-id 'A client id that this key may send as tag, besides its key id; may be repeated'
            cand --not-before 'Not valid before this time: RFC 3339 or @UNIX'
            cand --not-after 'Not valid after this time: RFC 3339 or @UNIX'
            cand --allow 'What the key may do, METHOD[:NAME] with * for anything; may be repeated; everything, where none is given'
            cand --json 'Print results, and failures on stderr, as JSON'
            cand -q 'Say nothing on stderr but failures and warnings'
            cand --quiet 'Say nothing on stderr but failures and warnings'
            cand -v 'Say more on stderr'
            cand --verbose 'Say more on stderr'
            cand -h 'Print help (see more with ''--help'')'
            cand --help 'Print help (see more with ''--help'')'
        }
        &'mcpid;trust;list'= {
            cand -r 'The trust file'
            cand --trust 'The trust file'
            cand --json 'Print results, and failures on stderr, as JSON'
            cand -q 'Say nothing on stderr but failures and warnings'
            cand --quiet 'Say nothing on stderr but failures and warnings'
            cand -v 'Say more on stderr'
            cand --verbose 'Say more on stderr'
            cand -h 'Print help (see more with ''--help'')'
            cand --help 'Print help (see more with ''--help'')'
        }
        &'mcpid;trust;revoke'= {
            cand -r 'The trust file'
            cand --trust 'The trust file'
            cand --at 'Since when: RFC 3339 or @UNIX; now, where it is not given'
            cand --json 'Print results, and failures on stderr, as JSON'
            cand -q 'Say nothing on stderr but failures and warnings'
            cand --quiet 'Say nothing on stderr but failures and warnings'
            cand -v 'Say more on stderr'
            cand --verbose 'Say more on stderr'
            cand -h 'Print help (see more with ''--help'')'
            cand --help 'Print help (see more with ''--help'')'
        }
        &'mcpid;trust;remove'= {
            cand -r 'The trust file'
            cand --trust 'The trust file'
            cand --json 'Print results, and failures on stderr, as JSON'
            cand -q 'Say nothing on stderr but failures and warnings'
            cand --quiet 'Say nothing on stderr but failures and warnings'
            cand -v 'Say more on stderr'
            cand --verbose 'Say more on stderr'
            cand -h 'Print help (see more with ''--help'')'
            cand --help 'Print help (see more with ''--help'')'
        }
        &'mcpid;nonce'= {
            cand --json 'Print results, and failures on stderr, as JSON'
            cand -q 'Say nothing on stderr but failures and warnings'
            cand --quiet 'Say nothing on stderr but failures and warnings'
            cand -v 'Say more on stderr'
            cand --verbose 'Say more on stderr'
            cand -h 'Print help (see more with ''--help'')'
            cand --help 'Print help (see more with ''--help'')'
            cand list 'Show what is kept, and until when'
            cand prune 'Remove what is needed no longer'
        }
        &'mcpid;nonce;list'= {
            cand --nonces 'The store, such as sqlite:PATH'
            cand --allow-evicting-store 'Use Redis servers though they evict when full: a nonce can then be used twice, unnoticed'
            cand --json 'Print results, and failures on stderr, as JSON'
            cand -q 'Say nothing on stderr but failures and warnings'
            cand --quiet 'Say nothing on stderr but failures and warnings'
            cand -v 'Say more on stderr'
            cand --verbose 'Say more on stderr'
            cand -h 'Print help (see more with ''--help'')'
            cand --help 'Print help (see more with ''--help'')'
        }
        &'mcpid;nonce;prune'= {
            cand --nonces 'The store, such as sqlite:PATH'
            cand --allow-evicting-store 'Use Redis servers though they evict when full: a nonce can then be used twice, unnoticed'
            cand --json 'Print results, and failures on stderr, as JSON'
            cand -q 'Say nothing on stderr but failures and warnings'
            cand --quiet 'Say nothing on stderr but failures and warnings'
            cand -v 'Say more on stderr'
            cand --verbose 'Say more on stderr'
            cand -h 'Print help (see more with ''--help'')'
            cand --help 'Print help (see more with ''--help'')'
        }
        &'mcpid;generate'= {
            cand --json 'Print results, and failures on stderr, as JSON'
            cand -q 'Say nothing on stderr but failures and warnings'
            cand --quiet 'Say nothing on stderr but failures and warnings'
            cand -v 'Say more on stderr'
            cand --verbose 'Say more on stderr'
            cand -h 'Print help (see more with ''--help'')'
            cand --help 'Print help (see more with ''--help'')'
            cand man 'Write a man page for every command and an overview'
            cand completions 'Write completions for bash, zsh, fish, PowerShell and elvish'
        }
        &'mcpid;generate;man'= {
            cand --json 'Print results, and failures on stderr, as JSON'
            cand -q 'Say nothing on stderr but failures and warnings'
            cand --quiet 'Say nothing on stderr but failures and warnings'
            cand -v 'Say more on stderr'
            cand --verbose 'Say more on stderr'
            cand -h 'Print help (see more with ''--help'')'
            cand --help 'Print help (see more with ''--help'')'
        }
        &'mcpid;generate;completions'= {
            cand --json 'Print results, and failures on stderr, as JSON'
            cand -q 'Say nothing on stderr but failures and warnings'
            cand --quiet 'Say nothing on stderr but failures and warnings'
            cand -v 'Say more on stderr'
            cand --verbose 'Say more on stderr'
            cand -h 'Print help (see more with ''--help'')'
            cand --help 'Print help (see more with ''--help'')'
        }
    ]
    $completions[$command]
}
