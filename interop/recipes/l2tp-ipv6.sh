#!/bin/bash
# IPv6 inside L2TP: IPV6CP gives the interface identifier, a router advertisement the prefix and the default route.
. "$(dirname "$0")/../lab/lab.sh"

: "${IKE:=aes256-sha256-modp2048}" ; : "${ESP:=aes128-sha1}"
PPP_OPTIONS='mtu 1400;mru 1400;+ipv6;ipv6cp-accept-local'
ROLE=l2tp AUTH=psk STACK=guest SRV_ROUTES=all   # without a default route to announce, Linux would have to be told to take single ones
lab_main
l2tp_needs
server_load

step "topology"
topology
l2tp_node c1
nic c1 eth0 wan "$CLIENT_ADDR/24" "$CLIENT_GW"
topology_start c1
server_start
on c1 sysctl -qw net.ipv6.conf.default.accept_ra=2 net.ipv6.conf.default.autoconf=1

global_address() { on c1 ip -6 -o addr show dev ppp0 scope global | sed -n 's/.*inet6 \([^ /]*\).*/\1/p'; }

step "connect"
l2tp_connect c1
check "IPV6CP is up" until_ok 10 on c1 test -s /run/ppp-up6.env
check "an address by stateless autoconfiguration" until_ok 10 prints . global_address
address=$(global_address)
info "c1: $address $(on c1 ip -6 route show default)"
check "it is from the pool" in_network "${address:-::}" "$POOL6"
check "a default route by router advertisement" prints 'via fe80::.* dev ppp0 proto ra' on c1 ip -6 route show default
check "ping LAN host by IPv6" ping_ok c1 "$LAN_HOST6" 5
check "ping LAN host by IPv6 with 1300 bytes" ping_ok c1 "$LAN_HOST6" 3 -s 1300

step "disconnect"
l2tp_disconnect c1
wire_check "${srv_wire:-esp}" 20
finish
