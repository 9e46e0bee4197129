#!/bin/bash
# Site to site with Cygnet at both ends: opened by the first packet, rekeyed by both, one end dies and comes back.
#
# AUTH=psk|cert|rawkey   MODE=tunnel|interface: interface gives each site a device of its own
. "$(dirname "$0")/../lab/lab.sh"

: "${MODE:=tunnel}" ; : "${TIME_LIMIT:=240}" ; : "${IPERF_SECONDS:=1}"
ROLE=site SRV_START=demand PEER_START=demand SRV_LIVENESS=3s
lab_main
need iperf3 tcpdump tshark nft python3 pki
server_load

if [ "$MODE" = interface ]; then SRV_SITE='mode = "interface"' PEER_SITE='mode = "interface"'; fi

# rekeyed NAME COMMAND...: under pings both ways.
rekeyed() {
  local what=$1
  shift
  site_pings_start "$what"
  sleep 1
  check "$what" "$@"
  sleep 1.5
  site_pings_end "$what" 0
}
opened_by_traffic() {
  ns "$1" ping -n -c 6 -i 0.5 -W 15 -p "$MARK" "$2" >"$OUT/$1/trigger.log" 2>&1
  check "the first packet from $1 opened the tunnel and was not lost" grep -q 'icmp_seq=1 ' "$OUT/$1/trigger.log"
  check "both ends say that it is up" cygnet_both_up
}
# Packets of the site go through a device of its own.
own_device() { [[ $(ns "$1" ip route show "$2") == *' dev peer '* ]]; }

step "topology"
topology
site_topology bare
site_start
server_start
cygnet_peer_start

step "opened by a packet from the LAN, AUTH=$AUTH MODE=$MODE"
opened_by_traffic lan "$FAR_HOST"
site_pings
site_trial_v6
site_trial_big
if [ "$MODE" = interface ]; then
  check "srv has a device for the site" own_device srv "$FAR_NET"
  check "gw2 has a device for the site" own_device gw2 "$LAN_NET"
fi
check "iperf3 from the far LAN" iperf_ok far "$LAN_HOST" 1
check "iperf3 to the far LAN" iperf_ok lan "$FAR_HOST" 1

step "rekeying"
rekeyed "rekeying of the Child SA by srv" cygnet_at srv rekey peer
rekeyed "rekeying of the IKE SA by srv" cygnet_at srv rekey peer --ike
rekeyed "rekeying of the Child SA by gw2" cygnet_at gw2 rekey peer
rekeyed "rekeying of the IKE SA by gw2" cygnet_at gw2 rekey peer --ike

step "down and up by command"
check "cygnet down" cygnet down peer
check "both ends know" until_ok 10 not cygnet_both_up
check "cygnet up" cygnet up peer
check "both ends say that it is up" until_ok 5 cygnet_both_up
site_pings 3

step "gw2 dies without a word and comes back"
cygnet_peer_stop KILL
cygnet_peer_start
opened_by_traffic far "$LAN_HOST"
site_pings

step "the end"
check "gw2 ends in peace" cygnet_peer_stop
check "srv knows" until_ok 10 not cygnet_site_is srv UP
wire_check any 50 --restarted
finish
