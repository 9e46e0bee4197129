# Attacks from the WAN, as trials. They inject packets, so the capture that wire_check judges is closed first: put them last.

# inject MODE: see tools/inject.py.
inject() {
  local sent
  sent=$(ns wan python3 "$INTEROP/tools/inject.py" "$1" "$OUT/wan.pcap" srv-eth0 "$SERVER_ADDR")
  info "$1: $sent frames sent"
  [ "${sent:-0}" -gt 3 ]
}

# attack_begin NODE NAME: material to inject, then a fresh capture of the LAN.
attack_begin() {
  ping_ok "$1" "$LAN_HOST" 15 >/dev/null
  capture_stop
  capture "lan-$2" lan0 lan-eth0
}

trial_replay() {
  attack_begin "$1" replay
  check "captured ESP sent again" inject replay
  capture_stop
  check "replayed packets do not reach the LAN" no_marks lan-replay
  check "after the replay: ping" ping_ok "$1" "$LAN_HOST" 5
}

trial_forge() {
  attack_begin "$1" forge
  check "ESP with a false ICV and sequence numbers far ahead sent" inject forge
  check "ESP with one bit turned over sent" inject flip
  capture_stop
  check "forged packets do not reach the LAN" no_marks lan-forge
  check "the replay window did not move: ping" ping_ok "$1" "$LAN_HOST" 5
}

# Somebody on the WAN sends a packet in clear with the client's virtual address as source.
trial_spoof() {
  local address pattern=deadbeefdeadbeefdeadbeefdeadbeef
  address=$(client_address "$1" 4)
  capture_stop
  capture lan-spoof lan0 lan-eth0
  ns wan ip addr add "$address/32" dev lo
  ns wan ip route add "$LAN_NET" via "$SERVER_ADDR"
  ns wan ping -c 5 -i 0.2 -W 1 -I "$address" -p $pattern "$LAN_HOST" >"$OUT/spoof.log" 2>&1
  check "five packets in clear were sent" grep -q '^5 packets transmitted' "$OUT/spoof.log"
  ns wan ip addr del "$address/32" dev lo
  ns wan ip route del "$LAN_NET" via "$SERVER_ADDR"
  capture_stop
  check "clear packets with the client's virtual address do not reach the LAN" no_marks lan-spoof $pattern
  check "after the spoofing: ping" ping_ok "$1" "$LAN_HOST" 5
}
