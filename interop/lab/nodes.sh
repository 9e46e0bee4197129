# Nodes: declaring, starting, running commands in them, giving them files.

# node NAME bare|plain|guest [LAYER]: a layer is a folder whose files that node alone sees, over /.
node() {
  namespace "$1"
  mkdir -p "$OUT/$1/queue"
  echo "$2" >"$OUT/$1/kind"
  printf '%s' "${3:-}" >"$OUT/$1/layer"
  : >"$OUT/$1/guest-nics"
  echo 'ip link set lo up' >"$OUT/$1/net.sh"
}

node_kind() { cat "$OUT/$1/kind"; }

# node_start NODE...: starts them side by side and waits until all answer.
node_start() {
  local node
  for node; do
    [ "$(node_kind "$node")" = bare ] || node_launch "$node"
  done
  for node; do
    [ "$(node_kind "$node")" = bare ] || node_wait "$node"
    [ "$(node_kind "$node")" = guest ] && continue     # guest-init has done it
    on "$node" bash -e "$OUT/$node/net.sh" >>"$OUT/$node/net.log" 2>&1 || die "network of $node, see $node/net.log"
  done
}

node_launch() {
  ip netns exec "$PREFIX$1" unshare -m bash "$INTEROP/guest/node-root.sh" "$OUT" "$1" "$INTEROP" "$GUEST_MEMORY" \
    </dev/null >"$OUT/$1/console.log" 2>&1 &
  echo $! >"$OUT/$1/root.pid"
}

node_wait() {
  if ! until_ok 60 test -e "$OUT/$1/queue/ready"; then
    tail -5 "$OUT/$1/console.log"
    die "node $1 did not start"
  fi
  [ "$(cat "$OUT/$1/queue/ready")" = ok ] || die "network of $1, see $1/net.log"
}

# on NODE COMMAND...: runs a command in a node, whatever its kind.
on() {
  local node=$1
  shift
  case $(node_kind "$node") in
    bare) ip netns exec "$PREFIX$node" "$@" ;;
    plain) nsenter -t "$(cat "$OUT/$node/root.pid")" -m -n -r -w -- "$@" ;;
    guest) guest_run "$node" "$@" ;;
  esac
}

# daemon NODE NAME COMMAND...: in the background; its log is OUT/NODE/NAME.log.
daemon() {
  local node=$1 name=$2
  shift 2
  on "$node" bash -c "setsid $(printf '%q ' "$@") >>'$OUT/$node/$name.log' 2>&1 </dev/null & echo \$! >'$OUT/$node/$name.pid'"
}

# daemon_signal NODE NAME [SIGNAL]
daemon_signal() { on "$1" bash -c "kill -${3:-TERM} \$(cat '$OUT/$1/$2.pid') 2>/dev/null"; }
daemon_alive()  { on "$1" bash -c "kill -0 \$(cat '$OUT/$1/$2.pid') 2>/dev/null"; }

# node_root NODE: where the host sees the private root of a node.
node_root() {
  local pid
  pid=$(cat "$OUT/$1/root.pid")
  case $(node_kind "$1") in
    plain) echo "/proc/$pid/root" ;;
    guest) echo "/proc/$pid/root$OUT/$1/mnt/root" ;;
    *) die "node $1 has no file system of its own" ;;
  esac
}

# put NODE PATH [MODE]: standard input becomes that file in the node (in a guest not below /run, /proc, /dev).
put() {
  local file
  file=$(node_root "$1")$2
  mkdir -p "$(dirname "$file")"
  tee "$OUT/$1/put${2//\//_}" >"$file.new" && chmod "${3:-644}" "$file.new" && mv "$file.new" "$file"
}
