#!/bin/bash
# Which IKE proposals does the server answer? One first message each.
# VERSION=2  IKE_SA_INIT, from a source address of its own     VERSION=1  main mode, by ike-scan
# YES: must be accepted. NO: must be refused, in IKEv2 with NO_PROPOSAL_CHOSEN.
. "$(dirname "$0")/../lab/lab.sh"

: "${VERSION:=2}"
if [ "$VERSION" = 1 ]; then
  : "${YES:=aes256-sha256-modp2048,aes256-sha1-modp2048,aes128-sha1-modp2048,3des-sha1-modp1024}" ; : "${NO:=des-md5-modp768}"
fi
: "${YES:=aes256gcm16-prfsha384-ecp384,aes128gcm16-prfsha256-x25519,chacha20poly1305-prfsha256-x25519,aes256-sha256-modp2048,aes256-sha512-modp4096,aes128-sha256-ecp256,aes256-sha384-ecp521}"
: "${NO:=3des-md5-modp768,aes256ctr-sha1-modp1536}"
ROLE=roadwarrior
if [ "$VERSION" = 1 ]; then
  ROLE=l2tp
  SRV_POLICY=compatible,legacy-android
fi
lab_main
need python3 openssl tcpdump
[ "$VERSION" = 2 ] || need ike-scan
server_load

step "topology"
topology
node c1 bare
sources=$(for last in $(seq 101 140); do printf '%s.%s ' "${CLIENT_ADDR%.*}" "$last"; done)
addresses=$(for source in $sources; do printf '%s/24,' "$source"; done)
nic c1 eth0 wan "$CLIENT_ADDR/24,$addresses$CLIENT_ADDR6/64" "$CLIENT_GW,$CLIENT_GW6"
topology_start c1
server_start

# The number that ike-scan wants for a word (RFC 2409 appendix A).
number_of() {
  case $1 in
    des) echo 1=1 ;; 3des) echo 1=5 ;; aes*) echo "1=7,14=${1#aes}" ;;
    md5) echo 1 ;; sha1) echo 2 ;; sha256) echo 4 ;; sha384) echo 5 ;; sha512) echo 6 ;;
    modp768) echo 1 ;; modp1024) echo 2 ;; modp1536) echo 5 ;; modp2048) echo 14 ;;
    ecp256) echo 19 ;; ecp384) echo 20 ;;
    *) die "unknown word $1" ;;
  esac
}

# Lines PROPOSAL, VERDICT, detail, separated by tabs. With the vendor id of RFC 3947: some servers answer nobody without.
ask_version_1() {
  local proposal cipher hash group answer
  for proposal; do
    IFS=- read -r cipher hash group <<<"$proposal"
    answer=$(on c1 ike-scan --sport=500 --vendor=4a131c81070358455c5728f20e95452f --retry=2 --timeout=1500 \
      --trans="($(number_of "$cipher"),2=$(number_of "$hash"),3=1,4=$(number_of "$group"))" "$SERVER_ADDR" 2>&1)
    echo "$answer" >>"$OUT/ike-scan.log"
    case $answer in
      *'Handshake returned'*) printf '%s\taccepted\t\n' "$proposal" ;;
      *'Notify message'*) printf '%s\trefused\t%s\n' "$proposal" "$(grep -o 'Notify message.*' <<<"$answer")" ;;
      *) printf '%s\tsilent\t\n' "$proposal" ;;
    esac
  done
}
ask_version_2() { on c1 env SOURCES="$sources" python3 "$INTEROP/tools/ikeprobe.py" "$SERVER_ADDR" "$@" 2>>"$OUT/probe.err"; }

# probe PROPOSALS VERDICT TEXT
probe() {
  local proposal verdict detail count=0
  while IFS=$'\t' read -r proposal verdict detail; do
    info "$proposal: $verdict $detail"
    check "$proposal $3" test "$verdict" = "$2"
    count=$((count + 1))
  done < <("ask_version_$VERSION" ${1//,/ })
  check "every proposal was tried" test $count = "$(tr ',' '\n' <<<"$1" | wc -l)"
}

: >"$OUT/probe.err"
step "proposals"
probe "$YES" accepted "is accepted"
probe "$NO" refused "is refused with a notify"
check "probe ran without error" test ! -s "$OUT/probe.err"
finish
