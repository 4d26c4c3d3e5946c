
using namespace System.Management.Automation
using namespace System.Management.Automation.Language

Register-ArgumentCompleter -Native -CommandName 'mcpid' -ScriptBlock {
    param($wordToComplete, $commandAst, $cursorPosition)

    $commandElements = $commandAst.CommandElements
    $command = @(
        'mcpid'
        for ($i = 1; $i -lt $commandElements.Count; $i++) {
            $element = $commandElements[$i]
            if ($element -isnot [StringConstantExpressionAst] -or
                $element.StringConstantType -ne [StringConstantType]::BareWord -or
                $element.Value.StartsWith('-') -or
                $element.Value -eq $wordToComplete) {
                break
        }
        $element.Value
    }) -join ';'

    $completions = @(switch ($command) {
        'mcpid' {
            [CompletionResult]::new('--json', '--json', [CompletionResultType]::ParameterName, 'Print results, and failures on stderr, as JSON')
            [CompletionResult]::new('-q', '-q', [CompletionResultType]::ParameterName, 'Say nothing on stderr but failures and warnings')
            [CompletionResult]::new('--quiet', '--quiet', [CompletionResultType]::ParameterName, 'Say nothing on stderr but failures and warnings')
            [CompletionResult]::new('-v', '-v', [CompletionResultType]::ParameterName, 'Say more on stderr')
            [CompletionResult]::new('--verbose', '--verbose', [CompletionResultType]::ParameterName, 'Say more on stderr')
            [CompletionResult]::new('-h', '-h', [CompletionResultType]::ParameterName, 'Print help (see more with ''--help'')')
            [CompletionResult]::new('--help', '--help', [CompletionResultType]::ParameterName, 'Print help (see more with ''--help'')')
            [CompletionResult]::new('-V', '-V ', [CompletionResultType]::ParameterName, 'Print version')
            [CompletionResult]::new('--version', '--version', [CompletionResultType]::ParameterName, 'Print version')
            [CompletionResult]::new('demo', 'demo', [CompletionResultType]::ParameterValue, 'Show the whole story in one run')
            [CompletionResult]::new('keygen', 'keygen', [CompletionResultType]::ParameterValue, 'Make a key, or import one')
            [CompletionResult]::new('sign', 'sign', [CompletionResultType]::ParameterValue, 'Sign a payload or an HTTP request')
            [CompletionResult]::new('verify', 'verify', [CompletionResultType]::ParameterValue, 'Judge captured requests')
            [CompletionResult]::new('inspect', 'inspect', [CompletionResultType]::ParameterValue, 'Show what signed requests claim, without judging them')
            [CompletionResult]::new('export', 'export', [CompletionResultType]::ParameterValue, 'Print the public part of a key')
            [CompletionResult]::new('passwd', 'passwd', [CompletionResultType]::ParameterValue, 'Change the passphrase of a keyfile')
            [CompletionResult]::new('trust', 'trust', [CompletionResultType]::ParameterValue, 'Say whose signatures count')
            [CompletionResult]::new('nonce', 'nonce', [CompletionResultType]::ParameterValue, 'Look after the nonces that were used')
            [CompletionResult]::new('generate', 'generate', [CompletionResultType]::ParameterValue, 'Write man pages or completions into a folder')
            break
        }
        'mcpid;demo' {
            [CompletionResult]::new('--json', '--json', [CompletionResultType]::ParameterName, 'Print results, and failures on stderr, as JSON')
            [CompletionResult]::new('-q', '-q', [CompletionResultType]::ParameterName, 'Say nothing on stderr but failures and warnings')
            [CompletionResult]::new('--quiet', '--quiet', [CompletionResultType]::ParameterName, 'Say nothing on stderr but failures and warnings')
            [CompletionResult]::new('-v', '-v', [CompletionResultType]::ParameterName, 'Say more on stderr')
            [CompletionResult]::new('--verbose', '--verbose', [CompletionResultType]::ParameterName, 'Say more on stderr')
            [CompletionResult]::new('-h', '-h', [CompletionResultType]::ParameterName, 'Print help (see more with ''--help'')')
            [CompletionResult]::new('--help', '--help', [CompletionResultType]::ParameterName, 'Print help (see more with ''--help'')')
            break
        }
        'mcpid;keygen' {
            [CompletionResult]::new('-o', '-o', [CompletionResultType]::ParameterName, 'Where to write the keyfile')
            [CompletionResult]::new('--output', '--output', [CompletionResultType]::ParameterName, 'Where to write the keyfile')
            [CompletionResult]::new('--name', '--name', [CompletionResultType]::ParameterName, 'What to call the key; readable without the passphrase')
            [CompletionResult]::new('--import', '--import', [CompletionResultType]::ParameterName, 'Take the private key from this file, or - for stdin: JWK, PKCS#8 PEM, OpenSSH, or the seed in hex or base64')
            [CompletionResult]::new('--passphrase-file', '--passphrase-file', [CompletionResultType]::ParameterName, 'Read the passphrase from this file; one trailing newline is dropped')
            [CompletionResult]::new('--passphrase-fd', '--passphrase-fd', [CompletionResultType]::ParameterName, 'Read the passphrase from this open file descriptor; one trailing newline is dropped')
            [CompletionResult]::new('--no-passphrase', '--no-passphrase', [CompletionResultType]::ParameterName, 'Do not encrypt: whoever can read the file can sign')
            [CompletionResult]::new('--json', '--json', [CompletionResultType]::ParameterName, 'Print results, and failures on stderr, as JSON')
            [CompletionResult]::new('-q', '-q', [CompletionResultType]::ParameterName, 'Say nothing on stderr but failures and warnings')
            [CompletionResult]::new('--quiet', '--quiet', [CompletionResultType]::ParameterName, 'Say nothing on stderr but failures and warnings')
            [CompletionResult]::new('-v', '-v', [CompletionResultType]::ParameterName, 'Say more on stderr')
            [CompletionResult]::new('--verbose', '--verbose', [CompletionResultType]::ParameterName, 'Say more on stderr')
            [CompletionResult]::new('-h', '-h', [CompletionResultType]::ParameterName, 'Print help (see more with ''--help'')')
            [CompletionResult]::new('--help', '--help', [CompletionResultType]::ParameterName, 'Print help (see more with ''--help'')')
            break
        }
        'mcpid;sign' {
            [CompletionResult]::new('-k', '-k', [CompletionResultType]::ParameterName, 'The keyfile')
            [CompletionResult]::new('--key', '--key', [CompletionResultType]::ParameterName, 'The keyfile')
            [CompletionResult]::new('--profile', '--profile', [CompletionResultType]::ParameterName, 'The rules to sign by')
            [CompletionResult]::new('--client-id', '--client-id', [CompletionResultType]::ParameterName, 'The stable client id to send as tag, in place of the key id')
            [CompletionResult]::new('--cover', '--cover', [CompletionResultType]::ParameterName, 'Cover one more component, such as x-request-id or ''@authority''')
            [CompletionResult]::new('--no-cover', '--no-cover', [CompletionResultType]::ParameterName, 'Leave one component out that would be covered')
            [CompletionResult]::new('--label', '--label', [CompletionResultType]::ParameterName, 'The signature''s label')
            [CompletionResult]::new('--ttl', '--ttl', [CompletionResultType]::ParameterName, 'After how long the signature expires, or none; 30s under the profile mcp')
            [CompletionResult]::new('--at', '--at', [CompletionResultType]::ParameterName, 'Sign as of this time: RFC 3339 or @UNIX')
            [CompletionResult]::new('--format', '--format', [CompletionResultType]::ParameterName, 'How to print it; headers with --url, else http')
            [CompletionResult]::new('--passphrase-file', '--passphrase-file', [CompletionResultType]::ParameterName, 'Read the passphrase from this file; one trailing newline is dropped')
            [CompletionResult]::new('--passphrase-fd', '--passphrase-fd', [CompletionResultType]::ParameterName, 'Read the passphrase from this open file descriptor; one trailing newline is dropped')
            [CompletionResult]::new('--url', '--url', [CompletionResultType]::ParameterName, 'Where the payload will be sent')
            [CompletionResult]::new('--method', '--method', [CompletionResultType]::ParameterName, 'With which method [default: POST]')
            [CompletionResult]::new('-H', '-H ', [CompletionResultType]::ParameterName, 'A header to send with it, ''Name: value'', or @FILE with one a line')
            [CompletionResult]::new('--header', '--header', [CompletionResultType]::ParameterName, 'A header to send with it, ''Name: value'', or @FILE with one a line')
            [CompletionResult]::new('--origin', '--origin', [CompletionResultType]::ParameterName, 'The scheme and host the request is meant for, such as https://mcp.example.com')
            [CompletionResult]::new('--replace', '--replace', [CompletionResultType]::ParameterName, 'Replace a signature of the same label that the request bears')
            [CompletionResult]::new('--json', '--json', [CompletionResultType]::ParameterName, 'Print results, and failures on stderr, as JSON')
            [CompletionResult]::new('-q', '-q', [CompletionResultType]::ParameterName, 'Say nothing on stderr but failures and warnings')
            [CompletionResult]::new('--quiet', '--quiet', [CompletionResultType]::ParameterName, 'Say nothing on stderr but failures and warnings')
            [CompletionResult]::new('-v', '-v', [CompletionResultType]::ParameterName, 'Say more on stderr')
            [CompletionResult]::new('--verbose', '--verbose', [CompletionResultType]::ParameterName, 'Say more on stderr')
            [CompletionResult]::new('-h', '-h', [CompletionResultType]::ParameterName, 'Print help (see more with ''--help'')')
            [CompletionResult]::new('--help', '--help', [CompletionResultType]::ParameterName, 'Print help (see more with ''--help'')')
            break
        }
        'mcpid;verify' {
            [CompletionResult]::new('-r', '-r', [CompletionResultType]::ParameterName, 'A trust file, or a folder of them; may be repeated')
            [CompletionResult]::new('--trust', '--trust', [CompletionResultType]::ParameterName, 'A trust file, or a folder of them; may be repeated')
            [CompletionResult]::new('--profile', '--profile', [CompletionResultType]::ParameterName, 'The rules to judge by')
            [CompletionResult]::new('--window', '--window', [CompletionResultType]::ParameterName, 'How old a signature may be; 30s under the profile mcp')
            [CompletionResult]::new('--ahead', '--ahead', [CompletionResultType]::ParameterName, 'How far the signer''s clock may be ahead; 5s under the profile mcp')
            [CompletionResult]::new('--require', '--require', [CompletionResultType]::ParameterName, 'Require one more component to be covered')
            [CompletionResult]::new('--allow-uncovered', '--allow-uncovered', [CompletionResultType]::ParameterName, 'Do not require this component to be covered')
            [CompletionResult]::new('--max-body', '--max-body', [CompletionResultType]::ParameterName, 'The largest body that is judged, in bytes or as 4MiB [default: 4MiB]')
            [CompletionResult]::new('--origin', '--origin', [CompletionResultType]::ParameterName, 'A scheme and host that is ours, such as https://mcp.example.com; may be repeated')
            [CompletionResult]::new('--at', '--at', [CompletionResultType]::ParameterName, 'Judge as of this time: RFC 3339, @UNIX, or capture for the time each request bears')
            [CompletionResult]::new('--nonces', '--nonces', [CompletionResultType]::ParameterName, 'Claim nonces in this store, such as sqlite:PATH (with --at, only look them up)')
            [CompletionResult]::new('--only', '--only', [CompletionResultType]::ParameterName, 'Judge only requests whose target begins with this; the rest is counted')
            [CompletionResult]::new('--allow-evicting-store', '--allow-evicting-store', [CompletionResultType]::ParameterName, 'Use Redis servers though they evict when full: a nonce can then be used twice, unnoticed')
            [CompletionResult]::new('--raise-retention', '--raise-retention', [CompletionResultType]::ParameterName, 'Make the store keep nonces for longer, where this window needs it; that closes it for all its users for about that window')
            [CompletionResult]::new('--json', '--json', [CompletionResultType]::ParameterName, 'Print results, and failures on stderr, as JSON')
            [CompletionResult]::new('-q', '-q', [CompletionResultType]::ParameterName, 'Say nothing on stderr but failures and warnings')
            [CompletionResult]::new('--quiet', '--quiet', [CompletionResultType]::ParameterName, 'Say nothing on stderr but failures and warnings')
            [CompletionResult]::new('-v', '-v', [CompletionResultType]::ParameterName, 'Say more on stderr')
            [CompletionResult]::new('--verbose', '--verbose', [CompletionResultType]::ParameterName, 'Say more on stderr')
            [CompletionResult]::new('-h', '-h', [CompletionResultType]::ParameterName, 'Print help (see more with ''--help'')')
            [CompletionResult]::new('--help', '--help', [CompletionResultType]::ParameterName, 'Print help (see more with ''--help'')')
            break
        }
        'mcpid;inspect' {
            [CompletionResult]::new('--label', '--label', [CompletionResultType]::ParameterName, 'Look at the signature of this label only')
            [CompletionResult]::new('--at', '--at', [CompletionResultType]::ParameterName, 'Tell ages as of this time: RFC 3339, @UNIX, or capture for the time each request bears')
            [CompletionResult]::new('--nonces', '--nonces', [CompletionResultType]::ParameterName, 'Look nonces up in this store, such as sqlite:PATH')
            [CompletionResult]::new('--base', '--base', [CompletionResultType]::ParameterName, 'Print the signature base: exactly the bytes that were signed')
            [CompletionResult]::new('--allow-evicting-store', '--allow-evicting-store', [CompletionResultType]::ParameterName, 'Use Redis servers though they evict when full: a nonce can then be used twice, unnoticed')
            [CompletionResult]::new('--json', '--json', [CompletionResultType]::ParameterName, 'Print results, and failures on stderr, as JSON')
            [CompletionResult]::new('-q', '-q', [CompletionResultType]::ParameterName, 'Say nothing on stderr but failures and warnings')
            [CompletionResult]::new('--quiet', '--quiet', [CompletionResultType]::ParameterName, 'Say nothing on stderr but failures and warnings')
            [CompletionResult]::new('-v', '-v', [CompletionResultType]::ParameterName, 'Say more on stderr')
            [CompletionResult]::new('--verbose', '--verbose', [CompletionResultType]::ParameterName, 'Say more on stderr')
            [CompletionResult]::new('-h', '-h', [CompletionResultType]::ParameterName, 'Print help (see more with ''--help'')')
            [CompletionResult]::new('--help', '--help', [CompletionResultType]::ParameterName, 'Print help (see more with ''--help'')')
            break
        }
        'mcpid;export' {
            [CompletionResult]::new('-k', '-k', [CompletionResultType]::ParameterName, 'The keyfile')
            [CompletionResult]::new('--key', '--key', [CompletionResultType]::ParameterName, 'The keyfile')
            [CompletionResult]::new('--format', '--format', [CompletionResultType]::ParameterName, 'In which form')
            [CompletionResult]::new('--jwk-alg', '--jwk-alg', [CompletionResultType]::ParameterName, 'Give the JWK an alg member, for programs that insist on one')
            [CompletionResult]::new('--json', '--json', [CompletionResultType]::ParameterName, 'Print results, and failures on stderr, as JSON')
            [CompletionResult]::new('-q', '-q', [CompletionResultType]::ParameterName, 'Say nothing on stderr but failures and warnings')
            [CompletionResult]::new('--quiet', '--quiet', [CompletionResultType]::ParameterName, 'Say nothing on stderr but failures and warnings')
            [CompletionResult]::new('-v', '-v', [CompletionResultType]::ParameterName, 'Say more on stderr')
            [CompletionResult]::new('--verbose', '--verbose', [CompletionResultType]::ParameterName, 'Say more on stderr')
            [CompletionResult]::new('-h', '-h', [CompletionResultType]::ParameterName, 'Print help (see more with ''--help'')')
            [CompletionResult]::new('--help', '--help', [CompletionResultType]::ParameterName, 'Print help (see more with ''--help'')')
            break
        }
        'mcpid;passwd' {
            [CompletionResult]::new('-k', '-k', [CompletionResultType]::ParameterName, 'The keyfile')
            [CompletionResult]::new('--key', '--key', [CompletionResultType]::ParameterName, 'The keyfile')
            [CompletionResult]::new('--passphrase-file', '--passphrase-file', [CompletionResultType]::ParameterName, 'Read the passphrase from this file; one trailing newline is dropped')
            [CompletionResult]::new('--passphrase-fd', '--passphrase-fd', [CompletionResultType]::ParameterName, 'Read the passphrase from this open file descriptor; one trailing newline is dropped')
            [CompletionResult]::new('--new-passphrase-file', '--new-passphrase-file', [CompletionResultType]::ParameterName, 'Read the new passphrase from this file; one trailing newline is dropped')
            [CompletionResult]::new('--new-passphrase-fd', '--new-passphrase-fd', [CompletionResultType]::ParameterName, 'Read the new passphrase from this open file descriptor; one trailing newline is dropped')
            [CompletionResult]::new('--no-passphrase', '--no-passphrase', [CompletionResultType]::ParameterName, 'Do not encrypt any more: whoever can read the file can sign')
            [CompletionResult]::new('--json', '--json', [CompletionResultType]::ParameterName, 'Print results, and failures on stderr, as JSON')
            [CompletionResult]::new('-q', '-q', [CompletionResultType]::ParameterName, 'Say nothing on stderr but failures and warnings')
            [CompletionResult]::new('--quiet', '--quiet', [CompletionResultType]::ParameterName, 'Say nothing on stderr but failures and warnings')
            [CompletionResult]::new('-v', '-v', [CompletionResultType]::ParameterName, 'Say more on stderr')
            [CompletionResult]::new('--verbose', '--verbose', [CompletionResultType]::ParameterName, 'Say more on stderr')
            [CompletionResult]::new('-h', '-h', [CompletionResultType]::ParameterName, 'Print help (see more with ''--help'')')
            [CompletionResult]::new('--help', '--help', [CompletionResultType]::ParameterName, 'Print help (see more with ''--help'')')
            break
        }
        'mcpid;trust' {
            [CompletionResult]::new('--json', '--json', [CompletionResultType]::ParameterName, 'Print results, and failures on stderr, as JSON')
            [CompletionResult]::new('-q', '-q', [CompletionResultType]::ParameterName, 'Say nothing on stderr but failures and warnings')
            [CompletionResult]::new('--quiet', '--quiet', [CompletionResultType]::ParameterName, 'Say nothing on stderr but failures and warnings')
            [CompletionResult]::new('-v', '-v', [CompletionResultType]::ParameterName, 'Say more on stderr')
            [CompletionResult]::new('--verbose', '--verbose', [CompletionResultType]::ParameterName, 'Say more on stderr')
            [CompletionResult]::new('-h', '-h', [CompletionResultType]::ParameterName, 'Print help (see more with ''--help'')')
            [CompletionResult]::new('--help', '--help', [CompletionResultType]::ParameterName, 'Print help (see more with ''--help'')')
            [CompletionResult]::new('add', 'add', [CompletionResultType]::ParameterValue, 'Trust a key')
            [CompletionResult]::new('list', 'list', [CompletionResultType]::ParameterValue, 'Show the keys of a trust file')
            [CompletionResult]::new('revoke', 'revoke', [CompletionResultType]::ParameterValue, 'Revoke a key, so that nothing it signs counts any more')
            [CompletionResult]::new('remove', 'remove', [CompletionResultType]::ParameterValue, 'Remove a key, so that it is unknown')
            break
        }
        'mcpid;trust;add' {
            [CompletionResult]::new('-r', '-r', [CompletionResultType]::ParameterName, 'The trust file')
            [CompletionResult]::new('--trust', '--trust', [CompletionResultType]::ParameterName, 'The trust file')
            [CompletionResult]::new('--name', '--name', [CompletionResultType]::ParameterName, 'What to call the key; the keyfile''s own name where it has one')
            [CompletionResult]::new('--client-id', '--client-id', [CompletionResultType]::ParameterName, 'A client id that this key may send as tag, besides its key id; may be repeated')
            [CompletionResult]::new('--not-before', '--not-before', [CompletionResultType]::ParameterName, 'Not valid before this time: RFC 3339 or @UNIX')
            [CompletionResult]::new('--not-after', '--not-after', [CompletionResultType]::ParameterName, 'Not valid after this time: RFC 3339 or @UNIX')
            [CompletionResult]::new('--allow', '--allow', [CompletionResultType]::ParameterName, 'What the key may do, METHOD[:NAME] with * for anything; may be repeated; everything, where none is given')
            [CompletionResult]::new('--json', '--json', [CompletionResultType]::ParameterName, 'Print results, and failures on stderr, as JSON')
            [CompletionResult]::new('-q', '-q', [CompletionResultType]::ParameterName, 'Say nothing on stderr but failures and warnings')
            [CompletionResult]::new('--quiet', '--quiet', [CompletionResultType]::ParameterName, 'Say nothing on stderr but failures and warnings')
            [CompletionResult]::new('-v', '-v', [CompletionResultType]::ParameterName, 'Say more on stderr')
            [CompletionResult]::new('--verbose', '--verbose', [CompletionResultType]::ParameterName, 'Say more on stderr')
            [CompletionResult]::new('-h', '-h', [CompletionResultType]::ParameterName, 'Print help (see more with ''--help'')')
            [CompletionResult]::new('--help', '--help', [CompletionResultType]::ParameterName, 'Print help (see more with ''--help'')')
            break
        }
        'mcpid;trust;list' {
            [CompletionResult]::new('-r', '-r', [CompletionResultType]::ParameterName, 'The trust file')
            [CompletionResult]::new('--trust', '--trust', [CompletionResultType]::ParameterName, 'The trust file')
            [CompletionResult]::new('--json', '--json', [CompletionResultType]::ParameterName, 'Print results, and failures on stderr, as JSON')
            [CompletionResult]::new('-q', '-q', [CompletionResultType]::ParameterName, 'Say nothing on stderr but failures and warnings')
            [CompletionResult]::new('--quiet', '--quiet', [CompletionResultType]::ParameterName, 'Say nothing on stderr but failures and warnings')
            [CompletionResult]::new('-v', '-v', [CompletionResultType]::ParameterName, 'Say more on stderr')
            [CompletionResult]::new('--verbose', '--verbose', [CompletionResultType]::ParameterName, 'Say more on stderr')
            [CompletionResult]::new('-h', '-h', [CompletionResultType]::ParameterName, 'Print help (see more with ''--help'')')
            [CompletionResult]::new('--help', '--help', [CompletionResultType]::ParameterName, 'Print help (see more with ''--help'')')
            break
        }
        'mcpid;trust;revoke' {
            [CompletionResult]::new('-r', '-r', [CompletionResultType]::ParameterName, 'The trust file')
            [CompletionResult]::new('--trust', '--trust', [CompletionResultType]::ParameterName, 'The trust file')
            [CompletionResult]::new('--at', '--at', [CompletionResultType]::ParameterName, 'Since when: RFC 3339 or @UNIX; now, where it is not given')
            [CompletionResult]::new('--json', '--json', [CompletionResultType]::ParameterName, 'Print results, and failures on stderr, as JSON')
            [CompletionResult]::new('-q', '-q', [CompletionResultType]::ParameterName, 'Say nothing on stderr but failures and warnings')
            [CompletionResult]::new('--quiet', '--quiet', [CompletionResultType]::ParameterName, 'Say nothing on stderr but failures and warnings')
            [CompletionResult]::new('-v', '-v', [CompletionResultType]::ParameterName, 'Say more on stderr')
            [CompletionResult]::new('--verbose', '--verbose', [CompletionResultType]::ParameterName, 'Say more on stderr')
            [CompletionResult]::new('-h', '-h', [CompletionResultType]::ParameterName, 'Print help (see more with ''--help'')')
            [CompletionResult]::new('--help', '--help', [CompletionResultType]::ParameterName, 'Print help (see more with ''--help'')')
            break
        }
        'mcpid;trust;remove' {
            [CompletionResult]::new('-r', '-r', [CompletionResultType]::ParameterName, 'The trust file')
            [CompletionResult]::new('--trust', '--trust', [CompletionResultType]::ParameterName, 'The trust file')
            [CompletionResult]::new('--json', '--json', [CompletionResultType]::ParameterName, 'Print results, and failures on stderr, as JSON')
            [CompletionResult]::new('-q', '-q', [CompletionResultType]::ParameterName, 'Say nothing on stderr but failures and warnings')
            [CompletionResult]::new('--quiet', '--quiet', [CompletionResultType]::ParameterName, 'Say nothing on stderr but failures and warnings')
            [CompletionResult]::new('-v', '-v', [CompletionResultType]::ParameterName, 'Say more on stderr')
            [CompletionResult]::new('--verbose', '--verbose', [CompletionResultType]::ParameterName, 'Say more on stderr')
            [CompletionResult]::new('-h', '-h', [CompletionResultType]::ParameterName, 'Print help (see more with ''--help'')')
            [CompletionResult]::new('--help', '--help', [CompletionResultType]::ParameterName, 'Print help (see more with ''--help'')')
            break
        }
        'mcpid;nonce' {
            [CompletionResult]::new('--json', '--json', [CompletionResultType]::ParameterName, 'Print results, and failures on stderr, as JSON')
            [CompletionResult]::new('-q', '-q', [CompletionResultType]::ParameterName, 'Say nothing on stderr but failures and warnings')
            [CompletionResult]::new('--quiet', '--quiet', [CompletionResultType]::ParameterName, 'Say nothing on stderr but failures and warnings')
            [CompletionResult]::new('-v', '-v', [CompletionResultType]::ParameterName, 'Say more on stderr')
            [CompletionResult]::new('--verbose', '--verbose', [CompletionResultType]::ParameterName, 'Say more on stderr')
            [CompletionResult]::new('-h', '-h', [CompletionResultType]::ParameterName, 'Print help (see more with ''--help'')')
            [CompletionResult]::new('--help', '--help', [CompletionResultType]::ParameterName, 'Print help (see more with ''--help'')')
            [CompletionResult]::new('list', 'list', [CompletionResultType]::ParameterValue, 'Show what is kept, and until when')
            [CompletionResult]::new('prune', 'prune', [CompletionResultType]::ParameterValue, 'Remove what is needed no longer')
            break
        }
        'mcpid;nonce;list' {
            [CompletionResult]::new('--nonces', '--nonces', [CompletionResultType]::ParameterName, 'The store, such as sqlite:PATH')
            [CompletionResult]::new('--allow-evicting-store', '--allow-evicting-store', [CompletionResultType]::ParameterName, 'Use Redis servers though they evict when full: a nonce can then be used twice, unnoticed')
            [CompletionResult]::new('--json', '--json', [CompletionResultType]::ParameterName, 'Print results, and failures on stderr, as JSON')
            [CompletionResult]::new('-q', '-q', [CompletionResultType]::ParameterName, 'Say nothing on stderr but failures and warnings')
            [CompletionResult]::new('--quiet', '--quiet', [CompletionResultType]::ParameterName, 'Say nothing on stderr but failures and warnings')
            [CompletionResult]::new('-v', '-v', [CompletionResultType]::ParameterName, 'Say more on stderr')
            [CompletionResult]::new('--verbose', '--verbose', [CompletionResultType]::ParameterName, 'Say more on stderr')
            [CompletionResult]::new('-h', '-h', [CompletionResultType]::ParameterName, 'Print help (see more with ''--help'')')
            [CompletionResult]::new('--help', '--help', [CompletionResultType]::ParameterName, 'Print help (see more with ''--help'')')
            break
        }
        'mcpid;nonce;prune' {
            [CompletionResult]::new('--nonces', '--nonces', [CompletionResultType]::ParameterName, 'The store, such as sqlite:PATH')
            [CompletionResult]::new('--allow-evicting-store', '--allow-evicting-store', [CompletionResultType]::ParameterName, 'Use Redis servers though they evict when full: a nonce can then be used twice, unnoticed')
            [CompletionResult]::new('--json', '--json', [CompletionResultType]::ParameterName, 'Print results, and failures on stderr, as JSON')
            [CompletionResult]::new('-q', '-q', [CompletionResultType]::ParameterName, 'Say nothing on stderr but failures and warnings')
            [CompletionResult]::new('--quiet', '--quiet', [CompletionResultType]::ParameterName, 'Say nothing on stderr but failures and warnings')
            [CompletionResult]::new('-v', '-v', [CompletionResultType]::ParameterName, 'Say more on stderr')
            [CompletionResult]::new('--verbose', '--verbose', [CompletionResultType]::ParameterName, 'Say more on stderr')
            [CompletionResult]::new('-h', '-h', [CompletionResultType]::ParameterName, 'Print help (see more with ''--help'')')
            [CompletionResult]::new('--help', '--help', [CompletionResultType]::ParameterName, 'Print help (see more with ''--help'')')
            break
        }
        'mcpid;generate' {
            [CompletionResult]::new('--json', '--json', [CompletionResultType]::ParameterName, 'Print results, and failures on stderr, as JSON')
            [CompletionResult]::new('-q', '-q', [CompletionResultType]::ParameterName, 'Say nothing on stderr but failures and warnings')
            [CompletionResult]::new('--quiet', '--quiet', [CompletionResultType]::ParameterName, 'Say nothing on stderr but failures and warnings')
            [CompletionResult]::new('-v', '-v', [CompletionResultType]::ParameterName, 'Say more on stderr')
            [CompletionResult]::new('--verbose', '--verbose', [CompletionResultType]::ParameterName, 'Say more on stderr')
            [CompletionResult]::new('-h', '-h', [CompletionResultType]::ParameterName, 'Print help (see more with ''--help'')')
            [CompletionResult]::new('--help', '--help', [CompletionResultType]::ParameterName, 'Print help (see more with ''--help'')')
            [CompletionResult]::new('man', 'man', [CompletionResultType]::ParameterValue, 'Write a man page for every command and an overview')
            [CompletionResult]::new('completions', 'completions', [CompletionResultType]::ParameterValue, 'Write completions for bash, zsh, fish, PowerShell and elvish')
            break
        }
        'mcpid;generate;man' {
            [CompletionResult]::new('--json', '--json', [CompletionResultType]::ParameterName, 'Print results, and failures on stderr, as JSON')
            [CompletionResult]::new('-q', '-q', [CompletionResultType]::ParameterName, 'Say nothing on stderr but failures and warnings')
            [CompletionResult]::new('--quiet', '--quiet', [CompletionResultType]::ParameterName, 'Say nothing on stderr but failures and warnings')
            [CompletionResult]::new('-v', '-v', [CompletionResultType]::ParameterName, 'Say more on stderr')
            [CompletionResult]::new('--verbose', '--verbose', [CompletionResultType]::ParameterName, 'Say more on stderr')
            [CompletionResult]::new('-h', '-h', [CompletionResultType]::ParameterName, 'Print help (see more with ''--help'')')
            [CompletionResult]::new('--help', '--help', [CompletionResultType]::ParameterName, 'Print help (see more with ''--help'')')
            break
        }
        'mcpid;generate;completions' {
            [CompletionResult]::new('--json', '--json', [CompletionResultType]::ParameterName, 'Print results, and failures on stderr, as JSON')
            [CompletionResult]::new('-q', '-q', [CompletionResultType]::ParameterName, 'Say nothing on stderr but failures and warnings')
            [CompletionResult]::new('--quiet', '--quiet', [CompletionResultType]::ParameterName, 'Say nothing on stderr but failures and warnings')
            [CompletionResult]::new('-v', '-v', [CompletionResultType]::ParameterName, 'Say more on stderr')
            [CompletionResult]::new('--verbose', '--verbose', [CompletionResultType]::ParameterName, 'Say more on stderr')
            [CompletionResult]::new('-h', '-h', [CompletionResultType]::ParameterName, 'Print help (see more with ''--help'')')
            [CompletionResult]::new('--help', '--help', [CompletionResultType]::ParameterName, 'Print help (see more with ''--help'')')
            break
        }
    })

    $completions.Where{ $_.CompletionText -like "$wordToComplete*" } |
        Sort-Object -Property ListItemText
}
