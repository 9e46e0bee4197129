#!/bin/bash
# The same identity from two clients: the new session replaces the older one, or both live, as the gateway is told.
. "$(dirname "$0")/../lab/lab.sh"

: "${IKE:=aes128gcm16-prfsha256-x25519}" ; : "${ESP:=aes128gcm16}"
ROLE=roadwarrior STACK=libipsec AUTH=psk
lab_main
need swanctl tcpdump tshark nft python3
server_load

# second_login UNIQUE CLIENT_SAYS_INITIAL_CONTACT(yes|no)
second_login() {
  step "$1, INITIAL_CONTACT: $2"
  SRV_UNIQUE=$(words_of "$1")
  server_restart
  SWAN_CONN_OPT="unique = $([ "$2" = yes ] && echo no || echo never)"
  check "first client" client_up c1
  check "second client" client_up c2
  check "second client: ping" ping_ok c2 "$LAN_HOST" 3
}
# strongSwan's words for what Cygnet calls replace, keep and never.
words_of() {
  case $SERVER:$1 in
    cygnet:*) echo "$1" ;;
    *:keep) echo no ;;
    *) echo "$1" ;;
  esac
}
replaced() {
  check "the first client was told: it has no SA left" until_ok 10 no_ike_sa c1
  disconnect c2
}
both_live() {
  check "the first client is still served: ping" ping_ok c1 "$LAN_HOST" 3
  check "they have different addresses" test "$(client_address c1 4)" != "$(client_address c2 4)"
  disconnect c1
  disconnect c2
}

step "topology"
topology
for number in 1 2; do
  node c$number plain
  nic c$number eth0 wan "${CLIENT_ADDR%.*}.$((9 + number))/24" "$CLIENT_GW"
done
topology_start c1 c2

second_login replace no
replaced
second_login keep no
both_live
second_login never yes
both_live
wire_check udp 10 --restarted
finish
