#!/bin/bash
# L2TP/IPsec clients on a Linux kernel behind NAT, ESP inside UDP.
# MODE=one   one client                      MODE=two   two behind the same router, connected at the same time
# MODE=twin  two with the same private address behind two routers, at the same time
# TRIALS=natrebind: with one client, the router picks other ports in mid-session
# NAT_FLAGS=fully-random: the router rewrites ports 500 and 4500.
. "$(dirname "$0")/../lab/lab.sh"

: "${IKE:=aes256-sha256-modp2048,aes128-sha1-modp2048}" ; : "${ESP:=aes256-sha256,aes128-sha1}" ; : "${MODE:=one}"
: "${TRIALS:=}"
: "${IPERF_SECONDS:=1}"
ROLE=l2tp AUTH=psk STACK=guest NAT=1
lab_main
l2tp_needs
need iperf3
server_load

step "topology: MODE=$MODE IMPL=$IMPL"
topology
nat_router 1
case $MODE in
  one) homes=(home1:10) ;;
  two) homes=(home1:10 home1:11) ;;
  twin) nat_router 2; homes=(home1:10 home2:10) ;;
  *) die "MODE=$MODE" ;;
esac
clients=()
for home in "${homes[@]}"; do
  client=c$((${#clients[@]} + 1))
  l2tp_node "$client"
  nic "$client" eth0 "${home%:*}" "$HOME_NET.${home#*:}/24" "$HOME_NET.1" "$WAN_MTU"
  clients+=("$client")
done
topology_start "${clients[@]}"
server_start

both_at_once() {
  step "both at once"
  check "two clients, two addresses" test "$(ppp_value c1 IPLOCAL)" != "$(ppp_value c2 IPLOCAL)"
  ping_start c1 "$LAN_HOST" c1
  ping_start c2 "$LAN_HOST" c2
  check "c1: iperf3 while c2 is connected" iperf_ok c1 "$LAN_HOST" 1
  check "c2: iperf3 while c1 is connected" iperf_ok c2 "$LAN_HOST" 1 -R
  check "c1: pings while both are connected" ping_end c1 c1 2
  check "c2: pings while both are connected" ping_end c2 c2 2
}

step "connect"
l2tp_connect c1
l2tp_exercise c1
if [ "$MODE" != one ]; then
  l2tp_connect c2 "$USER2" "$PASS2"
  both_at_once
fi

for trial in ${TRIALS//,/ }; do
  step "$trial"
  "trial_$trial" c1
done

step "disconnect"
l2tp_disconnect c1
if [ "$MODE" != one ]; then
  check "c2 still works" ping_ok c2 "$LAN_HOST" 5
  l2tp_disconnect c2
fi
wire_check udp 100
finish
