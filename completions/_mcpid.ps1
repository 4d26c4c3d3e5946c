
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
            [CompletionResult]::new('-q', '-q', [CompletionResultType]::ParameterName, 'Print only failures and warnings on stderr')
            [CompletionResult]::new('--quiet', '--quiet', [CompletionResultType]::ParameterName, 'Print only failures and warnings on stderr')
            [CompletionResult]::new('-v', '-v', [CompletionResultType]::ParameterName, 'Print more on stderr')
            [CompletionResult]::new('--verbose', '--verbose', [CompletionResultType]::ParameterName, 'Print more on stderr')
            [CompletionResult]::new('-h', '-h', [CompletionResultType]::ParameterName, 'Print help')
            [CompletionResult]::new('--help', '--help', [CompletionResultType]::ParameterName, 'Print help')
            [CompletionResult]::new('-V', '-V ', [CompletionResultType]::ParameterName, 'Print version')
            [CompletionResult]::new('--version', '--version', [CompletionResultType]::ParameterName, 'Print version')
            [CompletionResult]::new('demo', 'demo', [CompletionResultType]::ParameterValue, 'Show in one run what mcpid accepts and refuses')
            [CompletionResult]::new('keygen', 'keygen', [CompletionResultType]::ParameterValue, 'Make a key, or import one')
            [CompletionResult]::new('sign', 'sign', [CompletionResultType]::ParameterValue, 'Sign a payload or an HTTP request')
            [CompletionResult]::new('verify', 'verify', [CompletionResultType]::ParameterValue, 'Judge captured requests')
            [CompletionResult]::new('inspect', 'inspect', [CompletionResultType]::ParameterValue, 'Show what signed requests claim, without judging them')
            [CompletionResult]::new('export', 'export', [CompletionResultType]::ParameterValue, 'Print the public part of a key')
            [CompletionResult]::new('passwd', 'passwd', [CompletionResultType]::ParameterValue, 'Change the passphrase of a keyfile')
            [CompletionResult]::new('trust', 'trust', [CompletionResultType]::ParameterValue, 'Say whose signatures count')
            [CompletionResult]::new('nonce', 'nonce', [CompletionResultType]::ParameterValue, 'List and prune used nonces')
            [CompletionResult]::new('gateway', 'gateway', [CompletionResultType]::ParameterValue, 'Verify requests before they reach an MCP server')
            [CompletionResult]::new('connect', 'connect', [CompletionResultType]::ParameterValue, 'Let an unmodified MCP client sign')
            [CompletionResult]::new('agent', 'agent', [CompletionResultType]::ParameterValue, 'Keep a key in a running ssh-agent')
            [CompletionResult]::new('audit', 'audit', [CompletionResultType]::ParameterValue, 'Keep and check evidence of what was authorised')
            [CompletionResult]::new('help', 'help', [CompletionResultType]::ParameterValue, 'Show how a command is used')
            [CompletionResult]::new('version', 'version', [CompletionResultType]::ParameterValue, 'Print the version')
            break
        }
        'mcpid;demo' {
            [CompletionResult]::new('--json', '--json', [CompletionResultType]::ParameterName, 'Print results, and failures on stderr, as JSON')
            [CompletionResult]::new('-q', '-q', [CompletionResultType]::ParameterName, 'Print only failures and warnings on stderr')
            [CompletionResult]::new('--quiet', '--quiet', [CompletionResultType]::ParameterName, 'Print only failures and warnings on stderr')
            [CompletionResult]::new('-v', '-v', [CompletionResultType]::ParameterName, 'Print more on stderr')
            [CompletionResult]::new('--verbose', '--verbose', [CompletionResultType]::ParameterName, 'Print more on stderr')
            [CompletionResult]::new('-h', '-h', [CompletionResultType]::ParameterName, 'Print help')
            [CompletionResult]::new('--help', '--help', [CompletionResultType]::ParameterName, 'Print help')
            break
        }
        'mcpid;keygen' {
            [CompletionResult]::new('-o', '-o', [CompletionResultType]::ParameterName, 'Where to write the keyfile')
            [CompletionResult]::new('--output', '--output', [CompletionResultType]::ParameterName, 'Where to write the keyfile')
            [CompletionResult]::new('--name', '--name', [CompletionResultType]::ParameterName, 'The name of the key; it can be read without the passphrase')
            [CompletionResult]::new('--import', '--import', [CompletionResultType]::ParameterName, 'Take the private key from this file, or - for stdin: JWK, PKCS#8 PEM, OpenSSH, or the seed in hex or base64')
            [CompletionResult]::new('--passphrase-file', '--passphrase-file', [CompletionResultType]::ParameterName, 'Read the passphrase from this file; one trailing newline is dropped')
            [CompletionResult]::new('--passphrase-fd', '--passphrase-fd', [CompletionResultType]::ParameterName, 'Read the passphrase from this open file descriptor; one trailing newline is dropped')
            [CompletionResult]::new('--no-passphrase', '--no-passphrase', [CompletionResultType]::ParameterName, 'Do not encrypt: every program that can read the file can sign')
            [CompletionResult]::new('--weak', '--weak', [CompletionResultType]::ParameterName, 'Accept a passphrase of under 8 characters')
            [CompletionResult]::new('--json', '--json', [CompletionResultType]::ParameterName, 'Print results, and failures on stderr, as JSON')
            [CompletionResult]::new('-q', '-q', [CompletionResultType]::ParameterName, 'Print only failures and warnings on stderr')
            [CompletionResult]::new('--quiet', '--quiet', [CompletionResultType]::ParameterName, 'Print only failures and warnings on stderr')
            [CompletionResult]::new('-v', '-v', [CompletionResultType]::ParameterName, 'Print more on stderr')
            [CompletionResult]::new('--verbose', '--verbose', [CompletionResultType]::ParameterName, 'Print more on stderr')
            [CompletionResult]::new('-h', '-h', [CompletionResultType]::ParameterName, 'Print help')
            [CompletionResult]::new('--help', '--help', [CompletionResultType]::ParameterName, 'Print help')
            break
        }
        'mcpid;sign' {
            [CompletionResult]::new('-k', '-k', [CompletionResultType]::ParameterName, 'The keyfile, or ssh-agent:ID for a key in the ssh-agent [env: MCPID_KEY]')
            [CompletionResult]::new('--key', '--key', [CompletionResultType]::ParameterName, 'The keyfile, or ssh-agent:ID for a key in the ssh-agent [env: MCPID_KEY]')
            [CompletionResult]::new('--profile', '--profile', [CompletionResultType]::ParameterName, 'The rules to sign by')
            [CompletionResult]::new('--client-id', '--client-id', [CompletionResultType]::ParameterName, 'The stable client id to send as tag, in place of the key id')
            [CompletionResult]::new('--cover', '--cover', [CompletionResultType]::ParameterName, 'Cover one more component, such as x-request-id or ''@authority''')
            [CompletionResult]::new('--no-cover', '--no-cover', [CompletionResultType]::ParameterName, 'Do not cover this component')
            [CompletionResult]::new('--label', '--label', [CompletionResultType]::ParameterName, 'The signature''s label')
            [CompletionResult]::new('--ttl', '--ttl', [CompletionResultType]::ParameterName, 'After how long the signature expires, or none; 30s under the profile mcp')
            [CompletionResult]::new('--at', '--at', [CompletionResultType]::ParameterName, 'Sign as of this time: RFC 3339 or @UNIX')
            [CompletionResult]::new('--format', '--format', [CompletionResultType]::ParameterName, 'How to print it [default: headers with --url, else http]')
            [CompletionResult]::new('--passphrase-file', '--passphrase-file', [CompletionResultType]::ParameterName, 'Read the passphrase from this file; one trailing newline is dropped')
            [CompletionResult]::new('--passphrase-fd', '--passphrase-fd', [CompletionResultType]::ParameterName, 'Read the passphrase from this open file descriptor; one trailing newline is dropped')
            [CompletionResult]::new('--url', '--url', [CompletionResultType]::ParameterName, 'Where the payload will be sent')
            [CompletionResult]::new('--method', '--method', [CompletionResultType]::ParameterName, 'The method of the request [default: POST]')
            [CompletionResult]::new('-H', '-H ', [CompletionResultType]::ParameterName, 'A header to send with it: ''Name: value'', or @FILE with one header on each line')
            [CompletionResult]::new('--header', '--header', [CompletionResultType]::ParameterName, 'A header to send with it: ''Name: value'', or @FILE with one header on each line')
            [CompletionResult]::new('--origin', '--origin', [CompletionResultType]::ParameterName, 'The scheme and host the request is meant for, such as https://mcp.example.com')
            [CompletionResult]::new('--replace', '--replace', [CompletionResultType]::ParameterName, 'Replace a signature of the same label in the request')
            [CompletionResult]::new('--json', '--json', [CompletionResultType]::ParameterName, 'Print results, and failures on stderr, as JSON')
            [CompletionResult]::new('-q', '-q', [CompletionResultType]::ParameterName, 'Print only failures and warnings on stderr')
            [CompletionResult]::new('--quiet', '--quiet', [CompletionResultType]::ParameterName, 'Print only failures and warnings on stderr')
            [CompletionResult]::new('-v', '-v', [CompletionResultType]::ParameterName, 'Print more on stderr')
            [CompletionResult]::new('--verbose', '--verbose', [CompletionResultType]::ParameterName, 'Print more on stderr')
            [CompletionResult]::new('-h', '-h', [CompletionResultType]::ParameterName, 'Print help (see more with ''--help'')')
            [CompletionResult]::new('--help', '--help', [CompletionResultType]::ParameterName, 'Print help (see more with ''--help'')')
            break
        }
        'mcpid;verify' {
            [CompletionResult]::new('-r', '-r', [CompletionResultType]::ParameterName, 'A trust file, or a folder of them; may be repeated [env: MCPID_TRUST]')
            [CompletionResult]::new('--trust', '--trust', [CompletionResultType]::ParameterName, 'A trust file, or a folder of them; may be repeated [env: MCPID_TRUST]')
            [CompletionResult]::new('--profile', '--profile', [CompletionResultType]::ParameterName, 'The rules to judge by')
            [CompletionResult]::new('--window', '--window', [CompletionResultType]::ParameterName, 'How old a signature may be; 30s under the profile mcp')
            [CompletionResult]::new('--ahead', '--ahead', [CompletionResultType]::ParameterName, 'How far the signer''s clock may be ahead; 5s under the profile mcp')
            [CompletionResult]::new('--require', '--require', [CompletionResultType]::ParameterName, 'Require one more component to be covered')
            [CompletionResult]::new('--allow-uncovered', '--allow-uncovered', [CompletionResultType]::ParameterName, 'Do not require this component to be covered')
            [CompletionResult]::new('--max-body', '--max-body', [CompletionResultType]::ParameterName, 'The largest body that is judged, in bytes or as 4MiB [default: 4MiB]')
            [CompletionResult]::new('--origin', '--origin', [CompletionResultType]::ParameterName, 'A scheme and host of this server, such as https://mcp.example.com; may be repeated')
            [CompletionResult]::new('--at', '--at', [CompletionResultType]::ParameterName, 'Judge as of this time: RFC 3339, @UNIX, or capture for the time in each request')
            [CompletionResult]::new('--nonces', '--nonces', [CompletionResultType]::ParameterName, 'Claim nonces in this store, such as sqlite:PATH (with --at, only look them up)')
            [CompletionResult]::new('--only', '--only', [CompletionResultType]::ParameterName, 'Judge only requests whose target begins with this text, and count the others')
            [CompletionResult]::new('--allow-evicting-store', '--allow-evicting-store', [CompletionResultType]::ParameterName, 'Use Redis servers that evict when full, so that a nonce can be used twice, unnoticed')
            [CompletionResult]::new('--raise-retention', '--raise-retention', [CompletionResultType]::ParameterName, 'Make the store keep nonces for longer, if this window needs it; the store is then closed to all its users for about that window')
            [CompletionResult]::new('--json', '--json', [CompletionResultType]::ParameterName, 'Print results, and failures on stderr, as JSON')
            [CompletionResult]::new('-q', '-q', [CompletionResultType]::ParameterName, 'Print only failures and warnings on stderr')
            [CompletionResult]::new('--quiet', '--quiet', [CompletionResultType]::ParameterName, 'Print only failures and warnings on stderr')
            [CompletionResult]::new('-v', '-v', [CompletionResultType]::ParameterName, 'Print more on stderr')
            [CompletionResult]::new('--verbose', '--verbose', [CompletionResultType]::ParameterName, 'Print more on stderr')
            [CompletionResult]::new('-h', '-h', [CompletionResultType]::ParameterName, 'Print help (see more with ''--help'')')
            [CompletionResult]::new('--help', '--help', [CompletionResultType]::ParameterName, 'Print help (see more with ''--help'')')
            break
        }
        'mcpid;inspect' {
            [CompletionResult]::new('--label', '--label', [CompletionResultType]::ParameterName, 'Look at the signature of this label only')
            [CompletionResult]::new('--at', '--at', [CompletionResultType]::ParameterName, 'Print ages as of this time: RFC 3339, @UNIX, or capture for the time in each request')
            [CompletionResult]::new('--nonces', '--nonces', [CompletionResultType]::ParameterName, 'Look nonces up in this store, such as sqlite:PATH')
            [CompletionResult]::new('--base', '--base', [CompletionResultType]::ParameterName, 'Print the signature base: exactly the bytes that were signed')
            [CompletionResult]::new('--allow-evicting-store', '--allow-evicting-store', [CompletionResultType]::ParameterName, 'Use Redis servers that evict when full, so that a nonce can be used twice, unnoticed')
            [CompletionResult]::new('--json', '--json', [CompletionResultType]::ParameterName, 'Print results, and failures on stderr, as JSON')
            [CompletionResult]::new('-q', '-q', [CompletionResultType]::ParameterName, 'Print only failures and warnings on stderr')
            [CompletionResult]::new('--quiet', '--quiet', [CompletionResultType]::ParameterName, 'Print only failures and warnings on stderr')
            [CompletionResult]::new('-v', '-v', [CompletionResultType]::ParameterName, 'Print more on stderr')
            [CompletionResult]::new('--verbose', '--verbose', [CompletionResultType]::ParameterName, 'Print more on stderr')
            [CompletionResult]::new('-h', '-h', [CompletionResultType]::ParameterName, 'Print help')
            [CompletionResult]::new('--help', '--help', [CompletionResultType]::ParameterName, 'Print help')
            break
        }
        'mcpid;export' {
            [CompletionResult]::new('-k', '-k', [CompletionResultType]::ParameterName, 'The keyfile, or ssh-agent:ID [env: MCPID_KEY]')
            [CompletionResult]::new('--key', '--key', [CompletionResultType]::ParameterName, 'The keyfile, or ssh-agent:ID [env: MCPID_KEY]')
            [CompletionResult]::new('--format', '--format', [CompletionResultType]::ParameterName, 'The form of the key')
            [CompletionResult]::new('--jwk-alg', '--jwk-alg', [CompletionResultType]::ParameterName, 'Give the JWK an alg member, for programs that require it')
            [CompletionResult]::new('--json', '--json', [CompletionResultType]::ParameterName, 'Print results, and failures on stderr, as JSON')
            [CompletionResult]::new('-q', '-q', [CompletionResultType]::ParameterName, 'Print only failures and warnings on stderr')
            [CompletionResult]::new('--quiet', '--quiet', [CompletionResultType]::ParameterName, 'Print only failures and warnings on stderr')
            [CompletionResult]::new('-v', '-v', [CompletionResultType]::ParameterName, 'Print more on stderr')
            [CompletionResult]::new('--verbose', '--verbose', [CompletionResultType]::ParameterName, 'Print more on stderr')
            [CompletionResult]::new('-h', '-h', [CompletionResultType]::ParameterName, 'Print help (see more with ''--help'')')
            [CompletionResult]::new('--help', '--help', [CompletionResultType]::ParameterName, 'Print help (see more with ''--help'')')
            break
        }
        'mcpid;passwd' {
            [CompletionResult]::new('-k', '-k', [CompletionResultType]::ParameterName, 'The keyfile [env: MCPID_KEY]')
            [CompletionResult]::new('--key', '--key', [CompletionResultType]::ParameterName, 'The keyfile [env: MCPID_KEY]')
            [CompletionResult]::new('--passphrase-file', '--passphrase-file', [CompletionResultType]::ParameterName, 'Read the passphrase from this file; one trailing newline is dropped')
            [CompletionResult]::new('--passphrase-fd', '--passphrase-fd', [CompletionResultType]::ParameterName, 'Read the passphrase from this open file descriptor; one trailing newline is dropped')
            [CompletionResult]::new('--new-passphrase-file', '--new-passphrase-file', [CompletionResultType]::ParameterName, 'Read the new passphrase from this file; one trailing newline is dropped')
            [CompletionResult]::new('--new-passphrase-fd', '--new-passphrase-fd', [CompletionResultType]::ParameterName, 'Read the new passphrase from this open file descriptor; one trailing newline is dropped')
            [CompletionResult]::new('--no-passphrase', '--no-passphrase', [CompletionResultType]::ParameterName, 'Do not encrypt any more: every program that can read the file can sign')
            [CompletionResult]::new('--weak', '--weak', [CompletionResultType]::ParameterName, 'Accept a new passphrase of under 8 characters')
            [CompletionResult]::new('--json', '--json', [CompletionResultType]::ParameterName, 'Print results, and failures on stderr, as JSON')
            [CompletionResult]::new('-q', '-q', [CompletionResultType]::ParameterName, 'Print only failures and warnings on stderr')
            [CompletionResult]::new('--quiet', '--quiet', [CompletionResultType]::ParameterName, 'Print only failures and warnings on stderr')
            [CompletionResult]::new('-v', '-v', [CompletionResultType]::ParameterName, 'Print more on stderr')
            [CompletionResult]::new('--verbose', '--verbose', [CompletionResultType]::ParameterName, 'Print more on stderr')
            [CompletionResult]::new('-h', '-h', [CompletionResultType]::ParameterName, 'Print help')
            [CompletionResult]::new('--help', '--help', [CompletionResultType]::ParameterName, 'Print help')
            break
        }
        'mcpid;trust' {
            [CompletionResult]::new('--json', '--json', [CompletionResultType]::ParameterName, 'Print results, and failures on stderr, as JSON')
            [CompletionResult]::new('-q', '-q', [CompletionResultType]::ParameterName, 'Print only failures and warnings on stderr')
            [CompletionResult]::new('--quiet', '--quiet', [CompletionResultType]::ParameterName, 'Print only failures and warnings on stderr')
            [CompletionResult]::new('-v', '-v', [CompletionResultType]::ParameterName, 'Print more on stderr')
            [CompletionResult]::new('--verbose', '--verbose', [CompletionResultType]::ParameterName, 'Print more on stderr')
            [CompletionResult]::new('-h', '-h', [CompletionResultType]::ParameterName, 'Print help')
            [CompletionResult]::new('--help', '--help', [CompletionResultType]::ParameterName, 'Print help')
            [CompletionResult]::new('add', 'add', [CompletionResultType]::ParameterValue, 'Trust a key')
            [CompletionResult]::new('list', 'list', [CompletionResultType]::ParameterValue, 'Show the keys of a trust file')
            [CompletionResult]::new('revoke', 'revoke', [CompletionResultType]::ParameterValue, 'Revoke a key, so that its signatures count no more')
            [CompletionResult]::new('remove', 'remove', [CompletionResultType]::ParameterValue, 'Remove a key, so that it is unknown')
            break
        }
        'mcpid;trust;add' {
            [CompletionResult]::new('-r', '-r', [CompletionResultType]::ParameterName, 'The trust file [env: MCPID_TRUST]')
            [CompletionResult]::new('--trust', '--trust', [CompletionResultType]::ParameterName, 'The trust file [env: MCPID_TRUST]')
            [CompletionResult]::new('--name', '--name', [CompletionResultType]::ParameterName, 'The name of the key [default: the name in the keyfile]')
            [CompletionResult]::new('--client-id', '--client-id', [CompletionResultType]::ParameterName, 'A client id that this key may send as tag, besides its key id; may be repeated')
            [CompletionResult]::new('--not-before', '--not-before', [CompletionResultType]::ParameterName, 'Not valid before this time: RFC 3339 or @UNIX')
            [CompletionResult]::new('--not-after', '--not-after', [CompletionResultType]::ParameterName, 'Not valid after this time: RFC 3339 or @UNIX')
            [CompletionResult]::new('--allow', '--allow', [CompletionResultType]::ParameterName, 'What the key may do, METHOD[:NAME], where * stands for any text; may be repeated [default: everything]')
            [CompletionResult]::new('--json', '--json', [CompletionResultType]::ParameterName, 'Print results, and failures on stderr, as JSON')
            [CompletionResult]::new('-q', '-q', [CompletionResultType]::ParameterName, 'Print only failures and warnings on stderr')
            [CompletionResult]::new('--quiet', '--quiet', [CompletionResultType]::ParameterName, 'Print only failures and warnings on stderr')
            [CompletionResult]::new('-v', '-v', [CompletionResultType]::ParameterName, 'Print more on stderr')
            [CompletionResult]::new('--verbose', '--verbose', [CompletionResultType]::ParameterName, 'Print more on stderr')
            [CompletionResult]::new('-h', '-h', [CompletionResultType]::ParameterName, 'Print help')
            [CompletionResult]::new('--help', '--help', [CompletionResultType]::ParameterName, 'Print help')
            break
        }
        'mcpid;trust;list' {
            [CompletionResult]::new('-r', '-r', [CompletionResultType]::ParameterName, 'The trust file [env: MCPID_TRUST]')
            [CompletionResult]::new('--trust', '--trust', [CompletionResultType]::ParameterName, 'The trust file [env: MCPID_TRUST]')
            [CompletionResult]::new('--json', '--json', [CompletionResultType]::ParameterName, 'Print results, and failures on stderr, as JSON')
            [CompletionResult]::new('-q', '-q', [CompletionResultType]::ParameterName, 'Print only failures and warnings on stderr')
            [CompletionResult]::new('--quiet', '--quiet', [CompletionResultType]::ParameterName, 'Print only failures and warnings on stderr')
            [CompletionResult]::new('-v', '-v', [CompletionResultType]::ParameterName, 'Print more on stderr')
            [CompletionResult]::new('--verbose', '--verbose', [CompletionResultType]::ParameterName, 'Print more on stderr')
            [CompletionResult]::new('-h', '-h', [CompletionResultType]::ParameterName, 'Print help')
            [CompletionResult]::new('--help', '--help', [CompletionResultType]::ParameterName, 'Print help')
            break
        }
        'mcpid;trust;revoke' {
            [CompletionResult]::new('-r', '-r', [CompletionResultType]::ParameterName, 'The trust file [env: MCPID_TRUST]')
            [CompletionResult]::new('--trust', '--trust', [CompletionResultType]::ParameterName, 'The trust file [env: MCPID_TRUST]')
            [CompletionResult]::new('--at', '--at', [CompletionResultType]::ParameterName, 'The time of the revocation: RFC 3339 or @UNIX [default: now]')
            [CompletionResult]::new('--json', '--json', [CompletionResultType]::ParameterName, 'Print results, and failures on stderr, as JSON')
            [CompletionResult]::new('-q', '-q', [CompletionResultType]::ParameterName, 'Print only failures and warnings on stderr')
            [CompletionResult]::new('--quiet', '--quiet', [CompletionResultType]::ParameterName, 'Print only failures and warnings on stderr')
            [CompletionResult]::new('-v', '-v', [CompletionResultType]::ParameterName, 'Print more on stderr')
            [CompletionResult]::new('--verbose', '--verbose', [CompletionResultType]::ParameterName, 'Print more on stderr')
            [CompletionResult]::new('-h', '-h', [CompletionResultType]::ParameterName, 'Print help')
            [CompletionResult]::new('--help', '--help', [CompletionResultType]::ParameterName, 'Print help')
            break
        }
        'mcpid;trust;remove' {
            [CompletionResult]::new('-r', '-r', [CompletionResultType]::ParameterName, 'The trust file [env: MCPID_TRUST]')
            [CompletionResult]::new('--trust', '--trust', [CompletionResultType]::ParameterName, 'The trust file [env: MCPID_TRUST]')
            [CompletionResult]::new('--json', '--json', [CompletionResultType]::ParameterName, 'Print results, and failures on stderr, as JSON')
            [CompletionResult]::new('-q', '-q', [CompletionResultType]::ParameterName, 'Print only failures and warnings on stderr')
            [CompletionResult]::new('--quiet', '--quiet', [CompletionResultType]::ParameterName, 'Print only failures and warnings on stderr')
            [CompletionResult]::new('-v', '-v', [CompletionResultType]::ParameterName, 'Print more on stderr')
            [CompletionResult]::new('--verbose', '--verbose', [CompletionResultType]::ParameterName, 'Print more on stderr')
            [CompletionResult]::new('-h', '-h', [CompletionResultType]::ParameterName, 'Print help')
            [CompletionResult]::new('--help', '--help', [CompletionResultType]::ParameterName, 'Print help')
            break
        }
        'mcpid;nonce' {
            [CompletionResult]::new('--json', '--json', [CompletionResultType]::ParameterName, 'Print results, and failures on stderr, as JSON')
            [CompletionResult]::new('-q', '-q', [CompletionResultType]::ParameterName, 'Print only failures and warnings on stderr')
            [CompletionResult]::new('--quiet', '--quiet', [CompletionResultType]::ParameterName, 'Print only failures and warnings on stderr')
            [CompletionResult]::new('-v', '-v', [CompletionResultType]::ParameterName, 'Print more on stderr')
            [CompletionResult]::new('--verbose', '--verbose', [CompletionResultType]::ParameterName, 'Print more on stderr')
            [CompletionResult]::new('-h', '-h', [CompletionResultType]::ParameterName, 'Print help')
            [CompletionResult]::new('--help', '--help', [CompletionResultType]::ParameterName, 'Print help')
            [CompletionResult]::new('list', 'list', [CompletionResultType]::ParameterValue, 'Show which nonces are kept, and until when')
            [CompletionResult]::new('prune', 'prune', [CompletionResultType]::ParameterValue, 'Remove expired nonces')
            break
        }
        'mcpid;nonce;list' {
            [CompletionResult]::new('--nonces', '--nonces', [CompletionResultType]::ParameterName, 'The store, such as sqlite:PATH [env: MCPID_NONCES]')
            [CompletionResult]::new('--allow-evicting-store', '--allow-evicting-store', [CompletionResultType]::ParameterName, 'Use Redis servers that evict when full, so that a nonce can be used twice, unnoticed')
            [CompletionResult]::new('--json', '--json', [CompletionResultType]::ParameterName, 'Print results, and failures on stderr, as JSON')
            [CompletionResult]::new('-q', '-q', [CompletionResultType]::ParameterName, 'Print only failures and warnings on stderr')
            [CompletionResult]::new('--quiet', '--quiet', [CompletionResultType]::ParameterName, 'Print only failures and warnings on stderr')
            [CompletionResult]::new('-v', '-v', [CompletionResultType]::ParameterName, 'Print more on stderr')
            [CompletionResult]::new('--verbose', '--verbose', [CompletionResultType]::ParameterName, 'Print more on stderr')
            [CompletionResult]::new('-h', '-h', [CompletionResultType]::ParameterName, 'Print help')
            [CompletionResult]::new('--help', '--help', [CompletionResultType]::ParameterName, 'Print help')
            break
        }
        'mcpid;nonce;prune' {
            [CompletionResult]::new('--nonces', '--nonces', [CompletionResultType]::ParameterName, 'The store, such as sqlite:PATH [env: MCPID_NONCES]')
            [CompletionResult]::new('--allow-evicting-store', '--allow-evicting-store', [CompletionResultType]::ParameterName, 'Use Redis servers that evict when full, so that a nonce can be used twice, unnoticed')
            [CompletionResult]::new('--json', '--json', [CompletionResultType]::ParameterName, 'Print results, and failures on stderr, as JSON')
            [CompletionResult]::new('-q', '-q', [CompletionResultType]::ParameterName, 'Print only failures and warnings on stderr')
            [CompletionResult]::new('--quiet', '--quiet', [CompletionResultType]::ParameterName, 'Print only failures and warnings on stderr')
            [CompletionResult]::new('-v', '-v', [CompletionResultType]::ParameterName, 'Print more on stderr')
            [CompletionResult]::new('--verbose', '--verbose', [CompletionResultType]::ParameterName, 'Print more on stderr')
            [CompletionResult]::new('-h', '-h', [CompletionResultType]::ParameterName, 'Print help')
            [CompletionResult]::new('--help', '--help', [CompletionResultType]::ParameterName, 'Print help')
            break
        }
        'mcpid;gateway' {
            [CompletionResult]::new('--config', '--config', [CompletionResultType]::ParameterName, 'A TOML file with settings that are not given by flags')
            [CompletionResult]::new('--upstream', '--upstream', [CompletionResultType]::ParameterName, 'The MCP server: http://HOST[:PORT]/PATH, https://…, or unix:SOCKET')
            [CompletionResult]::new('--listen', '--listen', [CompletionResultType]::ParameterName, 'Where to listen [default: 127.0.0.1:8080]')
            [CompletionResult]::new('-r', '-r', [CompletionResultType]::ParameterName, 'A trust file, or a folder of them; may be repeated [env: MCPID_TRUST]')
            [CompletionResult]::new('--trust', '--trust', [CompletionResultType]::ParameterName, 'A trust file, or a folder of them; may be repeated [env: MCPID_TRUST]')
            [CompletionResult]::new('--profile', '--profile', [CompletionResultType]::ParameterName, 'The rules to judge by')
            [CompletionResult]::new('--window', '--window', [CompletionResultType]::ParameterName, 'How old a signature may be; 30s under the profile mcp')
            [CompletionResult]::new('--ahead', '--ahead', [CompletionResultType]::ParameterName, 'How far the signer''s clock may be ahead; 5s under the profile mcp')
            [CompletionResult]::new('--require', '--require', [CompletionResultType]::ParameterName, 'Require one more component to be covered')
            [CompletionResult]::new('--allow-uncovered', '--allow-uncovered', [CompletionResultType]::ParameterName, 'Do not require this component to be covered')
            [CompletionResult]::new('--max-body', '--max-body', [CompletionResultType]::ParameterName, 'The largest body that is judged, in bytes or as 4MiB [default: 4MiB]')
            [CompletionResult]::new('--origin', '--origin', [CompletionResultType]::ParameterName, 'A scheme and host of this server, such as https://mcp.example.com; may be repeated')
            [CompletionResult]::new('--nonces', '--nonces', [CompletionResultType]::ParameterName, 'Where used nonces are kept: memory:, sqlite:PATH, redis://HOST… [env: MCPID_NONCES] [default: a file of this user]')
            [CompletionResult]::new('--mode', '--mode', [CompletionResultType]::ParameterName, 'What to do with requests that are not verified')
            [CompletionResult]::new('--strict', '--strict', [CompletionResultType]::ParameterName, 'Refuse unverified requests for METHOD[:NAME], where * stands for any text, or for all tools that the server''s own list does not call harmless (destructive); may be repeated')
            [CompletionResult]::new('--permissive', '--permissive', [CompletionResultType]::ParameterName, 'Let unverified requests for METHOD[:NAME] through, except where --strict applies; may be repeated')
            [CompletionResult]::new('--refuse-with', '--refuse-with', [CompletionResultType]::ParameterName, 'The status of a refusal')
            [CompletionResult]::new('--realm', '--realm', [CompletionResultType]::ParameterName, 'The realm that a 401 names [default: mcp]')
            [CompletionResult]::new('--path', '--path', [CompletionResultType]::ParameterName, 'The path of the endpoint [default: that of the upstream]')
            [CompletionResult]::new('--open', '--open', [CompletionResultType]::ParameterName, 'Pass [METHOD ]PATH through without a signature; /* at its end includes all paths below; may be repeated')
            [CompletionResult]::new('--allow-origin', '--allow-origin', [CompletionResultType]::ParameterName, 'A web origin beside --origin whose pages may send requests; turns on answers to browsers (CORS); may be repeated')
            [CompletionResult]::new('--trusted-proxy', '--trusted-proxy', [CompletionResultType]::ParameterName, 'Take the client''s address in the log from the X-Forwarded-For of proxies at this address or network, or of those at the Unix socket (unix); may be repeated')
            [CompletionResult]::new('--tls-cert', '--tls-cert', [CompletionResultType]::ParameterName, 'A PEM file of certificates to present, the server''s own first; turns on TLS')
            [CompletionResult]::new('--tls-key', '--tls-key', [CompletionResultType]::ParameterName, 'A PEM file of their private key')
            [CompletionResult]::new('--upstream-ca', '--upstream-ca', [CompletionResultType]::ParameterName, 'A PEM file of the authorities to trust for an https upstream, in place of those of this machine')
            [CompletionResult]::new('--log', '--log', [CompletionResultType]::ParameterName, 'Append one JSON line for each request to this file, not to stdout; opened anew on SIGHUP')
            [CompletionResult]::new('--admin', '--admin', [CompletionResultType]::ParameterName, 'The address at which to serve /healthz, /readyz and /metrics')
            [CompletionResult]::new('--max-connections', '--max-connections', [CompletionResultType]::ParameterName, 'Connections at the same time, and as many requests to the server [default: 10000, or what the limit on open files allows]')
            [CompletionResult]::new('--budget', '--budget', [CompletionResultType]::ParameterName, 'Bytes of bodies that may wait for their verdict, of all requests together; the last quarter is kept for valid signatures [default: 256MiB]')
            [CompletionResult]::new('--head-timeout', '--head-timeout', [CompletionResultType]::ParameterName, 'How long a client may take to send a request''s head [default: 10s]')
            [CompletionResult]::new('--body-timeout', '--body-timeout', [CompletionResultType]::ParameterName, 'How long a client may take to send a request''s body [default: 30s]')
            [CompletionResult]::new('--idle-timeout', '--idle-timeout', [CompletionResultType]::ParameterName, 'How long a connection may be idle, or its client may read nothing of a response [default: 75s]')
            [CompletionResult]::new('--connect-timeout', '--connect-timeout', [CompletionResultType]::ParameterName, 'How long connecting to the server may take [default: 5s]')
            [CompletionResult]::new('--answer-timeout', '--answer-timeout', [CompletionResultType]::ParameterName, 'How long the server may take to begin its answer [default: 5m]')
            [CompletionResult]::new('--drain-timeout', '--drain-timeout', [CompletionResultType]::ParameterName, 'How long requests in flight may take after the gateway was told to stop [default: 30s]')
            [CompletionResult]::new('--audit', '--audit', [CompletionResultType]::ParameterName, 'Write every request to the audit log in this folder (see mcpid audit init)')
            [CompletionResult]::new('--audit-policy', '--audit-policy', [CompletionResultType]::ParameterName, 'What happens to a request that cannot be written to the log [default: required]')
            [CompletionResult]::new('--audit-redact', '--audit-redact', [CompletionResultType]::ParameterName, 'Keep a salted hash in place of the part of a body that METHOD:NAME:PATH names, such as tools/call:*:arguments.password; may be repeated')
            [CompletionResult]::new('--audit-sync', '--audit-sync', [CompletionResultType]::ParameterName, 'When an entry counts as written [default: batch]')
            [CompletionResult]::new('--witness-policy', '--witness-policy', [CompletionResultType]::ParameterName, 'Let the witnesses of this policy (C2SP tlog-policy) cosign each checkpoint of the log')
            [CompletionResult]::new('--check-config', '--check-config', [CompletionResultType]::ParameterName, 'Check flags, configuration, trust files and certificates, and exit')
            [CompletionResult]::new('--allow-evicting-store', '--allow-evicting-store', [CompletionResultType]::ParameterName, 'Use Redis servers that evict when full, so that a nonce can be used twice, unnoticed')
            [CompletionResult]::new('--raise-retention', '--raise-retention', [CompletionResultType]::ParameterName, 'Make the store keep nonces for longer, if this window needs it; the store is then closed to all its users for about that window')
            [CompletionResult]::new('--preserve-host', '--preserve-host', [CompletionResultType]::ParameterName, 'Pass on Host and Origin as the client sent them')
            [CompletionResult]::new('--allow-remote-upstream', '--allow-remote-upstream', [CompletionResultType]::ParameterName, 'Send to another machine by plain http, where an attacker on the network can forge Mcpid-Status')
            [CompletionResult]::new('--allow-remote-admin', '--allow-remote-admin', [CompletionResultType]::ParameterName, 'Allow an --admin address that other machines can reach')
            [CompletionResult]::new('--audit-bodies', '--audit-bodies', [CompletionResultType]::ParameterName, 'Keep bodies as well as their digests')
            [CompletionResult]::new('--json', '--json', [CompletionResultType]::ParameterName, 'Print results, and failures on stderr, as JSON')
            [CompletionResult]::new('-q', '-q', [CompletionResultType]::ParameterName, 'Print only failures and warnings on stderr')
            [CompletionResult]::new('--quiet', '--quiet', [CompletionResultType]::ParameterName, 'Print only failures and warnings on stderr')
            [CompletionResult]::new('-v', '-v', [CompletionResultType]::ParameterName, 'Print more on stderr')
            [CompletionResult]::new('--verbose', '--verbose', [CompletionResultType]::ParameterName, 'Print more on stderr')
            [CompletionResult]::new('-h', '-h', [CompletionResultType]::ParameterName, 'Print help (see more with ''--help'')')
            [CompletionResult]::new('--help', '--help', [CompletionResultType]::ParameterName, 'Print help (see more with ''--help'')')
            [CompletionResult]::new('report', 'report', [CompletionResultType]::ParameterValue, 'Report from a gateway''s log what strict would refuse, and why')
            break
        }
        'mcpid;gateway;report' {
            [CompletionResult]::new('--html', '--html', [CompletionResultType]::ParameterName, 'Write one self-contained page to this file, or to stdout for -; only an older report is replaced')
            [CompletionResult]::new('--since', '--since', [CompletionResultType]::ParameterName, 'Only lines from this time on: RFC 3339, @UNIX, a date (its begin, UTC), or an age such as 24h')
            [CompletionResult]::new('--until', '--until', [CompletionResultType]::ParameterName, 'Only lines before this time, in the same forms')
            [CompletionResult]::new('--json', '--json', [CompletionResultType]::ParameterName, 'Print results, and failures on stderr, as JSON')
            [CompletionResult]::new('-q', '-q', [CompletionResultType]::ParameterName, 'Print only failures and warnings on stderr')
            [CompletionResult]::new('--quiet', '--quiet', [CompletionResultType]::ParameterName, 'Print only failures and warnings on stderr')
            [CompletionResult]::new('-v', '-v', [CompletionResultType]::ParameterName, 'Print more on stderr')
            [CompletionResult]::new('--verbose', '--verbose', [CompletionResultType]::ParameterName, 'Print more on stderr')
            [CompletionResult]::new('-h', '-h', [CompletionResultType]::ParameterName, 'Print help')
            [CompletionResult]::new('--help', '--help', [CompletionResultType]::ParameterName, 'Print help')
            break
        }
        'mcpid;connect' {
            [CompletionResult]::new('-k', '-k', [CompletionResultType]::ParameterName, 'The keyfile, or ssh-agent:ID for a key in the ssh-agent [env: MCPID_KEY]')
            [CompletionResult]::new('--key', '--key', [CompletionResultType]::ParameterName, 'The keyfile, or ssh-agent:ID for a key in the ssh-agent [env: MCPID_KEY]')
            [CompletionResult]::new('--profile', '--profile', [CompletionResultType]::ParameterName, 'The rules to sign by')
            [CompletionResult]::new('--client-id', '--client-id', [CompletionResultType]::ParameterName, 'The stable client id to send as tag, in place of the key id')
            [CompletionResult]::new('--ttl', '--ttl', [CompletionResultType]::ParameterName, 'After how long a signature expires, or none; 30s under the profile mcp')
            [CompletionResult]::new('-H', '-H ', [CompletionResultType]::ParameterName, 'A header to send with every request: ''Name: value'', or @FILE with one header on each line')
            [CompletionResult]::new('--header', '--header', [CompletionResultType]::ParameterName, 'A header to send with every request: ''Name: value'', or @FILE with one header on each line')
            [CompletionResult]::new('--max-body', '--max-body', [CompletionResultType]::ParameterName, 'The largest message that is signed, in bytes or as 4MiB [default: 4MiB]')
            [CompletionResult]::new('--timeout', '--timeout', [CompletionResultType]::ParameterName, 'How long the server may be silent before a request is given up [default: 15m]')
            [CompletionResult]::new('--ca', '--ca', [CompletionResultType]::ParameterName, 'A PEM file of the authorities to trust for TLS, in place of those of this machine')
            [CompletionResult]::new('--log-file', '--log-file', [CompletionResultType]::ParameterName, 'Write the log into this file instead of to stderr')
            [CompletionResult]::new('--print-config', '--print-config', [CompletionResultType]::ParameterName, 'Print the configuration that makes a client start this command, and exit')
            [CompletionResult]::new('--passphrase-file', '--passphrase-file', [CompletionResultType]::ParameterName, 'Read the passphrase from this file; one trailing newline is dropped')
            [CompletionResult]::new('--passphrase-fd', '--passphrase-fd', [CompletionResultType]::ParameterName, 'Read the passphrase from this open file descriptor; one trailing newline is dropped')
            [CompletionResult]::new('--listen', '--listen', [CompletionResultType]::ParameterName, 'Serve HTTP to the client: 127.0.0.1:PORT, port 0 for a free one, or unix:PATH')
            [CompletionResult]::new('--allow-origin', '--allow-origin', [CompletionResultType]::ParameterName, 'Accept requests from web pages of this origin, if they know the URL')
            [CompletionResult]::new('--confirm', '--confirm', [CompletionResultType]::ParameterName, 'Ask a person before signing a request that this pattern matches, or a call of a destructive tool')
            [CompletionResult]::new('--confirm-via', '--confirm-via', [CompletionResultType]::ParameterName, 'How to ask [default: MCPID_ASKPASS, else the terminal if no other program uses it, else SSH_ASKPASS]')
            [CompletionResult]::new('--confirm-timeout', '--confirm-timeout', [CompletionResultType]::ParameterName, 'How long the person has to answer; silence counts as no [default: 60s]')
            [CompletionResult]::new('--audit', '--audit', [CompletionResultType]::ParameterName, 'Write every request to the audit log in this folder (see mcpid audit init)')
            [CompletionResult]::new('--audit-policy', '--audit-policy', [CompletionResultType]::ParameterName, 'What happens to a request that cannot be written to the log [default: required]')
            [CompletionResult]::new('--audit-redact', '--audit-redact', [CompletionResultType]::ParameterName, 'Keep a salted hash in place of the part of a body that METHOD:NAME:PATH names, such as tools/call:*:arguments.password; may be repeated')
            [CompletionResult]::new('--audit-sync', '--audit-sync', [CompletionResultType]::ParameterName, 'When an entry counts as written [default: batch]')
            [CompletionResult]::new('--witness-policy', '--witness-policy', [CompletionResultType]::ParameterName, 'Let the witnesses of this policy (C2SP tlog-policy) cosign each checkpoint of the log')
            [CompletionResult]::new('--check', '--check', [CompletionResultType]::ParameterName, 'Try the server once, report what a client would meet there, and exit')
            [CompletionResult]::new('--allow-remote', '--allow-remote', [CompletionResultType]::ParameterName, 'Allow an address to listen on that other machines can reach')
            [CompletionResult]::new('--audit-bodies', '--audit-bodies', [CompletionResultType]::ParameterName, 'Keep bodies as well as their digests')
            [CompletionResult]::new('--json', '--json', [CompletionResultType]::ParameterName, 'Print results, and failures on stderr, as JSON')
            [CompletionResult]::new('-q', '-q', [CompletionResultType]::ParameterName, 'Print only failures and warnings on stderr')
            [CompletionResult]::new('--quiet', '--quiet', [CompletionResultType]::ParameterName, 'Print only failures and warnings on stderr')
            [CompletionResult]::new('-v', '-v', [CompletionResultType]::ParameterName, 'Print more on stderr')
            [CompletionResult]::new('--verbose', '--verbose', [CompletionResultType]::ParameterName, 'Print more on stderr')
            [CompletionResult]::new('-h', '-h', [CompletionResultType]::ParameterName, 'Print help (see more with ''--help'')')
            [CompletionResult]::new('--help', '--help', [CompletionResultType]::ParameterName, 'Print help (see more with ''--help'')')
            break
        }
        'mcpid;agent' {
            [CompletionResult]::new('--json', '--json', [CompletionResultType]::ParameterName, 'Print results, and failures on stderr, as JSON')
            [CompletionResult]::new('-q', '-q', [CompletionResultType]::ParameterName, 'Print only failures and warnings on stderr')
            [CompletionResult]::new('--quiet', '--quiet', [CompletionResultType]::ParameterName, 'Print only failures and warnings on stderr')
            [CompletionResult]::new('-v', '-v', [CompletionResultType]::ParameterName, 'Print more on stderr')
            [CompletionResult]::new('--verbose', '--verbose', [CompletionResultType]::ParameterName, 'Print more on stderr')
            [CompletionResult]::new('-h', '-h', [CompletionResultType]::ParameterName, 'Print help')
            [CompletionResult]::new('--help', '--help', [CompletionResultType]::ParameterName, 'Print help')
            [CompletionResult]::new('add', 'add', [CompletionResultType]::ParameterValue, 'Put a keyfile''s key into the ssh-agent')
            break
        }
        'mcpid;agent;add' {
            [CompletionResult]::new('-k', '-k', [CompletionResultType]::ParameterName, 'The keyfile [env: MCPID_KEY]')
            [CompletionResult]::new('--key', '--key', [CompletionResultType]::ParameterName, 'The keyfile [env: MCPID_KEY]')
            [CompletionResult]::new('--lifetime', '--lifetime', [CompletionResultType]::ParameterName, 'Have the agent forget the key after this time')
            [CompletionResult]::new('--passphrase-file', '--passphrase-file', [CompletionResultType]::ParameterName, 'Read the passphrase from this file; one trailing newline is dropped')
            [CompletionResult]::new('--passphrase-fd', '--passphrase-fd', [CompletionResultType]::ParameterName, 'Read the passphrase from this open file descriptor; one trailing newline is dropped')
            [CompletionResult]::new('--ask', '--ask', [CompletionResultType]::ParameterName, 'Have the agent ask a person before each signature, by its askpass program')
            [CompletionResult]::new('--json', '--json', [CompletionResultType]::ParameterName, 'Print results, and failures on stderr, as JSON')
            [CompletionResult]::new('-q', '-q', [CompletionResultType]::ParameterName, 'Print only failures and warnings on stderr')
            [CompletionResult]::new('--quiet', '--quiet', [CompletionResultType]::ParameterName, 'Print only failures and warnings on stderr')
            [CompletionResult]::new('-v', '-v', [CompletionResultType]::ParameterName, 'Print more on stderr')
            [CompletionResult]::new('--verbose', '--verbose', [CompletionResultType]::ParameterName, 'Print more on stderr')
            [CompletionResult]::new('-h', '-h', [CompletionResultType]::ParameterName, 'Print help')
            [CompletionResult]::new('--help', '--help', [CompletionResultType]::ParameterName, 'Print help')
            break
        }
        'mcpid;audit' {
            [CompletionResult]::new('--json', '--json', [CompletionResultType]::ParameterName, 'Print results, and failures on stderr, as JSON')
            [CompletionResult]::new('-q', '-q', [CompletionResultType]::ParameterName, 'Print only failures and warnings on stderr')
            [CompletionResult]::new('--quiet', '--quiet', [CompletionResultType]::ParameterName, 'Print only failures and warnings on stderr')
            [CompletionResult]::new('-v', '-v', [CompletionResultType]::ParameterName, 'Print more on stderr')
            [CompletionResult]::new('--verbose', '--verbose', [CompletionResultType]::ParameterName, 'Print more on stderr')
            [CompletionResult]::new('-h', '-h', [CompletionResultType]::ParameterName, 'Print help')
            [CompletionResult]::new('--help', '--help', [CompletionResultType]::ParameterName, 'Print help')
            [CompletionResult]::new('init', 'init', [CompletionResultType]::ParameterValue, 'Make a log and its key')
            [CompletionResult]::new('verify', 'verify', [CompletionResultType]::ParameterValue, 'Check a whole log')
            [CompletionResult]::new('show', 'show', [CompletionResultType]::ParameterValue, 'Show entries, or one of them')
            [CompletionResult]::new('prove', 'prove', [CompletionResultType]::ParameterValue, 'Write one entry''s evidence into a file of its own')
            [CompletionResult]::new('check', 'check', [CompletionResultType]::ParameterValue, 'Check the evidence of one entry, offline')
            [CompletionResult]::new('consistency', 'consistency', [CompletionResultType]::ParameterValue, 'Check that a log has only grown between two checkpoints')
            [CompletionResult]::new('cosign', 'cosign', [CompletionResultType]::ParameterValue, 'Sign a checkpoint as a witness')
            [CompletionResult]::new('archive', 'archive', [CompletionResultType]::ParameterValue, 'Move old entries out of a log, packed')
            [CompletionResult]::new('erase', 'erase', [CompletionResultType]::ParameterValue, 'Erase one entry')
            [CompletionResult]::new('witness', 'witness', [CompletionResultType]::ParameterValue, 'Let witnesses cosign the latest checkpoint of a log')
            break
        }
        'mcpid;audit;init' {
            [CompletionResult]::new('--audit', '--audit', [CompletionResultType]::ParameterName, 'The folder of the log [default: a folder of this user]')
            [CompletionResult]::new('--name', '--name', [CompletionResultType]::ParameterName, 'The name of the log, which stands in each of its checkpoints; no white space, no plus signs')
            [CompletionResult]::new('--after', '--after', [CompletionResultType]::ParameterName, 'The log that this one follows: the folder of a log whose last entry names this one, or a checkpoint of a log that is lost or damaged and therefore abandoned')
            [CompletionResult]::new('--log-key', '--log-key', [CompletionResultType]::ParameterName, 'The public key of an abandoned log [default: log-key.pub beside the checkpoint]')
            [CompletionResult]::new('--json', '--json', [CompletionResultType]::ParameterName, 'Print results, and failures on stderr, as JSON')
            [CompletionResult]::new('-q', '-q', [CompletionResultType]::ParameterName, 'Print only failures and warnings on stderr')
            [CompletionResult]::new('--quiet', '--quiet', [CompletionResultType]::ParameterName, 'Print only failures and warnings on stderr')
            [CompletionResult]::new('-v', '-v', [CompletionResultType]::ParameterName, 'Print more on stderr')
            [CompletionResult]::new('--verbose', '--verbose', [CompletionResultType]::ParameterName, 'Print more on stderr')
            [CompletionResult]::new('-h', '-h', [CompletionResultType]::ParameterName, 'Print help')
            [CompletionResult]::new('--help', '--help', [CompletionResultType]::ParameterName, 'Print help')
            break
        }
        'mcpid;audit;verify' {
            [CompletionResult]::new('--audit', '--audit', [CompletionResultType]::ParameterName, 'The folder of the log [default: a folder of this user]')
            [CompletionResult]::new('--archive', '--archive', [CompletionResultType]::ParameterName, 'A folder with entries that mcpid audit archive has moved out of the log; may be repeated')
            [CompletionResult]::new('--log-key', '--log-key', [CompletionResultType]::ParameterName, 'The log''s public key, NAME+HASH+KEY, or a file that holds it; never taken from the log')
            [CompletionResult]::new('--checkpoint', '--checkpoint', [CompletionResultType]::ParameterName, 'A checkpoint that was kept elsewhere; may be repeated')
            [CompletionResult]::new('--witness', '--witness', [CompletionResultType]::ParameterName, 'The public key of a witness, or a file that holds it; a checkpoint that it cosigned counts as kept elsewhere; may be repeated')
            [CompletionResult]::new('--witness-policy', '--witness-policy', [CompletionResultType]::ParameterName, 'Demand cosignatures by the quorum of this policy (C2SP tlog-policy)')
            [CompletionResult]::new('-r', '-r', [CompletionResultType]::ParameterName, 'Your own trust files. An entry is good only if one of them has its key, since a log can name any key as it likes; may be repeated')
            [CompletionResult]::new('--trust', '--trust', [CompletionResultType]::ParameterName, 'Your own trust files. An entry is good only if one of them has its key, since a log can name any key as it likes; may be repeated')
            [CompletionResult]::new('--profile', '--profile', [CompletionResultType]::ParameterName, 'The rules to judge by [default: the log''s own, unless they are laxer than the default profile]')
            [CompletionResult]::new('--window', '--window', [CompletionResultType]::ParameterName, 'The longest window that the log may use [default: that of the profile]')
            [CompletionResult]::new('--ahead', '--ahead', [CompletionResultType]::ParameterName, 'How far ahead the log may let a signer''s clock be [default: that of the profile]')
            [CompletionResult]::new('--require', '--require', [CompletionResultType]::ParameterName, 'Require this component to be covered too; may be repeated')
            [CompletionResult]::new('--allow-uncovered', '--allow-uncovered', [CompletionResultType]::ParameterName, 'Do not require this component to be covered; may be repeated')
            [CompletionResult]::new('--origin', '--origin', [CompletionResultType]::ParameterName, 'Accept only requests to this origin; may be repeated')
            [CompletionResult]::new('--predecessor', '--predecessor', [CompletionResultType]::ParameterName, 'An earlier log, to be verified together with this one, also against its own checkpoints among those that were given; may be repeated')
            [CompletionResult]::new('--allow-clock', '--allow-clock', [CompletionResultType]::ParameterName, 'Accept the times of entries where the log''s clock was set back or forth')
            [CompletionResult]::new('--allow-erased', '--allow-erased', [CompletionResultType]::ParameterName, 'Count entries that were erased, as the log says, as good')
            [CompletionResult]::new('--all', '--all', [CompletionResultType]::ParameterName, 'List every finding, not only the first')
            [CompletionResult]::new('--json', '--json', [CompletionResultType]::ParameterName, 'Print results, and failures on stderr, as JSON')
            [CompletionResult]::new('-q', '-q', [CompletionResultType]::ParameterName, 'Print only failures and warnings on stderr')
            [CompletionResult]::new('--quiet', '--quiet', [CompletionResultType]::ParameterName, 'Print only failures and warnings on stderr')
            [CompletionResult]::new('-v', '-v', [CompletionResultType]::ParameterName, 'Print more on stderr')
            [CompletionResult]::new('--verbose', '--verbose', [CompletionResultType]::ParameterName, 'Print more on stderr')
            [CompletionResult]::new('-h', '-h', [CompletionResultType]::ParameterName, 'Print help (see more with ''--help'')')
            [CompletionResult]::new('--help', '--help', [CompletionResultType]::ParameterName, 'Print help (see more with ''--help'')')
            break
        }
        'mcpid;audit;show' {
            [CompletionResult]::new('--audit', '--audit', [CompletionResultType]::ParameterName, 'The folder of the log [default: a folder of this user]')
            [CompletionResult]::new('--archive', '--archive', [CompletionResultType]::ParameterName, 'A folder with entries that mcpid audit archive has moved out of the log; may be repeated')
            [CompletionResult]::new('--key', '--key', [CompletionResultType]::ParameterName, 'Only requests that the key of this id or name signed')
            [CompletionResult]::new('--tool', '--tool', [CompletionResultType]::ParameterName, 'Only requests for the tool, prompt, resource or task of this name; * stands for any text')
            [CompletionResult]::new('--status', '--status', [CompletionResultType]::ParameterName, 'Only requests with this verdict or code: verified, refused, would_refuse, signed, expired, …')
            [CompletionResult]::new('--since', '--since', [CompletionResultType]::ParameterName, 'Only entries from this time on: RFC 3339, @UNIX, a date (its begin, UTC), or an age such as 24h')
            [CompletionResult]::new('--until', '--until', [CompletionResultType]::ParameterName, 'Only entries before this time, in the same forms')
            [CompletionResult]::new('--format', '--format', [CompletionResultType]::ParameterName, 'How to write entries [default: a table]')
            [CompletionResult]::new('--json', '--json', [CompletionResultType]::ParameterName, 'Print results, and failures on stderr, as JSON')
            [CompletionResult]::new('-q', '-q', [CompletionResultType]::ParameterName, 'Print only failures and warnings on stderr')
            [CompletionResult]::new('--quiet', '--quiet', [CompletionResultType]::ParameterName, 'Print only failures and warnings on stderr')
            [CompletionResult]::new('-v', '-v', [CompletionResultType]::ParameterName, 'Print more on stderr')
            [CompletionResult]::new('--verbose', '--verbose', [CompletionResultType]::ParameterName, 'Print more on stderr')
            [CompletionResult]::new('-h', '-h', [CompletionResultType]::ParameterName, 'Print help (see more with ''--help'')')
            [CompletionResult]::new('--help', '--help', [CompletionResultType]::ParameterName, 'Print help (see more with ''--help'')')
            break
        }
        'mcpid;audit;prove' {
            [CompletionResult]::new('--audit', '--audit', [CompletionResultType]::ParameterName, 'The folder of the log [default: a folder of this user]')
            [CompletionResult]::new('--archive', '--archive', [CompletionResultType]::ParameterName, 'A folder with entries that mcpid audit archive has moved out of the log; may be repeated')
            [CompletionResult]::new('--checkpoint', '--checkpoint', [CompletionResultType]::ParameterName, 'The checkpoint that the proof leads to [default: the log''s cosigned one, else the latest]')
            [CompletionResult]::new('--format', '--format', [CompletionResultType]::ParameterName, 'How to write it [default: evidence]')
            [CompletionResult]::new('-o', '-o', [CompletionResultType]::ParameterName, 'Where to write it [default: stdout]')
            [CompletionResult]::new('--output', '--output', [CompletionResultType]::ParameterName, 'Where to write it [default: stdout]')
            [CompletionResult]::new('--json', '--json', [CompletionResultType]::ParameterName, 'Print results, and failures on stderr, as JSON')
            [CompletionResult]::new('-q', '-q', [CompletionResultType]::ParameterName, 'Print only failures and warnings on stderr')
            [CompletionResult]::new('--quiet', '--quiet', [CompletionResultType]::ParameterName, 'Print only failures and warnings on stderr')
            [CompletionResult]::new('-v', '-v', [CompletionResultType]::ParameterName, 'Print more on stderr')
            [CompletionResult]::new('--verbose', '--verbose', [CompletionResultType]::ParameterName, 'Print more on stderr')
            [CompletionResult]::new('-h', '-h', [CompletionResultType]::ParameterName, 'Print help (see more with ''--help'')')
            [CompletionResult]::new('--help', '--help', [CompletionResultType]::ParameterName, 'Print help (see more with ''--help'')')
            break
        }
        'mcpid;audit;check' {
            [CompletionResult]::new('--log-key', '--log-key', [CompletionResultType]::ParameterName, 'The log''s public key, NAME+HASH+KEY, or a file that holds it; never taken from the log')
            [CompletionResult]::new('--checkpoint', '--checkpoint', [CompletionResultType]::ParameterName, 'A checkpoint that was kept elsewhere; may be repeated')
            [CompletionResult]::new('--witness', '--witness', [CompletionResultType]::ParameterName, 'The public key of a witness, or a file that holds it; a checkpoint that it cosigned counts as kept elsewhere; may be repeated')
            [CompletionResult]::new('--witness-policy', '--witness-policy', [CompletionResultType]::ParameterName, 'Demand cosignatures by the quorum of this policy (C2SP tlog-policy)')
            [CompletionResult]::new('-r', '-r', [CompletionResultType]::ParameterName, 'Your own trust files. An entry is good only if one of them has its key, since a log can name any key as it likes; may be repeated')
            [CompletionResult]::new('--trust', '--trust', [CompletionResultType]::ParameterName, 'Your own trust files. An entry is good only if one of them has its key, since a log can name any key as it likes; may be repeated')
            [CompletionResult]::new('--profile', '--profile', [CompletionResultType]::ParameterName, 'The rules to judge by [default: the log''s own, unless they are laxer than the default profile]')
            [CompletionResult]::new('--window', '--window', [CompletionResultType]::ParameterName, 'The longest window that the log may use [default: that of the profile]')
            [CompletionResult]::new('--ahead', '--ahead', [CompletionResultType]::ParameterName, 'How far ahead the log may let a signer''s clock be [default: that of the profile]')
            [CompletionResult]::new('--require', '--require', [CompletionResultType]::ParameterName, 'Require this component to be covered too; may be repeated')
            [CompletionResult]::new('--allow-uncovered', '--allow-uncovered', [CompletionResultType]::ParameterName, 'Do not require this component to be covered; may be repeated')
            [CompletionResult]::new('--origin', '--origin', [CompletionResultType]::ParameterName, 'Accept only requests to this origin; may be repeated')
            [CompletionResult]::new('--body', '--body', [CompletionResultType]::ParameterName, 'The request''s body, if you kept it and the log has none of it, or only a part')
            [CompletionResult]::new('--allow-clock', '--allow-clock', [CompletionResultType]::ParameterName, 'Accept the times of entries where the log''s clock was set back or forth')
            [CompletionResult]::new('--json', '--json', [CompletionResultType]::ParameterName, 'Print results, and failures on stderr, as JSON')
            [CompletionResult]::new('-q', '-q', [CompletionResultType]::ParameterName, 'Print only failures and warnings on stderr')
            [CompletionResult]::new('--quiet', '--quiet', [CompletionResultType]::ParameterName, 'Print only failures and warnings on stderr')
            [CompletionResult]::new('-v', '-v', [CompletionResultType]::ParameterName, 'Print more on stderr')
            [CompletionResult]::new('--verbose', '--verbose', [CompletionResultType]::ParameterName, 'Print more on stderr')
            [CompletionResult]::new('-h', '-h', [CompletionResultType]::ParameterName, 'Print help (see more with ''--help'')')
            [CompletionResult]::new('--help', '--help', [CompletionResultType]::ParameterName, 'Print help (see more with ''--help'')')
            break
        }
        'mcpid;audit;consistency' {
            [CompletionResult]::new('--audit', '--audit', [CompletionResultType]::ParameterName, 'The folder of the log [default: a folder of this user]')
            [CompletionResult]::new('--log-key', '--log-key', [CompletionResultType]::ParameterName, 'The log''s public key, NAME+HASH+KEY, or a file that holds it; never taken from the log')
            [CompletionResult]::new('--print', '--print', [CompletionResultType]::ParameterName, 'Print the proof and the newer checkpoint, in the form that a witness takes (C2SP add-checkpoint)')
            [CompletionResult]::new('--json', '--json', [CompletionResultType]::ParameterName, 'Print results, and failures on stderr, as JSON')
            [CompletionResult]::new('-q', '-q', [CompletionResultType]::ParameterName, 'Print only failures and warnings on stderr')
            [CompletionResult]::new('--quiet', '--quiet', [CompletionResultType]::ParameterName, 'Print only failures and warnings on stderr')
            [CompletionResult]::new('-v', '-v', [CompletionResultType]::ParameterName, 'Print more on stderr')
            [CompletionResult]::new('--verbose', '--verbose', [CompletionResultType]::ParameterName, 'Print more on stderr')
            [CompletionResult]::new('-h', '-h', [CompletionResultType]::ParameterName, 'Print help')
            [CompletionResult]::new('--help', '--help', [CompletionResultType]::ParameterName, 'Print help')
            break
        }
        'mcpid;audit;cosign' {
            [CompletionResult]::new('--log-key', '--log-key', [CompletionResultType]::ParameterName, 'The log''s public key, NAME+HASH+KEY, or a file that holds it; never taken from the log')
            [CompletionResult]::new('--state', '--state', [CompletionResultType]::ParameterName, 'The file that records, for each log, what this witness has signed; made if it is missing')
            [CompletionResult]::new('-k', '-k', [CompletionResultType]::ParameterName, 'The witness''s keyfile')
            [CompletionResult]::new('--key', '--key', [CompletionResultType]::ParameterName, 'The witness''s keyfile')
            [CompletionResult]::new('--name', '--name', [CompletionResultType]::ParameterName, 'The witness''s name [default: the name of its key]')
            [CompletionResult]::new('--passphrase-file', '--passphrase-file', [CompletionResultType]::ParameterName, 'Read the passphrase from this file; one trailing newline is dropped')
            [CompletionResult]::new('--passphrase-fd', '--passphrase-fd', [CompletionResultType]::ParameterName, 'Read the passphrase from this open file descriptor; one trailing newline is dropped')
            [CompletionResult]::new('--first', '--first', [CompletionResultType]::ParameterName, 'Allow a log of which this witness has signed nothing yet, and only such a log')
            [CompletionResult]::new('--json', '--json', [CompletionResultType]::ParameterName, 'Print results, and failures on stderr, as JSON')
            [CompletionResult]::new('-q', '-q', [CompletionResultType]::ParameterName, 'Print only failures and warnings on stderr')
            [CompletionResult]::new('--quiet', '--quiet', [CompletionResultType]::ParameterName, 'Print only failures and warnings on stderr')
            [CompletionResult]::new('-v', '-v', [CompletionResultType]::ParameterName, 'Print more on stderr')
            [CompletionResult]::new('--verbose', '--verbose', [CompletionResultType]::ParameterName, 'Print more on stderr')
            [CompletionResult]::new('-h', '-h', [CompletionResultType]::ParameterName, 'Print help')
            [CompletionResult]::new('--help', '--help', [CompletionResultType]::ParameterName, 'Print help')
            break
        }
        'mcpid;audit;archive' {
            [CompletionResult]::new('--audit', '--audit', [CompletionResultType]::ParameterName, 'The folder of the log [default: a folder of this user]')
            [CompletionResult]::new('--before', '--before', [CompletionResultType]::ParameterName, 'Move files whose entries are all from before this time: RFC 3339, @UNIX, a date (its begin, UTC), or an age such as 90d')
            [CompletionResult]::new('--to', '--to', [CompletionResultType]::ParameterName, 'The folder to move them to; made where it is not there')
            [CompletionResult]::new('--json', '--json', [CompletionResultType]::ParameterName, 'Print results, and failures on stderr, as JSON')
            [CompletionResult]::new('-q', '-q', [CompletionResultType]::ParameterName, 'Print only failures and warnings on stderr')
            [CompletionResult]::new('--quiet', '--quiet', [CompletionResultType]::ParameterName, 'Print only failures and warnings on stderr')
            [CompletionResult]::new('-v', '-v', [CompletionResultType]::ParameterName, 'Print more on stderr')
            [CompletionResult]::new('--verbose', '--verbose', [CompletionResultType]::ParameterName, 'Print more on stderr')
            [CompletionResult]::new('-h', '-h', [CompletionResultType]::ParameterName, 'Print help')
            [CompletionResult]::new('--help', '--help', [CompletionResultType]::ParameterName, 'Print help')
            break
        }
        'mcpid;audit;erase' {
            [CompletionResult]::new('--audit', '--audit', [CompletionResultType]::ParameterName, 'The folder of the log [default: a folder of this user]')
            [CompletionResult]::new('--archive', '--archive', [CompletionResultType]::ParameterName, 'A folder with entries that mcpid audit archive has moved out of the log; may be repeated')
            [CompletionResult]::new('--reason', '--reason', [CompletionResultType]::ParameterName, 'Why, in at most 1000 bytes; it stays in the log')
            [CompletionResult]::new('--json', '--json', [CompletionResultType]::ParameterName, 'Print results, and failures on stderr, as JSON')
            [CompletionResult]::new('-q', '-q', [CompletionResultType]::ParameterName, 'Print only failures and warnings on stderr')
            [CompletionResult]::new('--quiet', '--quiet', [CompletionResultType]::ParameterName, 'Print only failures and warnings on stderr')
            [CompletionResult]::new('-v', '-v', [CompletionResultType]::ParameterName, 'Print more on stderr')
            [CompletionResult]::new('--verbose', '--verbose', [CompletionResultType]::ParameterName, 'Print more on stderr')
            [CompletionResult]::new('-h', '-h', [CompletionResultType]::ParameterName, 'Print help')
            [CompletionResult]::new('--help', '--help', [CompletionResultType]::ParameterName, 'Print help')
            break
        }
        'mcpid;audit;witness' {
            [CompletionResult]::new('--witness-policy', '--witness-policy', [CompletionResultType]::ParameterName, 'The witnesses and their quorum (C2SP tlog-policy)')
            [CompletionResult]::new('--json', '--json', [CompletionResultType]::ParameterName, 'Print results, and failures on stderr, as JSON')
            [CompletionResult]::new('-q', '-q', [CompletionResultType]::ParameterName, 'Print only failures and warnings on stderr')
            [CompletionResult]::new('--quiet', '--quiet', [CompletionResultType]::ParameterName, 'Print only failures and warnings on stderr')
            [CompletionResult]::new('-v', '-v', [CompletionResultType]::ParameterName, 'Print more on stderr')
            [CompletionResult]::new('--verbose', '--verbose', [CompletionResultType]::ParameterName, 'Print more on stderr')
            [CompletionResult]::new('-h', '-h', [CompletionResultType]::ParameterName, 'Print help')
            [CompletionResult]::new('--help', '--help', [CompletionResultType]::ParameterName, 'Print help')
            break
        }
        'mcpid;help' {
            [CompletionResult]::new('--json', '--json', [CompletionResultType]::ParameterName, 'Print results, and failures on stderr, as JSON')
            [CompletionResult]::new('-q', '-q', [CompletionResultType]::ParameterName, 'Print only failures and warnings on stderr')
            [CompletionResult]::new('--quiet', '--quiet', [CompletionResultType]::ParameterName, 'Print only failures and warnings on stderr')
            [CompletionResult]::new('-v', '-v', [CompletionResultType]::ParameterName, 'Print more on stderr')
            [CompletionResult]::new('--verbose', '--verbose', [CompletionResultType]::ParameterName, 'Print more on stderr')
            [CompletionResult]::new('-h', '-h', [CompletionResultType]::ParameterName, 'Print help')
            [CompletionResult]::new('--help', '--help', [CompletionResultType]::ParameterName, 'Print help')
            break
        }
        'mcpid;version' {
            [CompletionResult]::new('--json', '--json', [CompletionResultType]::ParameterName, 'Print results, and failures on stderr, as JSON')
            [CompletionResult]::new('-q', '-q', [CompletionResultType]::ParameterName, 'Print only failures and warnings on stderr')
            [CompletionResult]::new('--quiet', '--quiet', [CompletionResultType]::ParameterName, 'Print only failures and warnings on stderr')
            [CompletionResult]::new('-v', '-v', [CompletionResultType]::ParameterName, 'Print more on stderr')
            [CompletionResult]::new('--verbose', '--verbose', [CompletionResultType]::ParameterName, 'Print more on stderr')
            [CompletionResult]::new('-h', '-h', [CompletionResultType]::ParameterName, 'Print help')
            [CompletionResult]::new('--help', '--help', [CompletionResultType]::ParameterName, 'Print help')
            break
        }
    })

    $completions.Where{ $_.CompletionText -like "$wordToComplete*" } |
        Sort-Object -Property ListItemText
}
