#!/bin/bash
# Both ends make SAs anew without a pause, each without regard to the other, while pings run both ways: several hundred rekeyings
# and their collisions (RFC 7296 section 2.25). Once with the peer as the initiator of the IKE SA, once with the server.
#
# ROUNDS: how often each end rekeys its Child SA in each part; each eighth time the IKE SA besides.
. "$(dirname "$0")/../lab/lab.sh"

: "${ROUNDS:=140}" ; : "${TIME_LIMIT:=360}"
: "${IKE:=aes128gcm16-prfsha256-x25519}" ; : "${ESP:=aes128gcm16}"
ROLE=site STACK=libipsec
lab_main
need swanctl tcpdump tshark nft python3
server_load

# One command each time: whether it is refused because the other end was first does not matter.
peer_storm() {
  on gw2 bash -c "
    for round in \$(seq $ROUNDS); do
      swanctl --rekey --child net
      [ \$((round % 8)) != 0 ] || swanctl --rekey --ike site
      sleep 0.2
    done" >"$OUT/gw2/storm.log" 2>&1
}
server_storm() {
  local round
  for round in $(seq "$ROUNDS"); do
    srv_rekey_child
    [ $((round % 8)) != 0 ] || srv_rekey_ike
    sleep 0.2
  done >"$OUT/srv/storm.log" 2>&1
}

# rekeyings PATTERN: lines of the peer's log since the storm began.
rekeyings() {
  on gw2 sync
  tail -c "+$LOG_FROM" "$OUT/gw2/charon.log" | grep -cE "$1"
}
at_least() { echo "$1 of $2"; [ "$1" -ge "$2" ]; }

# storm OPENED_BY
storm() {
  local children ike peer
  log_mark gw2
  site_pings_start "storm-$1"
  peer_storm &
  peer=$!
  server_storm
  wait "$peer"
  sleep 2
  site_pings_end "storm-$1" 0
  children=$(rekeyings 'inbound CHILD_SA net.* established')
  ike=$(rekeyings 'IKE_SA site.* rekeyed between')
  info "Child SAs made: $children, IKE SAs rekeyed: $ike, of $((2 * ROUNDS)) and $((2 * (ROUNDS / 8))) asked for"
  TOTAL=$((${TOTAL:-0} + children + ike))
  check "one tunnel is left" until_ok 10 one_tunnel
}

step "topology"
topology
site_topology "$(site_kind)"
site_start
peer_start
server_start

for opener in peer server; do
  step "opened by the $opener"
  tunnel_up "$opener"
  site_pings
  storm "$opener"
  site_pings
  peer_disconnect
done
check "most of what was asked for took place" at_least "$TOTAL" $((3 * ROUNDS))
wire_check "$(site_form)" 100
finish
