#!/bin/bash
# One user on two devices at once, one with L2TP/IPsec, the other with IKEv2: both work, `cygnet status` shows both.
. "$(dirname "$0")/../lab/lab.sh"

: "${IKE:=aes256-sha256-modp2048}" ; : "${ESP:=aes256-sha256}"
ROLE=both AUTH=eap-mschapv2
lab_main
l2tp_needs
need pki
server_load

step "topology"
topology
l2tp_node c1
nic c1 eth0 wan "$CLIENT_ADDR/24" "$CLIENT_GW"
node c2 plain
nic c2 eth0 wan "${CLIENT_ADDR%.*}.11/24" "$CLIENT_GW"
topology_start c1 c2
pki_make
server_start

step "connect"
l2tp_connect c1
STACK=libipsec must "c2: IKEv2 up as $USER1" client_up c2
client_describe c2
check "c2: ping LAN host" ping_ok c2 "$LAN_HOST" 5
check "two addresses" test "$(ppp_value c1 IPLOCAL)" != "$(client_address c2 4)"
check "status shows L2TP of $USER1 from c1" srv_has_session "$USER1" "$CLIENT_ADDR" l2tp
check "status shows IKEv2 of $USER1 from c2" srv_has_session "$USER1" "${CLIENT_ADDR%.*}.11" ikev2

step "one leaves, the other stays"
disconnect c2
check "c1: ping LAN host" ping_ok c1 "$LAN_HOST" 5
l2tp_disconnect c1
wire_check udp 20
finish
