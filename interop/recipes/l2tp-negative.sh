#!/bin/bash
# L2TP/IPsec that must not get in: a wrong pre-shared key, a wrong password, L2TP without IPsec. A correct client works after.
. "$(dirname "$0")/../lab/lab.sh"

: "${IKE:=aes256-sha256-modp2048,aes128-sha1-modp2048}" ; : "${ESP:=aes256-sha256,aes128-sha1}"
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

step "wrong pre-shared key"
PSK=not-$PSK check "it is refused" not l2tp_up c1
l2tp_reset c1

step "wrong password"
check "it is refused" not l2tp_up c1 "$USER1" "not-$PASS1"
check "by authentication, not by silence" pppd_log c1 'authentication fail|CHAP authentication failed|E=691|PAP authentication failed'
l2tp_reset c1

step "L2TP without IPsec"
IMPL=none L2TP_PATIENCE=12 check "it is not served" not l2tp_up c1
l2tp_reset c1

step "correct client"
l2tp_again c1 "correct client"
l2tp_disconnect c1
finish
