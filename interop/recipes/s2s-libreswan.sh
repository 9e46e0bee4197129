#!/bin/bash
# Site to site with libreswan as the peer, kernel ESP in a guest: either side opens the tunnel, both rekey.
#
# AUTH=psk|cert   INITIATOR=peer|server   LS_*: see lab/libreswan.sh
. "$(dirname "$0")/../lab/lab.sh"

: "${INITIATOR:=peer}" ; : "${TIME_LIMIT:=240}"
ROLE=site STACK=guest
lab_main
need linux.uml swanctl pki openssl iperf3 tcpdump tshark nft python3
[ -d "$LAYER" ] || { echo "missing: $LAYER (install-packages.sh)" >&2; exit 77; }
server_load

# rekey LOST NAME COMMAND...: so many pings may be lost.
rekey() {
  local limit=$1 what=$2 old
  shift 2
  old=$(libreswan_child_sa gw2)
  site_pings_start "$what"
  sleep 1
  "$@"
  [[ $what == *ike* ]] || check "$what: new ESP SAs" until_ok 10 changed libreswan_child_sa gw2 "$old"
  sleep 2
  site_pings_end "$what" "$limit"
}

step "topology"
topology
site_topology guest "$LAYER"
site_start
[ "$AUTH" = psk ] || pki_make
server_start
libreswan_prepare gw2
libreswan_site | put gw2 /etc/ipsec.conf
pluto_start gw2
libreswan_add gw2

step "tunnel: opened by $INITIATOR, AUTH=$AUTH"
case $INITIATOR in
  peer) must "the peer opens the tunnel" libreswan_initiate gw2 ;;
  server) must "the server opens the tunnel" srv_initiate ;;
esac
must "the tunnel is up" until_ok 10 libreswan_has_child gw2
site_pings
check "iperf3 from the far LAN" iperf_ok far "$LAN_HOST" 1

step "rekeying by the peer"
# libreswan changes states and policies of the kernel one after the other, whoever began.
rekey 1 peerrekey-child libreswan_rekey gw2 ipsec
rekey 0 peerrekey-ike libreswan_rekey gw2 ike
check "peerrekey-ike: new IKE SA" until_ok 10 libreswan_rekeyed_ike gw2
step "rekeying by the server"
rekey 1 serverrekey-child srv_rekey_child
rekey 0 serverrekey-ike srv_rekey_ike

step "disconnect"
check "terminate" on gw2 timeout 15 ipsec whack --terminate --name ls
wire_check "$(site_form)" 20
finish
