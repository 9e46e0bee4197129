#!/bin/bash
# Somebody follows what `cygnet init` prints: the configuration as written, the strongSwan client as printed, nothing else. Stock
# proposals, name and password, all traffic through the tunnel.
. "$(dirname "$0")/../lab/lab.sh"

ROLE=roadwarrior STACK=libipsec AUTH=init
lab_main
need swanctl tcpdump tshark nft python3
server_load
[ "$SERVER" = cygnet ] || die "only cygnet has an init"

# In place of the driver's own. The places are given only because rows run side by side.
cygnet_configure() {
  ns srv "$CYGNET" --config "$OUT/srv/cygnet.toml" init --yes --name "$SERVER_ADDR" --pool "$POOL" --dns "$DNS1" --dns "$DNS2" \
    --user "$USER1" --psk >"$OUT/init.txt" || return 1
  cygnet_places srv | grep -v users_file >>"$OUT/srv/cygnet.toml"
}

# printed_client: the lines of swanctl.conf among the steps, with the password filled in.
printed_client() {
  local password
  password=$(sed -n 's/^  password  *//p' "$OUT/init.txt")
  sed -n '/^  connections {/,/^  then: /p' "$OUT/init.txt" | sed -e '$d' -e "s/PASSWORD/$password/"
}

connect_as_printed() {
  put c1 /etc/swanctl/x509ca/ca.pem <"$OUT/srv/pki/ca.pem"
  charon c1 libipsec
  printed_client | swan_load c1 || return 1
  swan c1 --initiate --child cygnet --timeout 25 || return 1
  sas c1 >"$OUT/c1/sas.txt"
}

step "topology: with a host of the internet"
topology
web_host
node c1 plain
nic c1 eth0 wan "$CLIENT_ADDR/24" "$CLIENT_GW"
topology_start c1
who_answers web
who_answers lan
server_start

step "connect as printed"
must "connect" connect_as_printed
info "$(grep -E '^  (AES|CHACHA)' "$OUT/c1/sas.txt")"
check "virtual address from the pool" in_network "$(client_address c1 4)" "$POOL"
check "ping LAN host" ping_ok c1 "$LAN_HOST" 5
check "a host of the internet sees the gateway's public address" is_seen_as c1 "$WEB_HOST" "$SERVER_ADDR"
check "the LAN host sees the gateway's private address" is_seen_as c1 "$LAN_HOST" "$LAN_GW"
check "cygnet status names the user" sh -c "'$CYGNET' --config '$OUT/srv/cygnet.toml' status | grep -q '^$USER1 '"

step "disconnect"
check "IKE SA deleted, the server answers" swan c1 --terminate --ike cygnet --timeout 15
wire_check udp 10 --beyond "$WEB_HOST"
finish
