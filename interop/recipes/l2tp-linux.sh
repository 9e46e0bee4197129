#!/bin/bash
# L2TP/IPsec road warrior on a Linux kernel, no NAT: transport mode, pre-shared key, user name and password.
# WIRE=esp|udp  the form that ESP must have, if not the server's usual one
# IMPL=strongswan|libreswan   PPP_AUTH, SRV_PPP_AUTH   TRIALS=word,word: functions l2tp_trial_* (strongSwan)
. "$(dirname "$0")/../lab/lab.sh"

: "${IKE:=aes256-sha256-modp2048,aes128-sha1-modp2048}" ; : "${ESP:=aes256-sha256,aes128-sha1}" ; : "${TRIALS:=}"
: "${IPERF_SECONDS:=1}"
ROLE=l2tp AUTH=psk STACK=guest
lab_main
l2tp_needs
need iperf3
server_load

step "topology: IMPL=$IMPL PPP_AUTH=$PPP_AUTH"
topology
l2tp_node c1
nic c1 eth0 wan "$CLIENT_ADDR/24" "$CLIENT_GW" "$WAN_MTU"
topology_start c1
server_start

step "connect"
l2tp_connect c1
l2tp_exercise c1
for trial in ${TRIALS//,/ }; do
  declare -F "l2tp_trial_$trial" >/dev/null || die "no trial $trial"
  step "$trial"
  "l2tp_trial_$trial" c1
done

step "disconnect"
l2tp_disconnect c1
wire_check "${WIRE:-${srv_wire:-esp}}" 100
finish
