#!/bin/bash
# Who must not open a tunnel to a site, and what does not fit: refused with the right notify; `cygnet explain` tells the reason and
# what to change. Nobody gets in as somebody else: not with the key of another site, not as a remote client.
. "$(dirname "$0")/../lab/lab.sh"

: "${TIME_LIMIT:=240}"
: "${IKE:=aes256gcm16-prfsha384-ecp384}" ; : "${ESP:=aes256gcm16}"
ROLE=site STACK=libipsec
lab_main
need swanctl pki tcpdump tshark nft python3
server_load

# refused TEXT NOTIFY: with the peer's parameters as they are at the moment.
refused() {
  local text=$1 notify=$2
  peer_config | swan_load gw2 >/dev/null || die "configuration of the peer"
  log_mark gw2
  check "$text: no tunnel" not peer_initiate
  check "$text: the peer is told $notify" client_log gw2 "$notify"
  check "$text: no SA" not site_is_up
  swan gw2 --terminate --ike site --force >/dev/null
}
accepted() {
  peer_config | swan_load gw2 >/dev/null || die "configuration of the peer"
  check "the right peer opens the tunnel" peer_initiate
}
server_for() {
  AUTH=$1
  server_restart
}
peer_fresh() {
  [ "$AUTH" = psk ] || pki_put gw2 client
  swan gw2 --load-creds --clear >/dev/null
}

step "topology"
topology
site_topology "$(site_kind)"
site_start
pki_make
peer_start

server_for psk
step "pre-shared key"
PSK=not-$PSK refused "wrong pre-shared key" AUTH_FAILED
explained "$CLIENT_ADDR" 'pre-shared key' peer
CLIENT_ID=mallory.example.test refused "another identity with the right key" AUTH_FAILED
explained "$CLIENT_ADDR" 'mallory.example.test'

step "networks and proposals"
PEER_TS=10.66.0.0/24,2001:db8:66::/64 refused "networks that are not the site's" 'TS_UNACCEPT|TS_UNACC'
# The peer closes the IKE SA that has come about, which is told after it.
EXPLAIN_LAST=2 explained "$CLIENT_ADDR" '10.66.0.0'
IKE=aes256-sha1-modp1024 refused "weak group" NO_PROP
explained "$CLIENT_ADDR" 'modp1024'

step "the right peer, and narrowing"
PEER_TS=0.0.0.0/0,::/0 accepted
sas gw2 >"$OUT/gw2/sas.txt"
check "the networks are narrowed to the site's" grep -qE "local .*$FAR_NET" "$OUT/gw2/sas.txt"
site_pings 3
peer_disconnect

server_for cert
step "certificates"
peer_fresh
accepted
site_pings 3
peer_disconnect
mkdir -p "$OUT/kept"
cp "$OUT"/pki/client.* "$OUT/kept/"
pki_client client ca mallory.example.test || die "certificates"
peer_fresh
CLIENT_ID=mallory.example.test refused "another certificate of the same authority" AUTH_FAILED
explained "$CLIENT_ADDR" 'mallory.example.test'
pki_authority stranger 'Strange CA' && pki_client client stranger "$CLIENT_ID" || die "certificates of the stranger"
peer_fresh
refused "unknown authority" AUTH_FAILED
explained "$CLIENT_ADDR" 'Strange CA'
wire_check udp 5 --restarted
finish
