#!/bin/bash
# Selectors with protocol and port (RFC 7296 section 3.13.1): one child for pings, one for one TCP port; nothing else gets through,
# and nothing else leaves in clear.
. "$(dirname "$0")/../lab/lab.sh"

: "${IKE:=aes256gcm16-prfsha384-ecp384}" ; : "${ESP:=aes256gcm16}"
ROLE=site STACK=libipsec
lab_main
need swanctl iperf3 tcpdump tshark nft python3
server_load

peer_children() {
  peer_child net "$FAR_NET[icmp]" "$LAN_NET[icmp]"
  peer_child tcp "$FAR_NET[tcp]" "$LAN_NET[tcp/5201]"
}
swan_site_children() {
  swan_site_child net "$LAN_NET[icmp]" "$FAR_NET[icmp]"
  swan_site_child tcp "$LAN_NET[tcp/5201]" "$FAR_NET[tcp]"
}
cygnet_site_networks() {
  printf '[[site.peer.child]]\nname = "net"\nlocal = ["%s icmp"]\nremote = ["%s icmp"]\n' "$LAN_NET" "$FAR_NET"
  printf '[[site.peer.child]]\nname = "tcp"\nlocal = ["%s tcp/5201"]\nremote = ["%s tcp"]\n' "$LAN_NET" "$FAR_NET"
}

step "topology"
topology
site_topology "$(site_kind)"
site_start
who_answers lan
peer_start
server_start

step "the child for pings"
tunnel_up peer
site_pings
check "TCP does not get through" not iperf_ok far "$LAN_HOST" 0.1
step "the child for one TCP port"
check "the second child" peer_initiate tcp
check "iperf3 from the far LAN" iperf_ok far "$LAN_HOST" 1
check "another TCP port does not get through" not is_seen_as far "$LAN_HOST" "$FAR_HOST"
site_pings
peer_disconnect
wire_check udp 20
finish
