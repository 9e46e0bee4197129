#!/bin/bash
# Four clients at the same gateway at once, each with another proof: pre-shared key, certificate, password, certificate inside EAP. For
# EAP each gets the method it can do (RFC 3748 section 5.3.1, Nak); the gateway signs for all but the first. It has two names and a
# certificate for each: a client gets the one of the name it wants.
. "$(dirname "$0")/../lab/lab.sh"

: "${IKE:=aes256gcm16-prfsha384-ecp384}" ; : "${ESP:=aes256gcm16}"
ROLE=roadwarrior STACK=libipsec AUTH=eap-mschapv2
lab_main
need swanctl pki tcpdump tshark nft python3
server_load
[ "$SERVER" = cygnet ] || die "the reference driver takes one proof at a time"
SRV_REMOTE='psk = "file:psk";ca = "../pki/ca.pem"'

SECOND_ID=second.example.test
cygnet_own_certificate() {
  printf 'cert = ["../pki/server.pem", "../pki/second.pem"]\nkey = ["../pki/server.key", "../pki/second.key"]\n'
}

# login NODE AUTH PATTERN: and what its log must tell of the method.
login() {
  local node=$1 pattern=$3
  AUTH=$2
  CLIENT_ID=$node.example.test
  if [ "$AUTH" = cert ] || [ "$AUTH" = eap-tls ]; then pki_client client ca "$CLIENT_ID" || die "certificates"; fi
  step "$AUTH"
  check "connect" client_up "$node"
  check "the method is right" client_log "$node" "$pattern"
  check "ping LAN host" ping_ok "$node" "$LAN_HOST" 3
}

step "topology"
topology
clients=(c1 c2 c3 c4)
for number in 1 2 3 4; do
  node c$number plain
  nic c$number eth0 wan "${CLIENT_ADDR%.*}.$((9 + number))/24" "$CLIENT_GW"
done
topology_start "${clients[@]}"
pki_make
pki_key "$SERVER_KEY" "$OUT/pki/second.key" && pki_issue second ca "$SECOND_ID" --lifetime 30 --flag serverAuth || die "certificates"
chmod 600 "$OUT/pki/second.key"
server_start

login c1 psk "authentication of '$SERVER_ID' with pre-shared key successful"
login c2 cert "authentication of '$SERVER_ID' with ECDSA"
login c3 eap-mschapv2 'EAP method EAP_MSCHAPV2 succeeded'
login c4 eap-tls 'EAP method EAP_TLS succeeded'
step "all four"
for client in "${clients[@]}"; do check "$client: ping" ping_ok "$client" "$LAN_HOST" 2; done
step "a client that wants the other name"
disconnect c2
SERVER_ID=$SECOND_ID login c2 cert "authentication of '$SECOND_ID' with ECDSA"
for client in "${clients[@]}"; do disconnect "$client"; done
wire_check udp 10
finish
