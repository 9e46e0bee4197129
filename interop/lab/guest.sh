# User-Mode Linux guests as nodes: their interfaces and the queue through which commands go in (guest/guest-init.sh).

# guest_nic NODE INTERFACE VETH MAC: the guest's interface is a tap, bridged to the veth.
guest_nic() {
  local node=$1 interface=$2 end=$3 mac=$4 number
  ns "$node" sh -ec "
    ip link add b-$interface type bridge
    ip tuntap add dev t-$interface mode tap
    ip link set t-$interface master b-$interface up
    ip link set $end master b-$interface up
    ip link set b-$interface up" || die "tap $interface of $node"
  number=$(wc -l <"$OUT/$node/guest-nics")
  echo "vec$number:transport=tap,ifname=t-$interface,depth=128,mac=$mac" >>"$OUT/$node/guest-nics"
  echo "ip link set vec$number name $interface" >>"$OUT/$node/net.sh"
}

# guest_run NODE COMMAND...: writes ID.cmd, waits for ID.rc; then ID.out and ID.err are complete.
guest_run() {
  local node=$1 queue=$OUT/$1/queue pid id end rc
  shift
  pid=$(cat "$OUT/$node/root.pid")
  id=$(date +%s%N)$BASHPID
  printf '%q ' "$@" >"$queue/$id.tmp"
  mv "$queue/$id.tmp" "$queue/$id.cmd"
  end=$(( $(date +%s) + ${GUEST_PATIENCE:-120} ))
  until [ -e "$queue/$id.rc" ]; do
    kill -0 "$pid" 2>/dev/null || { echo "guest $node is gone" >&2; return 125; }
    [ "$(date +%s)" -lt "$end" ] || { echo "guest $node: no answer to: $*" >&2; return 124; }
    sleep 0.05
  done
  cat "$queue/$id.out"
  cat "$queue/$id.err" >&2
  rc=$(cat "$queue/$id.rc")
  rm -f "$queue/$id".*
  return "$rc"
}

# Guests write back late: lets them flush their logs before they end.
guests_flush() {
  local kind node
  for kind in "$OUT"/*/kind; do
    [ -e "$kind" ] && [ "$(cat "$kind")" = guest ] || continue
    node=$(basename "$(dirname "$kind")")
    [ ! -e "$OUT/$node/root.pid" ] || GUEST_PATIENCE=2 guest_run "$node" sync >/dev/null 2>&1
  done
}
