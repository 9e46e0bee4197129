#!/bin/bash
# The peer has a name, not an address: the server looks it up, also when the peer turns up at another address.
. "$(dirname "$0")/../lab/lab.sh"

: "${IKE:=aes128gcm16-prfsha256-x25519}" ; : "${ESP:=aes128gcm16}"
ROLE=site STACK=libipsec SRV_START=always SRV_LIVENESS=2s PEER_LOCAL=%any SRV_PEER=berlin.example.test
lab_main
need swanctl tcpdump tshark nft python3
server_load
[ "$SERVER" = cygnet ] || die "the reference has no names"

# What the node srv finds in /etc/hosts (see ip-netns(8)); gone with the run.
NAMES=/etc/netns/${PREFIX}srv
names() {
  mkdir -p "$NAMES"
  echo "$1 $SRV_PEER" >"$NAMES/hosts.new"
  cat "$NAMES/hosts.new" >"$NAMES/hosts"     # the file itself stays: it is mounted
}
peer_at() { on gw2 sh -c "ip -4 addr flush dev eth0; ip addr add $1/24 dev eth0; ip route add default via $CLIENT_GW"; }

step "topology"
topology
trap 'rm -rf "$NAMES"; lab_end' EXIT
names "$CLIENT_ADDR"
site_topology "$(site_kind)"
site_start
peer_start
server_start

step "the server looks the name up and opens the tunnel"
must "the tunnel is up" until_ok 30 site_is_up
site_pings

step "the peer dies and comes back at another address, its name leads there"
peer_crash
peer_at "${CLIENT_ADDR%.*}.77"
names "${CLIENT_ADDR%.*}.77"
peer_start
check "the server opens the tunnel there" until_ok 100 ike_sa_at gw2 "${CLIENT_ADDR%.*}.77"
site_pings
step "the end"
server_stop
wire_check udp 20 --restarted
finish
