#!/bin/bash
# A path that loses every fifth datagram in each direction: logins, rekeys and logouts work by retransmission, and in the end
# neither side has anything left.
. "$(dirname "$0")/../lab/lab.sh"

: "${IKE:=aes128gcm16-prfsha256-x25519}" ; : "${ESP:=aes128gcm16}" ; : "${LOSS:=20}" ; : "${ROUNDS:=4}"
ROLE=roadwarrior AUTH=eap-mschapv2 STACK=libipsec
CHARON_TIMEOUT=0.4 CHARON_TRIES=12 CHARON_CONF="retransmit_base = 1.2" CONNECT_TIMEOUT=40
lab_main
need swanctl pki tcpdump tshark nft python3
server_load

# Each datagram between client and server enters the WAN's router once.
wan_lossy() {
  ns wan nft -f - <<RULES
table bridge lossy {
  chain input {
    type filter hook input priority 0
    udp dport { 500, 4500 } numgen random mod 100 < $LOSS counter drop
  }
}
RULES
}
# The client may still wait for the answer to the DELETE of the IKE SA that it has replaced.
one_ike_sa() { [ "$(swan "$1" --list-sas | grep -c '^rw: ')" = 1 ]; }
datagrams_lost() { ns wan nft list table bridge lossy | sed -n 's/.*packets \([0-9]*\) .*/\1/p'; }

step "topology"
topology
node c1 plain
nic c1 eth0 wan "$CLIENT_ADDR/24" "$CLIENT_GW"
topology_start c1
pki_make
server_start
wan_lossy || die "loss in the WAN"

for round in $(seq "$ROUNDS"); do
  step "round $round"
  must "connect" client_up c1
  child=$(child_sa c1) ike=$(ike_sa c1)
  check "Child SA rekeyed" swan c1 --rekey --child net
  check "new Child SA" until_ok 20 changed child_sa c1 "$child"
  check "IKE SA rekeyed" swan c1 --rekey --ike rw
  check "new IKE SA" until_ok 20 changed ike_sa c1 "$ike"
  check "old IKE SA gone" until_ok 20 one_ike_sa c1
  disconnect c1
done
lost=$(datagrams_lost)
info "$lost datagrams lost"
check "datagrams were lost indeed" test "$lost" -gt 3
ns wan nft delete table bridge lossy

step "without loss again"
must "connect" client_up c1
check "ping LAN host" ping_ok c1 "$LAN_HOST" 5
disconnect c1
wire_check udp 10
finish
