#!/bin/bash
# An L2TP/IPsec client vanishes without a goodbye and comes back from another address: its old session is replaced, the
# address inside stays the same.
. "$(dirname "$0")/../lab/lab.sh"

: "${IKE:=aes256-sha256-modp2048}" ; : "${ESP:=aes128-sha1}"
: "${MOVED_ADDR:=198.51.100.77}"
ROLE=l2tp AUTH=psk STACK=guest SRV_DEVICES=1
lab_main
l2tp_needs
server_load

move() {
  on "$1" sh -c "ip addr flush dev eth0; ip addr add $MOVED_ADDR/24 dev eth0; ip route replace default via $CLIENT_GW"
}

step "topology"
topology
l2tp_node c1
nic c1 eth0 wan "$CLIENT_ADDR/24" "$CLIENT_GW"
topology_start c1
server_start

step "connect from $CLIENT_ADDR"
l2tp_connect c1
before=$(ppp_value c1 IPLOCAL)

step "vanish, come back from $MOVED_ADDR"
l2tp_reset c1 KILL
check "another address" move c1
must "connect" l2tp_up c1
check "the address inside is the same: $before" test "$(ppp_value c1 IPLOCAL)" = "$before"
check "route to the LAN" l2tp_route c1
check "ping LAN host" ping_ok c1 "$LAN_HOST" 5
check "there is a session from the new address" srv_has_session "$USER1" "$MOVED_ADDR" l2tp
check "and it is the only one" prints '^1$' srv_sessions

step "disconnect"
l2tp_disconnect c1
wire_check "${srv_wire:-esp}" 20
finish
