#!/bin/bash
# Which IKEv2 proposals does the server answer? One IKE_SA_INIT each, from a source address of its own.
# YES: must be accepted. NO: must be refused with NO_PROPOSAL_CHOSEN.
. "$(dirname "$0")/../lab/lab.sh"

: "${YES:=aes256gcm16-prfsha384-ecp384,aes128gcm16-prfsha256-x25519,chacha20poly1305-prfsha256-x25519,aes256-sha256-modp2048,aes256-sha512-modp4096,aes128-sha256-ecp256,aes256-sha384-ecp521}"
: "${NO:=3des-md5-modp768,aes256ctr-sha1-modp1536}"
ROLE=roadwarrior
lab_main
need python3 openssl tcpdump
server_load

step "topology"
topology
node c1 bare
sources=$(for last in $(seq 101 140); do printf '%s.%s ' "${CLIENT_ADDR%.*}" "$last"; done)
addresses=$(for source in $sources; do printf '%s/24,' "$source"; done)
nic c1 eth0 wan "$CLIENT_ADDR/24,$addresses$CLIENT_ADDR6/64" "$CLIENT_GW,$CLIENT_GW6"
topology_start c1
server_start

# probe PROPOSALS VERDICT TEXT
probe() {
  local proposal verdict detail count=0
  while IFS=$'\t' read -r proposal verdict detail; do
    info "$proposal: $verdict $detail"
    check "$proposal $3" test "$verdict" = "$2"
    count=$((count + 1))
  done < <(on c1 env SOURCES="$sources" python3 "$INTEROP/tools/ikeprobe.py" "$SERVER_ADDR" ${1//,/ } 2>>"$OUT/probe.err")
  check "every proposal was tried" test $count = "$(tr ',' '\n' <<<"$1" | wc -l)"
}

step "proposals"
probe "$YES" accepted "is accepted"
probe "$NO" refused "is refused with a notify"
check "probe ran without error" test ! -s "$OUT/probe.err"
finish
