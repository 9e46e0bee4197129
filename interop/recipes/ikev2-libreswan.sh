#!/bin/bash
# IKEv2 road warrior with libreswan: virtual address, kernel ESP in a guest.
#
# AUTH=psk|cert   NAT=0|1   LS_IKE=... LS_ESP=...   TRIALS=iperf,big,childrekey,ikerekey
. "$(dirname "$0")/../lab/lab.sh"

: "${NAT:=0}" ; : "${TRIALS:=}" ; : "${TIME_LIMIT:=240}"
ROLE=roadwarrior STACK=guest
lab_main
need linux.uml swanctl pki openssl iperf3 tcpdump tshark nft python3
[ -d "$LAYER" ] || { echo "missing: $LAYER (install-packages.sh)" >&2; exit 77; }
server_load

# Here a new SA is made by whack, not by swanctl.
trial_childrekey() {
  local old
  old=$(libreswan_child_sa "$1")
  ping_start "$1" "$LAN_HOST" childrekey
  sleep 1
  libreswan_rekey "$1" ipsec
  check "new ESP SAs" until_ok 10 changed libreswan_child_sa "$1" "$old"
  sleep 2
  check "childrekey: no ping lost" ping_end "$1" childrekey 0
}
trial_ikerekey() {
  ping_start "$1" "$LAN_HOST" ikerekey
  sleep 1
  libreswan_rekey "$1" ike
  check "new IKE SA" until_ok 10 libreswan_rekeyed_ike "$1"
  sleep 2
  check "ikerekey: no ping lost" ping_end "$1" ikerekey 0
}

step "topology: NAT=$NAT"
topology
node c1 guest "$LAYER"
if [ "$NAT" = 1 ]; then
  nat_router
  nic c1 eth0 home1 "$HOME_NET.10/24" "$HOME_NET.1" "$WAN_MTU"
else
  nic c1 eth0 wan "$CLIENT_ADDR/24" "$CLIENT_GW" "$WAN_MTU"
fi
topology_start c1
[ "$AUTH" = psk ] || pki_make
server_start

step "connect: AUTH=$AUTH LS_IKE=$LS_IKE LS_ESP=$LS_ESP"
libreswan_prepare c1
libreswan_roadwarrior | put c1 /etc/ipsec.conf
pluto_start c1
libreswan_add c1
must "connect" libreswan_initiate c1
info "$(grep -oE 'established.*|IPsec tunnel.*' "$OUT/c1/initiate.log" | tail -1 | cut -c1-150)"
check "virtual address from the pool" test -n "$(libreswan_address c1)"
check "ping LAN host" ping_ok c1 "$LAN_HOST" 5
for trial in ${TRIALS//,/ }; do
  declare -F "trial_$trial" >/dev/null || die "no trial $trial"
  step "$trial"
  "trial_$trial" c1
done

step "disconnect"
check "terminate" on c1 timeout 60 ipsec whack --terminate --name ls
form=esp
if [ "$NAT" = 1 ] || [ "${srv_wire:-}" = udp ]; then form=udp; fi
wire_check $form 10
finish
