#!/bin/bash
# Lists of revoked certificates (RFC 5280 section 5): by HTTP, from the cache, from a file; certificates are refused without one.
# The certificate comes in IKE_AUTH itself (AUTH=cert) or inside of EAP (AUTH=eap-tls).
. "$(dirname "$0")/../lab/lab.sh"

: "${IKE:=aes256gcm16-prfsha384-ecp384}" ; : "${ESP:=aes256gcm16}"
ROLE=roadwarrior STACK=libipsec SRV_CRL=strict
lab_main
need swanctl pki tcpdump tshark nft python3
server_load

# How the client is told that it stays out: TLS has an alert for what it knows by itself.
case $AUTH in
  cert) REFUSAL=AUTH_FAILED ;;
  *) REFUSAL="EAP_FAILURE|TLS alert 'certificate revoked'" ;;
esac

# The client has one of two certificates: good, revoked.
with_certificate() {
  cp "$OUT/pki/$1.pem" "$OUT/pki/client.pem"
  cp "$OUT/pki/$1.key" "$OUT/pki/client.key"
}
accepted() {
  with_certificate good
  check "$1: the good certificate is accepted" client_up c1
  check "$1: ping" ping_ok c1 "$LAN_HOST" 3
  client_down c1 >/dev/null
  client_reset c1
}
# refused CERTIFICATE TEXT PATTERN...: also what `explain` says.
refused() {
  local certificate=$1 text=$2
  shift 2
  with_certificate "$certificate"
  check "$text: the $certificate certificate is refused" not client_up c1
  check "$text: the client is told" client_log c1 "$REFUSAL"
  explained "$CLIENT_ADDR" "$@"
  client_reset c1
}
fetched() { grep -c 'GET /ca.crl' "$OUT/web/http.log"; }

step "topology: with a host of the internet that has the list"
topology
web_host
node c1 plain
nic c1 eth0 wan "$CLIENT_ADDR/24" "$CLIENT_GW"
topology_start c1
pki_make
for name in good revoked; do
  pki_client $name ca "$CLIENT_ID" --lifetime 30 --crl "http://$WEB_HOST/ca.crl" || die "certificates"
done
mkdir "$OUT/pki/public"
pki_revoke revoked public/ca.crl || die "list of revoked certificates"

server_start
step "no list to be had"
refused good "without a list" 'no revocation list' 'crl_files'

step "by HTTP, nothing known before"
rm -rf "$OUT/srv/state"
server_restart
web_serves "$OUT/pki/public"
accepted "list by HTTP"
check "it was fetched" test "$(fetched)" -ge 1
refused revoked "list by HTTP" 'revoked'

step "from the cache"
web_silent
accepted "the list is kept"
refused revoked "the list is kept" 'revoked'

step "from a file"
rm -rf "$OUT/srv/state"
SRV_CRL_FILE=public/ca.crl
server_restart
accepted "list from a file"
refused revoked "list from a file" 'revoked'
wire_check udp 5 --restarted --beyond "$WEB_HOST"
finish
