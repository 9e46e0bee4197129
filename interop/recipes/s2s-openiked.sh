#!/bin/bash
# Site to site with OpenIKED as the peer: an independent IKEv2, kernel ESP in a guest.
#
# AUTH=psk|cert   INITIATOR=peer|server   IKED_*: see lab/openiked.sh   TRIALS=word,word: iperf, timerekey
. "$(dirname "$0")/../lab/lab.sh"

: "${INITIATOR:=peer}" ; : "${TRIALS:=}" ; : "${TIME_LIMIT:=240}"
ROLE=site STACK=guest
lab_main
need linux.uml iked ikectl swanctl pki iperf3 tcpdump tshark nft python3
server_load

trial_iperf() {
  check "iperf3 from the far LAN" iperf_ok far "$LAN_HOST" 1
  check "iperf3 from the far LAN, the other way" iperf_ok far "$LAN_HOST" 1 -R
}
trial_timerekey() {
  local old
  old=$(iked_child_sa gw2)
  site_pings_start timerekey
  sleep "${TIMEREKEY_SECONDS:-20}"
  check "Child SA was rekeyed by time" changed iked_child_sa gw2 "$old"
  # A packet under the new SA that comes to the peer half a millisecond after its DELETE of the old one was answered may stay without
  # answer: it was seen on the wire; presumably iked changes the flows of its kernel at that moment.
  site_pings_end timerekey 1
}

step "topology"
topology
site_topology guest
site_start
[ "$AUTH" = psk ] || pki_make
server_start

step "tunnel: opened by $INITIATOR, AUTH=$AUTH"
case $INITIATOR in
  peer) iked_start gw2 active ;;
  server)
    iked_start gw2 passive
    must "the server opens the tunnel" until_ok 10 srv_initiate ;;
esac
must "the tunnel is up" until_ok 60 iked_is_up gw2
iked_sas gw2 >"$OUT/gw2/sas.txt" 2>&1
info "$(grep -m1 iked_sas "$OUT/gw2/sas.txt" | tr -s ' ' | cut -c1-160)"
site_pings
for trial in ${TRIALS//,/ }; do
  declare -F "trial_$trial" >/dev/null || die "no trial $trial"
  step "$trial"
  "trial_$trial"
done

step "disconnect"
check "iked ends" iked_stop gw2
wire_check "$(site_form)" 20
finish
