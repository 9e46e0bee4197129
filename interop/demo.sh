#!/bin/bash
# The demonstration: a gateway, a private host behind it and a strongSwan client, each in a network namespace. The client
# logs in with name and password, pings the private host and leaves. Takes some ten seconds; leaves nothing behind.
. "$(dirname "$0")/lab/lab.sh"

: "${IKE:=aes256gcm16-prfsha384-ecp384}" ; : "${ESP:=aes256gcm16}" ; : "${TIME_LIMIT:=60}"
: "${PREFIX:=cygdemo$$-}" ; : "${OUT:=$(mktemp -d /tmp/cygnet-demo.XXXXXX)}"
export PREFIX OUT
ROLE=roadwarrior STACK=libipsec AUTH=eap-mschapv2 LAB_DISCARD=yes
lab_main
need swanctl pki tcpdump nft python3
server_load

# show COMMAND...: what it prints, indented.
show() { "$@" 2>&1 | sed 's/^/              /' >&3; }

step "a gateway $SERVER_ADDR, a private host $LAN_HOST behind it, a client $CLIENT_ADDR"
topology
node c1 plain
nic c1 eth0 wan "$CLIENT_ADDR/24" "$CLIENT_GW"
topology_start c1
pki_make

step "cygnet run, with this configuration"
server_start
show grep -vE '^$|^\[(daemon|log)\]|^(state_dir|socket|users_file|level)' "$OUT/srv/cygnet.toml"

step "the client logs in as $USER1"
must "strongSwan connects with name and password" client_up c1
client_describe c1
must "the client pings the private host" ping_ok c1 "$LAN_HOST" 3
step "cygnet status"
show cygnet status

step "somebody types a wrong password"
client_down c1 >/dev/null
check "it is refused" not client_up c1 "$USER1" "not-$PASS1"
step "cygnet explain $USER1"
show srv_explain "$USER1"

wire_check udp 5
finish
