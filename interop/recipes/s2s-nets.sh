#!/bin/bash
# Two pairs of networks: once as two children, the second made by CREATE_CHILD_SA, once as one child with all networks.
. "$(dirname "$0")/../lab/lab.sh"

: "${IKE:=aes256gcm16-prfsha384-ecp384}" ; : "${ESP:=aes256gcm16}"
ROLE=site STACK=libipsec
lab_main
need swanctl tcpdump tshark nft python3
server_load

# CHILDREN=two: net and net2; one: net with all networks.
all_lan=$LAN_NET,$LAN_NET6,$LAN_NET2
all_far=$FAR_NET,$FAR_NET6,$FAR_NET2
children() {
  if [ "$CHILDREN" = two ]; then
    "$1" net "$2" "$3"
    ESP=${ESP2:-$ESP-ecp384} "$1" net2 "$4" "$5"
  else
    "$1" net "$2,$4" "$3,$5"
  fi
}
peer_children()      { children peer_child "$FAR_NET,$FAR_NET6" "$LAN_NET,$LAN_NET6" "$FAR_NET2" "$LAN_NET2"; }
swan_site_children() { children swan_site_child "$LAN_NET,$LAN_NET6" "$FAR_NET,$FAR_NET6" "$LAN_NET2" "$FAR_NET2"; }
cygnet_site_networks() {
  if [ "$CHILDREN" = one ]; then
    printf 'local = %s\nremote = %s\n' "$(quoted ${all_lan//,/ })" "$(quoted ${all_far//,/ })"
  else
    printf '[[site.peer.child]]\nname = "net"\nlocal = %s\nremote = %s\n' \
      "$(quoted "$LAN_NET" "$LAN_NET6")" "$(quoted "$FAR_NET" "$FAR_NET6")"
    printf '[[site.peer.child]]\nname = "net2"\nlocal = %s\nremote = %s\n' "$(quoted "$LAN_NET2")" "$(quoted "$FAR_NET2")"
  fi
}

second_pings() {
  check "ping between the second networks" ping_ok far "$LAN_HOST2" 5 -I "$FAR_HOST2"
  check "and the other way" ping_ok lan "$FAR_HOST2" 5 -I "$LAN_HOST2"
}
children_installed() { [ "$(sas gw2 | grep -c INSTALLED)" = "$1" ]; }

step "topology"
topology
site_topology "$(site_kind)"
site_start

CHILDREN=two
peer_start
server_start
step "two children, opened by the peer"
tunnel_up peer
site_pings
check "the second child" peer_initiate net2
check "two Child SAs" children_installed 2
second_pings
site_trial_v6
peer_disconnect

step "two children, opened by the server"
tunnel_up server
[ "$SERVER" = cygnet ] || swan srv --initiate --child net2 --timeout 10 >/dev/null
check "two Child SAs" until_ok 10 children_installed 2
site_pings
second_pings
peer_disconnect

CHILDREN=one
server_restart
peer_config | swan_load gw2 >/dev/null
step "one child with all networks, opened by the peer"
tunnel_up peer
check "one Child SA" children_installed 1
site_pings
second_pings
peer_disconnect

step "one child with all networks, opened by the server"
tunnel_up server
check "one Child SA" children_installed 1
site_pings
second_pings
peer_disconnect
wire_check udp 20 --restarted
finish
