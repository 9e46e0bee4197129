#!/bin/bash
# A pool of two networks: when the first has no address left, clients get one of the second.
. "$(dirname "$0")/../lab/lab.sh"

: "${IKE:=aes128gcm16-prfsha256-x25519}" ; : "${ESP:=aes128gcm16}"
ROLE=roadwarrior STACK=libipsec AUTH=psk
# The smallest: one address is the gateway's, one is left.
POOL=10.99.0.8/30 POOL_LAST=10.99.0.10 SRV_POOL2=10.98.0.0/24 CLIENT_VIPS=0.0.0.0
lab_main
need swanctl tcpdump tshark nft python3
server_load

step "topology"
topology
for number in 1 2; do
  node c$number plain
  nic c$number eth0 wan "${CLIENT_ADDR%.*}.$((9 + number))/24" "$CLIENT_GW"
done
topology_start c1 c2
server_start
for number in 1 2; do CLIENT_ID=client$number.example.test check "client $number connects" client_up c$number; done
check "the first has an address of the first network" in_network "$(client_address c1 4)" "$POOL"
check "the second has one of the second" in_network "$(client_address c2 4)" "$SRV_POOL2"
for client in c1 c2; do check "$client: ping" ping_ok $client "$LAN_HOST" 3; done
for client in c1 c2; do disconnect $client; done
wire_check udp 10
finish
