#!/bin/bash
# The demonstration: a gateway, a private host behind it, a Linux kernel that comes with L2TP/IPsec and a strongSwan client
# that comes with IKEv2, each in a network namespace. Both log in with name and password and ping the private host; one
# `cygnet status` shows them side by side. Takes half a minute; leaves nothing behind.
. "$(dirname "$0")/lab/lab.sh"

: "${IKE:=aes256gcm16-prfsha384-ecp384}" ; : "${ESP:=aes256gcm16}" ; : "${TIME_LIMIT:=180}"
: "${PREFIX:=cygdemo$$-}" ; : "${OUT:=$(mktemp -d /tmp/cygnet-demo.XXXXXX)}"
export PREFIX OUT
ROLE=both STACK=libipsec AUTH=eap-mschapv2 LAB_DISCARD=yes
lab_main
l2tp_needs
need pki
server_load

# show COMMAND...: what it prints, indented.
show() { "$@" 2>&1 | sed 's/^/              /' >&3; }

step "a gateway $SERVER_ADDR, a private host $LAN_HOST behind it, two clients"
topology
l2tp_node c1
nic c1 eth0 wan "$CLIENT_ADDR/24" "$CLIENT_GW"
node c2 plain
nic c2 eth0 wan "${CLIENT_ADDR%.*}.11/24" "$CLIENT_GW"
topology_start c1 c2
pki_make

step "cygnet run, with this configuration"
server_start
show grep -vE '^$|^\[(daemon|log)\]|^(state_dir|socket|users_file|level)' "$OUT/srv/cygnet.toml"

step "$USER1 comes with L2TP/IPsec: a Linux kernel, xl2tpd, pppd"
IKE=aes256-sha256-modp2048 ESP=aes256-sha256 must "connects with pre-shared key, name and password" l2tp_up c1
l2tp_route c1
must "pings the private host" ping_ok c1 "$LAN_HOST" 3
step "$USER2 comes with IKEv2: strongSwan"
must "connects with name and password" client_up c2 "$USER2" "$PASS2"
client_describe c2
must "pings the private host" ping_ok c2 "$LAN_HOST" 3
step "cygnet status"
show cygnet status

step "somebody types a wrong password"
client_down c2 >/dev/null
check "it is refused" not client_up c2 "$USER2" "not-$PASS2"
step "cygnet explain $USER2"
show srv_explain "$USER2"

step "the end"
l2tp_disconnect c1
wire_check udp 5
finish
