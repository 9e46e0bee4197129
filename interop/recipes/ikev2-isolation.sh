#!/bin/bash
# Two clients cannot reach each other through the gateway unless it is told to let them; both reach the LAN meanwhile.
. "$(dirname "$0")/../lab/lab.sh"

: "${IKE:=aes128gcm16-prfsha256-x25519}" ; : "${ESP:=aes128gcm16}"
ROLE=roadwarrior AUTH=psk STACK=libipsec SRV_ROUTES=all CLIENT_TS=0.0.0.0/0,::/0
lab_main
need swanctl tcpdump tshark nft python3
server_load

step "topology"
topology
for number in 1 2; do
  node c$number plain
  nic c$number eth0 wan "${CLIENT_ADDR%.*}.$((10 + number))/24" "$CLIENT_GW"
done
topology_start c1 c2

both_connect() {
  must "c1 connects" client_up c1
  CLIENT_ID=second.example.test must "c2 connects" client_up c2
  check "c1 pings the LAN" ping_ok c1 "$LAN_HOST" 3
  check "c2 pings the LAN" ping_ok c2 "$LAN_HOST" 3
}

server_start
step "apart"
both_connect
check "c1 does not reach c2" ping_fails c1 "$(client_address c2 4)"
check "c2 does not reach c1" ping_fails c2 "$(client_address c1 4)"
disconnect c1
disconnect c2

SRV_CLIENT_TO_CLIENT=yes
server_restart
step "together"
both_connect
check "c1 reaches c2" ping_ok c1 "$(client_address c2 4)" 3
check "c2 reaches c1" ping_ok c2 "$(client_address c1 4)" 3
disconnect c1
disconnect c2
wire_check udp 20 --restarted
finish
