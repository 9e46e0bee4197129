#!/bin/bash
# Each L2TP/IPsec login that cannot work ends as a person would expect, and the gateway can explain it afterwards: what was
# wrong, what to change. L2TP outside IPsec gets no answer at all.
. "$(dirname "$0")/../lab/lab.sh"

: "${IKE:=aes256-sha256-modp2048}" ; : "${ESP:=aes128-sha1}" ; : "${TIME_LIMIT:=420}"
ROLE=l2tp AUTH=psk STACK=guest
SRV_USERS='carol = { password = "Carol-Secret-3", expires = 2020-01-31 }'
CHARON_TIMEOUT=1.0 CHARON_TRIES=2 CONNECT_TIMEOUT=10
lab_main
l2tp_needs
server_load

# refused TEXT [USER PASSWORD]
refused() {
  local text=$1
  shift
  check "$text: does not connect" not l2tp_up c1 "$@"
  check "$text: no address" not on c1 test -s /run/ppp-up.env
}

# The client heard of it by PPP, it was not left to wait.
told_by_ppp() { check "$1: the client is told by PPP" pppd_log c1 "$2"; }

step "topology"
topology
for number in 1 2; do
  l2tp_node c$number
  nic c$number eth0 wan "${CLIENT_ADDR%.*}.$((9 + number))/24" "$CLIENT_GW"
done
topology_start c1 c2
server_start

step "L2TP without IPsec"
IMPL=none L2TP_PATIENCE=8 refused "L2TP without IPsec"
check "not a packet in answer" no_answer_in_clear
l2tp_reset c1

step "wrong pre-shared key"
PSK=not-$PSK refused "wrong pre-shared key"
explained "$CLIENT_ADDR" 'pre-shared key' 'same pre-shared key|psk'
l2tp_reset c1

step "group 2 only"
IKE=3des-sha1-modp1024,aes256-sha1-modp1024 refused "group 2 only"
check "group 2 only: the client is told NO_PROPOSAL_CHOSEN" client_log c1 'NO_PROP'
explained "$CLIENT_ADDR" 'modp1024' 'policy = .*legacy-android'
l2tp_reset c1

step "wrong password"
refused "wrong password" "$USER1" "not-$PASS1"
told_by_ppp "wrong password" 'E=691|[Aa]uthentication fail'
explained "$USER1" 'wrong password' 'cygnet user passwd'
l2tp_reset c1

step "unknown user"
refused "unknown user" mallory "$PASS1"
told_by_ppp "unknown user" 'E=691|[Aa]uthentication fail'
explained mallory 'no such user|unknown|there is no user|no user' 'cygnet user add'
l2tp_reset c1

step "expired user"
refused "expired user" carol Carol-Secret-3
told_by_ppp "expired user" 'E=6[0-9][0-9]|[Aa]uthentication fail'
explained carol 'expired|2020-01-31'
l2tp_reset c1

# The smallest pool: one address is the gateway's, one is left.
POOL=10.99.0.8/30 POOL_LAST=$POOL_FIRST
server_restart
step "pool exhausted"
check "first client connects" l2tp_up c2
refused "pool exhausted" "$USER2" "$PASS2"
explained "$USER2" '10\.99\.0\.8/30' 'add a network to .pool'
l2tp_reset c1
l2tp_disconnect c2
check "then its address is free again" l2tp_up c1 "$USER2" "$PASS2"
check "and that client has a route" l2tp_route c1
check "and pings" ping_ok c1 "$LAN_HOST" 3
l2tp_disconnect c1
finish
