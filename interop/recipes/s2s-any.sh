#!/bin/bash
# A peer whose address nobody knows beforehand: it opens the tunnel, moves to another address with the tunnel up (RFC 4555),
# crashes and comes back from a third one.
. "$(dirname "$0")/../lab/lab.sh"

: "${IKE:=aes128gcm16-prfsha256-x25519}" ; : "${ESP:=aes128gcm16}"
ROLE=site STACK=libipsec PEER_LOCAL=%any
lab_main
need swanctl tcpdump tshark nft python3
server_load
SRV_PEER=any
[ "$SERVER" = cygnet ] || SRV_PEER=%any

peer_at() {
  on gw2 sh -c "ip -4 addr flush dev eth0; ip addr add $1/24 dev eth0; ip route add default via $CLIENT_GW"
}

step "topology"
topology
site_topology "$(site_kind)"
site_start
peer_start
server_start

step "the peer comes from $CLIENT_ADDR"
tunnel_up peer
site_pings

step "the peer moves"
site_pings_start move
sleep 1
peer_at "${CLIENT_ADDR%.*}.77"
check "the IKE SA moved" until_ok 15 ike_sa_at gw2 "${CLIENT_ADDR%.*}.77"
sleep 2
site_pings_end move 50
site_pings

step "the peer dies and comes back from a third address"
peer_crash
peer_at "${CLIENT_ADDR%.*}.78"
peer_start
check "the peer opens the tunnel" peer_initiate
site_pings
peer_disconnect
wire_check udp 20
finish
