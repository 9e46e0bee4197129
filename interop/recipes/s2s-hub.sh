#!/bin/bash
# A site and a remote client at one gateway: the client reaches the network behind the peer, through two tunnels.
. "$(dirname "$0")/../lab/lab.sh"

: "${IKE:=aes256gcm16-prfsha384-ecp384}" ; : "${ESP:=aes256gcm16}"
ROLE=hub STACK=libipsec AUTH=psk
lab_main
need swanctl tcpdump tshark nft python3
server_load
[ "$SERVER" = cygnet ] || die "the reference driver serves either sites or clients"

# The client has a key of its own: that of the site does not let it in.
SITE_PSK=site-psk-0123456789
cygnet_config() {
  cygnet_remote
  echo "$SITE_PSK" | (umask 077; cat >"$OUT/srv/site-psk")
  cygnet_site | sed 's/file:psk/file:site-psk/'
}
cygnet_site_networks() {
  echo "local = $(quoted "$LAN_NET" "$POOL")"
  echo "remote = $(quoted "$FAR_NET")"
}
peer_children() { peer_child net "$FAR_NET" "$LAN_NET,$POOL"; }
SRV_REMOTE="routes = $(quoted "$LAN_NET" "$FAR_NET")" SRV_ROUTES=all
CLIENT_TS=$LAN_NET,$FAR_NET CLIENT_VIPS=0.0.0.0

step "topology"
topology
site_topology "$(site_kind)"
client_node c1
nic c1 eth0 wan "${CLIENT_ADDR%.*}.20/24" "$CLIENT_GW"
topology_start gw2 far c1
PSK=$SITE_PSK peer_start
server_start

step "the tunnel to the site, then the client"
tunnel_up peer
CLIENT_ID=laptop.example.test
must "connect" client_up c1
check "ping LAN host" ping_ok c1 "$LAN_HOST" 5
check "ping the host behind the peer" ping_ok c1 "$FAR_HOST" 5
check "and that host the client" ping_ok far "$(client_address c1 4)" 5
site_pings

step "the key of the site does not let a client in"
disconnect c1
PSK=$SITE_PSK check "refused" not client_up c1
check "the client is told AUTHENTICATION_FAILED" client_log c1 AUTH_FAILED
check "it has no SA" no_ike_sa c1
peer_disconnect
wire_check udp 20
finish
