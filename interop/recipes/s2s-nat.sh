#!/bin/bash
# Both gateways behind routers that translate one address to one host, as clouds do. Either side opens the tunnel; keepalives
# hold the mappings; the routers forget everything and the tunnel goes on.
. "$(dirname "$0")/../lab/lab.sh"

: "${IKE:=aes128gcm16-prfsha256-x25519}" ; : "${ESP:=aes128gcm16}"
ROLE=site STACK=libipsec SRV_ADDR=172.20.1.2 PEER_LOCAL=172.20.2.2
lab_main
need swanctl tcpdump tshark nft conntrack python3
server_load

server_behind_nat() {
  static_nat edge cloud 172.20.1 "$SERVER_ADDR/24" "$WAN_GW" "$SRV_ADDR"
  nic srv eth0 cloud "$SRV_ADDR/24" 172.20.1.1
}
peer_behind_nat() {
  static_nat edge2 cloud2 172.20.2 "$CLIENT_ADDR/24" "$CLIENT_GW" "$PEER_LOCAL"
  nic gw2 eth0 cloud2 "$PEER_LOCAL/24" 172.20.2.1
}
routers_forget() {
  ns edge conntrack -F 2>/dev/null
  ns edge2 conntrack -F 2>/dev/null
}

step "topology: both gateways behind NAT"
SERVER_NIC=server_behind_nat SITE_GATEWAY_NIC=peer_behind_nat WAN_PORT=edge-eth0
topology
site_topology "$(site_kind)"
site_start
peer_start
server_start

for opener in peer server; do
  step "opened by the $opener"
  tunnel_up "$opener"
  site_pings
  site_pings_start "forget-$opener"
  sleep 1
  check "the routers forget their mappings" routers_forget
  sleep 2
  site_pings_end "forget-$opener" 2
  peer_disconnect
done
wire_check udp 20
finish
