#!/bin/bash
# Transport mode between the two gateways themselves (RFC 7296 section 1.3.1, USE_TRANSPORT_MODE): no networks behind them are
# joined. Either side opens it. The peer is a Linux kernel.
. "$(dirname "$0")/../lab/lab.sh"

: "${TIME_LIMIT:=240}"
: "${IKE:=aes256gcm16-prfsha384-ecp384}" ; : "${ESP:=aes256gcm16}"
ROLE=site STACK=guest SRV_SITE='mode = "transport"'
lab_main
need linux.uml swanctl tcpdump tshark nft python3
server_load

SWAN_CHILD_OPT="mode = transport"
peer_children()        { peer_child net dynamic dynamic; }
swan_site_children()   { swan_site_child net dynamic dynamic | sed 's/local_ts/mode = transport\n        local_ts/'; }
cygnet_site_networks() { true; }

host_pings() {
  check "ping from the peer" ping_ok gw2 "$SERVER_ADDR" 5
  check "ping to the peer" ping_ok srv "$CLIENT_ADDR" 5
  check "ping to the peer with 1400 bytes" ping_ok srv "$CLIENT_ADDR" 3 -s 1400
}
is_transport() { sas gw2 | grep -q 'INSTALLED, TRANSPORT'; }

step "topology"
topology
site_topology "$(site_kind)"
site_start
peer_start
server_start
for opener in peer server; do
  step "opened by the $opener"
  tunnel_up "$opener"
  check "transport mode" is_transport
  host_pings
  if [ "$opener" = peer ]; then
    peer_disconnect
  fi
done
step "rekeying"
old=$(child_sa gw2)
ping_start gw2 "$SERVER_ADDR" rekey
sleep 1
check "rekeying by the server accepted" srv_rekey_child
check "new Child SA (was $old)" until_ok 10 changed child_sa gw2 "$old"
check "still transport mode" is_transport
sleep 1
check "no ping lost" ping_end gw2 rekey 0
peer_disconnect
wire_check esp 20 --no-lan
finish
