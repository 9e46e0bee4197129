#!/bin/bash
# Several IKEv2 road warriors at once (strongSwan, userspace ESP): NCLIENTS of them, every second one behind one NAT router,
# each with an identity of its own. All connect, addresses differ, all reach the LAN at the same time.
. "$(dirname "$0")/../lab/lab.sh"

: "${NCLIENTS:=6}"
: "${IKE:=aes128gcm16-prfsha256-x25519}" ; : "${ESP:=aes128gcm16}"
ROLE=roadwarrior AUTH=psk STACK=libipsec NAT=1
lab_main
need swanctl tcpdump tshark nft python3
server_load

plug_in() {
  local number=$1
  node "c$number" plain
  if [ $((number % 2)) = 0 ]; then
    nic "c$number" eth0 home1 "$HOME_NET.$((10 + number))/24" "$HOME_NET.1"
  else
    nic "c$number" eth0 wan "${CLIENT_ADDR%.*}.$((10 + number))/24" "$CLIENT_GW"
  fi
}

# The client's own identity, in a process of its own.
connect() { CLIENT_ID=$1.$CLIENT_ID client_up "$1" >"$OUT/$1/up.log" 2>&1; }

step "topology: $NCLIENTS clients"
topology
nat_router
clients=()
for number in $(seq "$NCLIENTS"); do
  clients+=("c$number")
  plug_in "$number"
done
topology_start "${clients[@]}"
server_start

step "connect"
pids=()
for client in "${clients[@]}"; do
  connect "$client" &
  pids+=($!)
done
for number in "${!pids[@]}"; do
  check "${clients[number]} connects" wait "${pids[number]}"
done
addresses=$(for client in "${clients[@]}"; do client_address "$client" 4; done)
check "$NCLIENTS different addresses" test "$(sort -u <<<"$addresses" | grep -c .)" = "$NCLIENTS"
for address in $addresses; do
  check "$address from the pool" in_network "$address" "$POOL"
done

step "traffic"
for client in "${clients[@]}"; do ping_start "$client" "$LAN_HOST" "$client"; done
sleep 4
for client in "${clients[@]}"; do check "$client: pings" ping_end "$client" "$client" 2; done

step "disconnect"
for client in "${clients[@]}"; do disconnect "$client"; done
wire_check udp 100
finish
