#!/bin/bash
# Site to site with strongSwan as the peer, a LAN behind each side.
#
# STACK=libipsec|guest   ESP of the peer: userspace inside UDP, or a Linux kernel's
# INITIATOR=peer|server|traffic   who opens the tunnel; traffic: the first packet from the LAN
# TRIALS=word,word       functions site_trial_*
. "$(dirname "$0")/../lab/lab.sh"

: "${STACK:=libipsec}" ; : "${INITIATOR:=peer}" ; : "${TRIALS:=}"
: "${IKE:=aes256gcm16-prfsha384-ecp384}" ; : "${ESP:=aes256gcm16}"
ROLE=site
if [ "$INITIATOR" = traffic ]; then : "${SRV_START:=demand}"; fi

wants() { [[ ,$TRIALS, == *,$1,* ]]; }

lab_main
if wants ppk; then
  SWAN_CONN_OPT="ppk_id = $PPK_ID"$'\n'"    ppk_required = yes"
  SRV_SITE="ppk = { id = \"$PPK_ID\", secret = \"0x$PPK_SECRET\", required = true }"
  SRV_CONN_OPT=$SWAN_CONN_OPT
fi
if [ "$SRV_ENCAP" = yes ]; then
  SRV_SITE="force_udp_encap = true"
  SRV_CONN_OPT="encap = yes"
fi
need swanctl pki iperf3 tcpdump tshark nft python3
[ "$STACK" = libipsec ] || need linux.uml
server_load

step "topology: STACK=$STACK"
topology
site_topology "$(site_kind)"
site_start
[ "$AUTH" = psk ] || pki_make
peer_start
server_start

step "tunnel: opened by $INITIATOR, AUTH=$AUTH"
tunnel_up "$INITIATOR"
site_pings
for trial in ${TRIALS//,/ }; do
  declare -F "site_trial_$trial" >/dev/null || die "no trial $trial"
  step "$trial"
  "site_trial_$trial"
done

step "disconnect"
peer_disconnect
wire_check "$(site_form)" 20
finish
