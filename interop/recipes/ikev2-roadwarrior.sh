#!/bin/bash
# IKEv2 road warrior: one strongSwan client with a virtual address.
#
# AUTH=psk|cert|eap-mschapv2|eap-tls   TLS=1.2|1.3
# STACK=libipsec  userspace ESP, always inside UDP, no guest kernel (fast)
# STACK=guest     kernel ESP in a guest: raw ESP, or inside UDP with NAT=1
# PATH_MTU=...    of the WAN in the middle, for the trial pmtu
# NAT=0|1         behind a NAT router          FAMILY=4|6  outer addresses
# IKE=... ESP=... proposals                    TRIALS=word,word  functions trial_*; attacks last
. "$(dirname "$0")/../lab/lab.sh"

: "${STACK:=libipsec}" ; : "${NAT:=0}" ; : "${FAMILY:=4}" ; : "${TRIALS:=}" ; : "${PATH_MTU:=1320}"
: "${IKE:=aes256gcm16-prfsha384-ecp384}" ; : "${ESP:=aes256gcm16}"
ROLE=roadwarrior

wants() { [[ ,$TRIALS, == *,$1,* ]]; }

if wants frag; then
  : "${CA_KEY:=rsa3072}" "${SERVER_KEY:=rsa4096}" "${CLIENT_KEY:=rsa4096}"
fi
lab_main
need swanctl pki iperf3 tcpdump tshark nft python3
[ "$STACK" = libipsec ] || need linux.uml
server_load

# What some trials ask of the client's configuration.
if wants ts2; then CLIENT_TS=$LAN_NET,$LAN_NET6,$LAN_NET2; fi
if wants narrow; then CLIENT_TS=0.0.0.0/0,::/0; fi
if wants frag; then
  SWAN_CONN_OPT="fragmentation = force"
  CHARON_CONF="fragment_size = 600"
fi
if wants mobike; then CLIENT_MOBIKE=yes; fi
if wants childless; then SWAN_CONN_OPT="childless = force"; fi
if wants ppk; then SWAN_CONN_OPT="ppk_id = $PPK_ID"$'\n'"    ppk_required = yes"; fi

plug_in_client() {
  if [ "$NAT" = 1 ]; then
    nat_router
    nic c1 eth0 home1 "$HOME_NET.10/24" "$HOME_NET.1" "$WAN_MTU"
  elif [ "$FAMILY" = 6 ]; then
    nic c1 eth0 wan "$CLIENT_ADDR6/64" "$CLIENT_GW6" "$WAN_MTU"
  else
    nic c1 eth0 wan "$CLIENT_ADDR/24" "$CLIENT_GW" "$WAN_MTU"
  fi
}

step "topology: STACK=$STACK NAT=$NAT FAMILY=$FAMILY"
topology
client_node c1
plug_in_client
topology_start c1
if wants pmtu; then wan_narrow "$PATH_MTU"; fi
[ "$AUTH" = psk ] || pki_make
server_start

step "connect: AUTH=$AUTH IKE=$IKE ESP=$ESP"
must "connect" client_up c1
client_describe c1
[ "$AUTH" != eap-tls ] || check "TLS has version ${TLS:=1.2}" client_log c1 "negotiated TLS $TLS using"
check "virtual address from the pool" in_network "$(client_address c1 4)" "$POOL"
check "DNS servers by configuration payload" has_dns c1
check "ping LAN host" ping_ok c1 "$LAN_HOST" 5
for trial in ${TRIALS//,/ }; do
  declare -F "trial_$trial" >/dev/null || die "no trial $trial"
  step "$trial"
  "trial_$trial" c1
done

step "disconnect"
disconnect c1
form=esp
if [ "$NAT" = 1 ] || [ "$STACK" = libipsec ] || [ "${srv_wire:-}" = udp ]; then form=udp; fi
wire_check $form 10
if wants frag; then check "IKE fragments in both directions" ike_fragments; fi
finish
