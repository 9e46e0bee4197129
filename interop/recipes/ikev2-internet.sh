#!/bin/bash
# A cloud gateway for laptops: all traffic of the client goes through the tunnel. With translation a host of the internet
# sees the gateway's public address and the LAN host its private address; without it, and with a route back, the LAN host
# sees the client's own.
. "$(dirname "$0")/../lab/lab.sh"

: "${IKE:=aes256gcm16-prfsha384-ecp384}" ; : "${ESP:=aes256gcm16}"
ROLE=roadwarrior AUTH=psk STACK=libipsec SRV_ROUTES=all CLIENT_TS=0.0.0.0/0,::/0
lab_main
need swanctl tcpdump tshark nft python3
server_load

step "topology: with a host of the internet"
topology
web_host
node c1 plain
nic c1 eth0 wan "$CLIENT_ADDR/24" "$CLIENT_GW"
topology_start c1
who_answers web
who_answers lan
# Whoever gets past the gateway's translation finds no way back from there.
ns wan nft -f - <<RULES
table ip border {
  chain forward {
    type filter hook forward priority 0
    ip saddr { $POOL, $LAN_NET, $LAN_NET2 } drop
  }
}
RULES

SRV_NAT=yes
server_start
step "connect: translated"
check "without a tunnel the client is itself" is_seen_as c1 "$WEB_HOST" "$CLIENT_ADDR"
must "connect" client_up c1
check "a host of the internet sees the gateway's public address" is_seen_as c1 "$WEB_HOST" "$SERVER_ADDR"
check "the LAN host sees the gateway's private address" is_seen_as c1 "$LAN_HOST" "$LAN_GW"
check "ping LAN host" ping_ok c1 "$LAN_HOST" 5
disconnect c1

SRV_NAT=no
server_restart
step "connect: routed"
must "connect" client_up c1
check "the LAN host sees the client's own address" is_seen_as c1 "$LAN_HOST" "$(client_address c1 4)"
check "ping LAN host" ping_ok c1 "$LAN_HOST" 5
disconnect c1
wire_check udp 20 --restarted --beyond "$WEB_HOST"
finish
