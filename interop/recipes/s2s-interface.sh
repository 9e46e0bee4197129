#!/bin/bash
# Route-based: the site has a TUN device of its own and everything fits its selectors, so routes decide what goes through it. A
# network that only a route leads to is reached. The peer is strongSwan.
. "$(dirname "$0")/../lab/lab.sh"

: "${IKE:=aes256gcm16-prfsha384-ecp384}" ; : "${ESP:=aes256gcm16}"
ROLE=site STACK=libipsec SRV_START=passive
lab_main
need swanctl tcpdump tshark nft python3
server_load
[ "$SERVER" = cygnet ] || die "strongSwan has route-based tunnels in kernels with XFRM interfaces only"

SRV_SITE='mode = "interface"; interface = "tunber"; routes = false'
peer_children() { peer_child net 0.0.0.0/0 "$LAN_NET,$LAN_NET2"; }
cygnet_site_networks() {
  echo "local = $(quoted "$LAN_NET" "$LAN_NET2")"
  echo 'remote = ["0.0.0.0/0"]'
}
device_is_there() { ns srv ip link show tunber; }

step "topology"
topology
site_topology "$(site_kind)"
site_start
server_start
check "the device is there before the tunnel" device_is_there
check "no route leads through it yet" not sh -c "ip -n ${PREFIX}srv route | grep tunber"
peer_start

step "opened by the peer"
tunnel_up peer
ns srv ip route add "$FAR_NET" dev tunber
site_pings
# Without any route its packets would go to the internet.
ns srv ip route add unreachable "$FAR_NET2"
check "another network of the peer is not reached" ping_fails lan "$FAR_HOST2"
ns srv ip route replace "$FAR_NET2" dev tunber
check "until a route leads there" ping_ok lan "$FAR_HOST2" 5
ns srv ip route del "$FAR_NET"
ns srv ip route del "$FAR_NET2"
peer_disconnect
wire_check udp 20
finish
