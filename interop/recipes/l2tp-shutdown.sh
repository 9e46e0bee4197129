#!/bin/bash
# The gateway is told to end with an L2TP/IPsec client connected: the client's PPP ends at once and its SAs are gone.
# Started again the gateway serves the same client.
. "$(dirname "$0")/../lab/lab.sh"

: "${IKE:=aes256-sha256-modp2048}" ; : "${ESP:=aes128-sha1}"
ROLE=l2tp AUTH=psk STACK=guest
lab_main
l2tp_needs
server_load

step "topology"
topology
l2tp_node c1
nic c1 eth0 wan "$CLIENT_ADDR/24" "$CLIENT_GW"
topology_start c1
server_start

step "connect"
l2tp_connect c1

step "end"
server_stop
check "the client's PPP has ended" until_ok 5 ppp_ended c1
check "the client has no SA left" until_ok 5 no_ike_sa c1
l2tp_reset c1

server_start
step "again"
l2tp_again c1 "connect again"
l2tp_disconnect c1
wire_check "${srv_wire:-esp}" 10 --restarted
finish
