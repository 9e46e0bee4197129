#!/bin/bash
# Two L2TP/IPsec clients with the same private address, behind two routers, each send PACKETS marked datagrams at once and
# get them back: none is lost, none reaches the other or carries the other's address.
. "$(dirname "$0")/../lab/lab.sh"

: "${IKE:=aes256-sha256-modp2048}" ; : "${ESP:=aes128-sha1}" ; : "${PACKETS:=10000}"
ROLE=l2tp AUTH=psk STACK=guest NAT=1
lab_main
l2tp_needs
server_load

step "topology"
topology
for number in 1 2; do
  nat_router $number
  l2tp_node c$number
  nic c$number eth0 home$number "$HOME_NET.10/24" "$HOME_NET.1"
done
topology_start c1 c2
server_start
daemon lan twins python3 "$INTEROP/tools/twins.py" serve "$LAN_HOST" 7000 "$OUT/lan/twins.txt"

step "connect"
l2tp_connect c1
l2tp_connect c2 "$USER2" "$PASS2"
for client in c1 c2; do info "$client: tunnel and session $(l2tp_numbers $client)"; done

# The clients' senders run in the background of this shell; each leaves its verdict in a file of its own.
send() { on "$1" python3 "$INTEROP/tools/twins.py" send "$LAN_HOST" 7000 "mark-of-$1" "$PACKETS" >"$OUT/$1/twins.txt" 2>&1; }

# arrived NODE: the LAN host saw all of them from that client's address, and nothing else from it.
arrived() { diff <(grep "^$2 " "$OUT/lan/twins.txt") <(echo "$2 mark-of-$1 $PACKETS"); }

step "$PACKETS datagrams each, at once"
send c1 &
first=$!
send c2 &
second=$!
check "c1: every datagram came back, no other did" wait $first
check "c2: every datagram came back, no other did" wait $second
for client in c1 c2; do info "$client: $(cat "$OUT/$client/twins.txt")"; done
sleep 2.5     # until the report of the LAN host
for client in c1 c2; do
  check "$client: the LAN host saw its marks under its address, and nothing else" arrived $client "$(ppp_value $client IPLOCAL)"
done

step "disconnect"
for client in c1 c2; do l2tp_disconnect $client; done
# A capture shows several packets of the gateway as one where it leaves the cutting to the kernel.
wire_check udp $((2 * PACKETS))
finish
