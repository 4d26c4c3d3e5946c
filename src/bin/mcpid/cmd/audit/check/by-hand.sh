set -eu
evidence=$(realpath @EVIDENCE@)
log_key=@LOG_KEY@
cd "$(mktemp -d)"
text() { sed -n "s/^  \"$1\": \"\(.*\)\",*$/\1/p" "$evidence"; }
number() { sed -n "s/^  \"$1\": \([0-9]*\),*$/\1/p" "$evidence"; }
list() { sed -n "/^  \"$1\": \[\$/,/^  \]/s/^    \"\(.*\)\",*$/\1/p" "$evidence"; }
hex() { od -An -v -tx1 | tr -d ' \n'; }
bytes() { printf "$(printf %s "$1" | sed 's/../\\x&/g')"; }
hash() { sha256sum | cut -d' ' -f1; }

# The entry is a leaf, and the proof leads from it to the root (RFC 9162 section 2.1.3.2).
text entry | base64 -d > entry.json
root=$( (printf '\0'; cat entry.json) | hash)
at=$(number n) last=$(($(number size) - 1))
for sibling in $(list proof); do
    sibling=$(printf %s "$sibling" | base64 -d | hex)
    if [ $((at & 1)) = 1 ] || [ $at = $last ]; then
        root=$( (printf '\1'; bytes "$sibling$root") | hash)
        while [ $((at & 1)) = 0 ] && [ $at != 0 ]; do at=$((at >> 1)) last=$((last >> 1)); done
    else
        root=$( (printf '\1'; bytes "$root$sibling") | hash)
    fi
    at=$((at >> 1)) last=$((last >> 1))
done
text checkpoint | base64 -d > checkpoint.note
[ "$root" = "$(sed -n 3p checkpoint.note | base64 -d | hex)" ]
echo "the entry is under the checkpoint"

# The checkpoint is signed by the key of the log.
text log_key_pem | sed 's/\\n/\n/g' > log.pem
given=$(printf %s "${log_key#*+*+}" | base64 -d | tail -c 32 | hex)
[ "$given" = "$(openssl pkey -pubin -in log.pem -outform DER | tail -c 32 | hex)" ]
echo "the key is the log's"
sed '/^$/,$d' checkpoint.note > signed.txt
awk -v name="${log_key%%+*}" '$2 == name && NF == 3 { print $3; exit }' checkpoint.note |
    base64 -d | tail -c 64 > signed.sig
openssl pkeyutl -verify -pubin -inkey log.pem -rawin -in signed.txt -sigfile signed.sig

# The request is signed by the key that the entry names.
list key_pems | sed 's/\\n/\n/g' > key.pem
printf %b "$(sed 's/.*"base":"\(.*\)","signature":"[^"]*"}.*/\1/; s/\\"/"/g' entry.json)" > base.txt
sed 's/.*","signature":"\([^"]*\)"}.*/\1/' entry.json | base64 -d > base.sig
if [ "$(openssl pkey -pubin -in key.pem -outform DER | wc -c)" = 91 ]; then
    # A key of P-256: for openssl, both numbers of the signature go into DER.
    r=$(head -c 32 base.sig | hex) s=$(tail -c 32 base.sig | hex)
    printf 'asn1=SEQUENCE:rs\n[rs]\nr=INTEGER:0x%s\ns=INTEGER:0x%s\n' "$r" "$s" > rs.txt
    openssl asn1parse -genconf rs.txt -noout -out base.sig
fi
openssl pkeyutl -verify -pubin -inkey key.pem -rawin -in base.txt -sigfile base.sig
