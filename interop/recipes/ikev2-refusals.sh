#!/bin/bash
# Each refusal carries the right notify on the wire, as the client's log tells, and the gateway can explain it afterwards:
# what was offered, what was wanted, what to change.
. "$(dirname "$0")/../lab/lab.sh"

: "${TIME_LIMIT:=240}"
: "${IKE:=aes256gcm16-prfsha384-ecp384}" ; : "${ESP:=aes256gcm16}"
ROLE=roadwarrior STACK=libipsec
lab_main
need swanctl pki tcpdump tshark nft python3
server_load

server_for() {
  AUTH=$1
  server_restart
}

# refused TEXT NOTIFY [USER PASSWORD]
refused() {
  local text=$1 notify=$2
  shift 2
  check "$text: does not connect" not client_up c1 "$@"
  check "$text: the client is told $notify" client_log c1 "$notify"
  check "$text: no SA" not grep -q INSTALLED "$OUT/c1/sas.txt"
}

step "topology"
topology
for number in 1 2; do
  node c$number plain
  nic c$number eth0 wan "${CLIENT_ADDR%.*}.$((9 + number))/24" "$CLIENT_GW"
done
topology_start c1 c2
pki_make

server_for psk
step "wrong pre-shared key"
PSK=not-$PSK refused "wrong pre-shared key" 'AUTH_FAILED'
explained "$CLIENT_ADDR" 'another pre-shared key' 'same pre-shared key' "$CLIENT_ID"
client_reset c1

step "no common proposal"
IKE=aes256-sha1-modp1024 refused "weak group" 'NO_PROP'
explained "$CLIENT_ADDR" 'modp1024' 'policy = .*legacy'
client_reset c1

server_for eap-mschapv2
step "wrong password"
refused "wrong password" 'EAP_FAILURE|AUTH_FAILED|EAP/FAIL' "$USER1" "not-$PASS1"
explained "$USER1" 'wrong password' 'cygnet user passwd'
client_reset c1

server_for cert
step "unknown authority"
mkdir -p "$OUT/kept"
cp "$OUT"/pki/client.* "$OUT/kept/"
pki_authority stranger 'Strange CA' && pki_client client stranger "$CLIENT_ID" || die "certificates of the stranger"
refused "unknown authority" 'AUTH_FAILED'
explained "$CLIENT_ADDR" 'Strange CA' 'add that authority.* ca\>'
client_reset c1

step "expired certificate"
pki_expired_client client ca "$CLIENT_ID" || die "expired certificate"
refused "expired certificate" 'AUTH_FAILED'
explained "$CLIENT_ADDR" 'expired' 'issue a new certificate'
client_reset c1
cp "$OUT"/kept/client.* "$OUT/pki/"

# The smallest pool: one address is the gateway's, one is left.
POOL=10.99.0.8/30 POOL_LAST=$POOL_FIRST CLIENT_VIPS=0.0.0.0
server_for psk
step "pool exhausted"
CLIENT_ID=first.example.test check "first client connects" client_up c2
refused "pool exhausted" 'INTERNAL_ADDRESS_FAILURE|INT_ADDR_FAIL'
explained "$CLIENT_ADDR" '10.99.0.8/30' 'add a network to .pool'
client_reset c1
check "first client: IKE SA deleted" client_down c2
check "then its address is free again" client_up c1
check "and that client pings" ping_ok c1 "$LAN_HOST" 3
disconnect c1
wire_check udp 5 --restarted
finish
