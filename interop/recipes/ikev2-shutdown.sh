#!/bin/bash
# The gateway is told to end with a client connected: the client gets a DELETE (RFC 7296 section 1.4.1), the gateway takes
# away what it had set up. Started again it serves the same client.
. "$(dirname "$0")/../lab/lab.sh"

: "${IKE:=aes128gcm16-prfsha256-x25519}" ; : "${ESP:=aes128gcm16}"
ROLE=roadwarrior AUTH=psk STACK=libipsec
lab_main
need swanctl tcpdump tshark nft python3
server_load

step "topology"
topology
node c1 plain
nic c1 eth0 wan "$CLIENT_ADDR/24" "$CLIENT_GW"
topology_start c1
server_start

step "connect"
must "connect" client_up c1
check "ping LAN host" ping_ok c1 "$LAN_HOST" 5

step "end"
log_mark c1
server_stop
check "the client received a DELETE for the IKE SA" until_ok 5 client_log c1 'received DELETE for IKE_SA rw'
check "the client has no SA left" until_ok 10 no_ike_sa c1

server_start
step "again"
must "connect" client_up c1
check "ping LAN host" ping_ok c1 "$LAN_HOST" 5
disconnect c1
wire_check udp 10 --restarted
finish
