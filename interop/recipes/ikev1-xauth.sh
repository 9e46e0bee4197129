#!/bin/bash
# IKEv1 remote access with XAuth and mode config, known as "Cisco IPsec".
# IMPL=vpnc        aggressive mode, group key, ESP in userspace (VPNC_DH=dh2|dh5|dh14)
# IMPL=strongswan  main mode, STACK=libipsec|guest, TRIALS=childrekey,reauth
# NAT=0|1          behind a NAT router
. "$(dirname "$0")/../lab/lab.sh"

: "${STACK:=libipsec}" ; : "${NAT:=0}" ; : "${TRIALS:=}" ; : "${VPNC_DH:=dh2}"
: "${IKE:=aes256-sha256-modp2048}" ; : "${ESP:=aes256-sha256}" ; : "${IPERF_SECONDS:=1}"
ROLE=xauth AUTH=psk
if [ "$IMPL" = vpnc ]; then
  AGGRESSIVE=yes
  SRV_POLICY=compatible,legacy-android     # vpnc asks for group 2 unless told otherwise
fi
lab_main
need swanctl iperf3 tcpdump tshark nft python3
[ "$IMPL" != vpnc ] || need vpnc
[ "$STACK" = libipsec ] || need linux.uml
server_load

# Phase 1 again with a new login; children move to it.
trial_reauth() {
  local node=$1 old
  old=$(ike_sa "$node")
  ping_start "$node" "$LAN_HOST" reauth
  sleep 1
  check "IKE SA again" swan "$node" --rekey --ike rw
  check "new IKE SA (was $old)" until_ok 15 changed ike_sa "$node" "$old"
  sleep 2
  check "at most 20 pings lost" ping_end "$node" reauth 20
}

step "topology: IMPL=$IMPL STACK=$STACK NAT=$NAT"
topology
xauth_node c1
if [ "$NAT" = 1 ]; then
  nat_router
  nic c1 eth0 home1 "$HOME_NET.10/24" "$HOME_NET.1" "$WAN_MTU"
else
  nic c1 eth0 wan "$CLIENT_ADDR/24" "$CLIENT_GW" "$WAN_MTU"
fi
topology_start c1
server_start

step "connect"
must "IKE SA, XAuth, mode config, quick mode" "xauth_up_$IMPL" c1
address=$("xauth_address_$IMPL" c1)
info "virtual address $address"
check "address from the pool" in_network "$address" "$POOL"
check "DNS servers by mode config" "xauth_dns_$IMPL" c1
check "ping LAN host" ping_ok c1 "$LAN_HOST" 5
trial_iperf c1
for trial in ${TRIALS//,/ }; do
  declare -F "trial_$trial" >/dev/null || die "no trial $trial"
  step "$trial"
  "trial_$trial" c1
done

step "disconnect"
check "the client says goodbye" "xauth_down_$IMPL" c1
form=esp
if [ "$NAT" = 1 ] || [ "${srv_wire:-}" = udp ] || { [ "$IMPL" = strongswan ] && [ "$STACK" = libipsec ]; }; then form=udp; fi
wire_check $form 20
finish
