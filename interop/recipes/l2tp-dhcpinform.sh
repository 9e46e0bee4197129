#!/bin/bash
# After it has connected a client asks by DHCPINFORM, as Windows and macOS do: the answer has the routes of the split tunnel,
# name servers and domain.
. "$(dirname "$0")/../lab/lab.sh"

: "${IKE:=aes256-sha256-modp2048}" ; : "${ESP:=aes128-sha1}"
ROLE=l2tp AUTH=psk STACK=guest SRV_REMOTE='dns_domains = ["corp.example"]'
lab_main
l2tp_needs
server_load

step "topology"
topology
l2tp_node c1
nic c1 eth0 wan "$CLIENT_ADDR/24" "$CLIENT_GW"
topology_start c1
server_start

ask() { on c1 python3 "$INTEROP/tools/dhcpinform.py" ppp0 "$(ppp_value c1 IPLOCAL)" | tee "$OUT/c1/dhcp.txt"; }
answer() { grep -qxE "$1" "$OUT/c1/dhcp.txt"; }
routes_of() { sed -n "s/^option $1 //p" "$OUT/c1/dhcp.txt"; }

step "connect"
l2tp_connect c1

step "DHCPINFORM"
must "it is answered" ask
info "$(tr '\n' ';' <"$OUT/c1/dhcp.txt")"
check "by a DHCPACK whose first option is its type" answer 'first 53'
check "  type 5" answer 'type 5'
check "  from port 67" answer 'from [0-9.]+ 67'
check "  name servers" answer "option 6 $DNS1 $DNS2"
check "  domain" answer 'option 15 corp\.example'
for network in "$LAN_NET" "$LAN_NET2"; do
  check "  route to $network" prints "(^| )${network//./\\.}>" routes_of 121
done
check "  the same routes in option 249" test "$(routes_of 121)" = "$(routes_of 249)"
check "ping LAN host" ping_ok c1 "$LAN_HOST" 3

step "disconnect"
l2tp_disconnect c1
wire_check "${srv_wire:-esp}" 10
finish
