#!/bin/bash
# The gateway takes passwords and certificates inside EAP: each client gets the method it can do (RFC 3748 section 5.3.1, Nak), both at
# the same time.
. "$(dirname "$0")/../lab/lab.sh"

: "${IKE:=aes256gcm16-prfsha384-ecp384}" ; : "${ESP:=aes256gcm16}"
ROLE=roadwarrior STACK=libipsec AUTH=eap-mschapv2
lab_main
need swanctl pki tcpdump tshark nft python3
server_load

SRV_REMOTE='eap = ["mschapv2", "tls"];ca = "../pki/ca.pem"'
swan_auth() {
  printf 'local {\n auth = pubkey\n certs = server.pem\n id = %s\n}\nremote {\n auth = eap-dynamic\n eap_id = %%any\n cacerts = ca.pem\n}' "$SERVER_ID"
}

step "topology"
topology
for number in 1 2; do
  node c$number plain
  nic c$number eth0 wan "${CLIENT_ADDR%.*}.$((9 + number))/24" "$CLIENT_GW"
done
topology_start c1 c2
pki_make
server_start

step "by password"
must "connect" client_up c1
check "the method was MSCHAPv2" client_log c1 'EAP_MSCHAPV2'
step "by certificate"
AUTH=eap-tls
must "connect" client_up c2
check "the method was TLS" client_log c2 'negotiated TLS'
for client in c1 c2; do check "$client: ping LAN host" ping_ok $client "$LAN_HOST" 3; done
for client in c1 c2; do disconnect $client; done
wire_check udp 10
finish
