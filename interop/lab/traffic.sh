# Traffic through the tunnel.

# ping_ok NODE ADDRESS [COUNT] [PING OPTIONS...]: all replies, none twice. The payload carries MARK, so that a leak
# can be found. A second try is allowed, because a loaded machine drops packets too.
ping_ok() {
  local node=$1 address=$2 count=${3:-5} attempt output
  shift $(( $# < 3 ? $# : 3 ))
  for attempt in 1 2; do
    output=$(on "$node" ping -n -c "$count" -i 0.2 -W 2 -p "$MARK" "$@" "$address" 2>&1)
    echo "$output"
    if grep -q ' 0% packet loss' <<<"$output" && ! grep -q duplicates <<<"$output"; then
      [ $attempt = 1 ] || info "second try of: ping $address"
      return 0
    fi
  done
  return 1
}

# ping_fails NODE ADDRESS: not one reply.
ping_fails() {
  local output
  output=$(on "$1" ping -n -c 4 -i 0.2 -W 1 -p "$MARK" "$2" 2>&1)
  echo "$output"
  grep -q ' 0 received' <<<"$output"
}

# iperf_ok NODE ADDRESS MIN_MBIT [OPTIONS...]
iperf_ok() {
  local node=$1 address=$2 least=$3 file rate
  shift 3
  file=$OUT/iperf-$node-$(date +%s%N).json
  on "$node" timeout $((IPERF_SECONDS + 12)) \
    iperf3 -c "$address" -t "$IPERF_SECONDS" -J --connect-timeout 5000 "$@" >"$file" 2>&1
  rate=$(python3 "$INTEROP/tools/iperf-rate.py" "$file")
  info "iperf3 $node -> $address $*: $rate Mbit/s"
  python3 -c "import sys; sys.exit(not $rate >= $least)"
}

# Pings in the background, ten a second: ping_start NODE ADDRESS NAME, then ping_end NODE NAME MAX_LOST.
ping_start() { daemon "$1" "ping-$3" ping -n -i 0.1 -W 2 -p "$MARK" "$2"; }

# Packets in flight when ping is stopped do not count: up to ten at the end.
ping_end() {
  local node=$1 name=$2 limit=${3:-0} sent lost twice numbers
  sleep 0.3
  daemon_signal "$node" "ping-$name" INT
  until_ok 10 ping_has_counted "$node" "$name"
  read -r sent lost twice numbers < <(python3 "$INTEROP/tools/ping-count.py" "$OUT/$node/ping-$name.log")
  info "pings $name: sent=$sent lost=$lost twice=$twice${numbers:+ lost numbers: $numbers}"
  [ "$sent" -gt 10 ] && [ "$lost" -le "$limit" ] && [ "$twice" = 0 ]
}

ping_has_counted() { on "$1" sync; grep -q 'packets transmitted' "$OUT/$1/ping-$2.log"; }

# seen_as NODE ADDRESS: as whom a host beyond the gateway sees the node (that host runs who_answers).
who_answers() { daemon "$1" whoami python3 "$INTEROP/tools/whoami.py" serve; }
seen_as() { on "$1" python3 "$INTEROP/tools/whoami.py" ask "$2"; }
is_seen_as() {
  local seen
  seen=$(seen_as "$1" "$2")
  echo "seen as: $seen"
  [ "$seen" = "$3" ]
}
