#!/bin/bash
# The gateway is killed with a client connected. Started again it finds or leaves nothing stale, and the client, whose
# liveness check notices, comes back by itself.
. "$(dirname "$0")/../lab/lab.sh"

: "${IKE:=aes128gcm16-prfsha256-x25519}" ; : "${ESP:=aes128gcm16}"
ROLE=roadwarrior AUTH=psk STACK=libipsec
DPD_DELAY=2s CHARON_TRIES=1 SWAN_CONN_OPT="keyingtries = 0" SWAN_CHILD_OPT="dpd_action = restart"
lab_main
need swanctl tcpdump tshark nft python3
server_load

reconnected() { client_refresh && [ "$(ike_sa c1)" != "$1" ] && on c1 ping -n -c 1 -W 1 "$LAN_HOST"; }
client_refresh() { sas c1 >"$OUT/c1/sas.txt" && has_ike_sa c1; }

step "topology"
topology
node c1 plain
nic c1 eth0 wan "$CLIENT_ADDR/24" "$CLIENT_GW"
topology_start c1
server_start
cp "$OUT/srv/footprint-before" "$OUT/srv/footprint-clean"
cp "$OUT/srv/footprint-running" "$OUT/srv/footprint-fresh"

step "connect"
must "connect" client_up c1
check "ping LAN host" ping_ok c1 "$LAN_HOST" 5
before=$(client_address c1 4)
old=$(ike_sa c1)

step "kill -9"
srv_kill
SERVER_STARTED=
check "the server is gone" until_ok 5 not srv_alive
server_start
check "nothing stale: interfaces, routes and rules are those of a first start" footprint_is fresh
check "the client comes back by itself" until_ok 60 reconnected "$old"
info "virtual address before $before, now $(client_address c1 4)"
check "ping LAN host" ping_ok c1 "$LAN_HOST" 5

step "disconnect"
disconnect c1
wire_check udp 10 --restarted
cp "$OUT/srv/footprint-clean" "$OUT/srv/footprint-before"
finish
