#!/bin/bash
# The peer is killed and started again ten times. It opens the tunnel again itself, but for the fifth time: then the
# server must find out that the peer has forgotten everything, and open the tunnel.
. "$(dirname "$0")/../lab/lab.sh"

: "${RESTARTS:=10}" ; : "${TIME_LIMIT:=300}"
: "${IKE:=aes128gcm16-prfsha256-x25519}" ; : "${ESP:=aes128gcm16}"
ROLE=site STACK=libipsec SRV_START=always SRV_LIVENESS=2s
lab_main
need swanctl tcpdump tshark nft python3
server_load

came_back() { site_is_up && ping_ok far "$LAN_HOST" 2; }

step "topology"
topology
site_topology "$(site_kind)"
site_start
peer_start
server_start

step "the server opens the tunnel by itself"
must "the tunnel is up" until_ok 30 site_is_up
site_pings

for number in $(seq "$RESTARTS"); do
  step "restart $number"
  peer_crash
  peer_start
  if [ "$number" = 5 ]; then
    check "the server notices and opens the tunnel" until_ok 100 came_back
  else
    check "the peer opens the tunnel" peer_initiate
    check "ping from the far LAN" ping_ok far "$LAN_HOST" 3
  fi
done
site_pings
check "one tunnel is left" until_ok 10 one_tunnel

step "the end"
server_stop
check "the peer was told: it has no SA left" until_ok 5 no_ike_sa gw2
wire_check "$(site_form)" 50 --restarted
finish
