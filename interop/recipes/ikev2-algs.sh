#!/bin/bash
# One algorithm after the other, for IKE and for ESP: the client offers just that one, connects, pings, goes.
. "$(dirname "$0")/../lab/lab.sh"

: "${SRV_POLICY:=}"
: "${IKE_LIST:=aes128gcm16-prfsha256-ecp256 aes256gcm16-prfsha512-ecp521 aes128-sha256-modp3072 aes256-sha384-ecp384 aes256-sha512-modp4096 chacha20poly1305-prfsha256-x25519}"
: "${ESP_LIST:=aes128gcm16 aes256gcm16-ecp256 chacha20poly1305-x25519 aes128-sha256 aes256-sha384 aes256-sha512-modp2048}"
ROLE=roadwarrior STACK=libipsec AUTH=psk
lab_main
need swanctl tcpdump tshark nft python3
server_load
SWAN_IKE=${IKE_LIST// /,} SWAN_ESP=${ESP_LIST// /,}

step "topology"
topology
client_node c1
nic c1 eth0 wan "$CLIENT_ADDR/24" "$CLIENT_GW"
topology_start c1
server_start
esp=($ESP_LIST)
number=0
for ike in $IKE_LIST; do
  IKE=$ike ESP=${esp[number % ${#esp[@]}]}
  number=$((number + 1))
  step "IKE=$IKE ESP=$ESP"
  check "connect" client_up c1
  info "$(grep -E '^  (AES|CHACHA)|^  net:' "$OUT/c1/sas.txt" | tr -s ' ' | tr '\n' ';')"
  check "ping LAN host" ping_ok c1 "$LAN_HOST" 3
  check "rekeying of the Child SA accepted" swan c1 --rekey --child net
  check "ping with the next keys" ping_ok c1 "$LAN_HOST" 3
  check "disconnect" client_down c1
done
wire_check udp 20
finish
