#!/bin/bash
# The client makes phase 1 and its ESP SAs anew every few seconds while pings run: none is lost, and neither the L2TP session
# nor PPP notices.
. "$(dirname "$0")/../lab/lab.sh"

: "${IKE:=aes256-sha256-modp2048}" ; : "${ESP:=aes128-sha1}" ; : "${SECONDS_LONG:=24}"
: "${CHILD_REKEY:=5s}" ; : "${IKE_REKEY:=11s}"
ROLE=l2tp AUTH=psk STACK=guest
lab_main
l2tp_needs
server_load

step "topology: CHILD_REKEY=$CHILD_REKEY IKE_REKEY=$IKE_REKEY"
topology
l2tp_node c1
nic c1 eth0 wan "$CLIENT_ADDR/24" "$CLIENT_GW"
topology_start c1
server_start

ends_all_sas() { ipsec_down_strongswan "$1"; no_ike_sa "$1"; }

step "connect"
l2tp_connect c1
child=$(child_sa c1) ike=$(ike_sa c1) numbers=$(l2tp_numbers c1)
info "session: $numbers"
check "the kernel tells the numbers of the session" test -n "$numbers"

step "$SECONDS_LONG seconds of pings"
log_mark c1
ping_start c1 "$LAN_HOST" lifetimes
sleep "$SECONDS_LONG"
check "the ESP SAs were made anew" changed child_sa c1 "$child"
check "phase 1 was made anew" changed ike_sa c1 "$ike"
info "quick modes since then: $(client_log c1 'CHILD_SA l2tp.*established' | wc -l), phase 1: $(client_log c1 'IKE_SA l2tp.*established' | wc -l)"
check "at most ${srv_rekey_loss:-0} pings lost" ping_end c1 lifetimes "${srv_rekey_loss:-0}"
check "PPP stayed up" ppp_is_up c1
check "the L2TP session is the same" test "$(l2tp_numbers c1)" = "$numbers"

step "disconnect"
check "c1: L2TP and PPP down" l2tp_down c1
# The client may be about to replace what it is told to end.
until_ok 20 ends_all_sas c1
check "c1: no IKE SA left" no_ike_sa c1
wire_check "${srv_wire:-esp}" 200
finish
