# Network namespaces, segments and interfaces.

# ns NAME COMMAND...: runs in a namespace of this run, with the host's file system.
ns() {
  local name=$1
  shift
  ip netns exec "$PREFIX$name" "$@"
}

namespace() {
  echo "$PREFIX$1" >>"$OUT/namespaces"
  ip netns add "$PREFIX$1" || die "namespace $PREFIX$1"
  ns "$1" ip link set lo up
}

# segment NAME: one Ethernet.
segment() {
  namespace "$1"
  ns "$1" ip link add br0 type bridge
  ns "$1" ip link set br0 up
}

# nic NODE INTERFACE SEGMENT ADDR/LEN[,ADDR/LEN...] [GATEWAY[,GATEWAY6]] [MTU]
# Plugs a node into a segment; the bridge port is called NODE-INTERFACE. Addresses are set when the node starts.
nic() {
  local node=$1 interface=$2 segment=$3 addresses=$4 gateways=${5:-} mtu=${6:-1500} end mac
  LAB_NICS=$((LAB_NICS + 1))
  end=veth$LAB_NICS
  mac=$(printf '02:00:5e:00:%02x:%02x' $((LAB_NICS / 256)) $((LAB_NICS % 256)))
  ip -n "$PREFIX$segment" link add "$node-$interface" type veth peer name "$end" netns "$PREFIX$node" \
    || die "interface $interface of $node"
  ip -n "$PREFIX$segment" link set "$node-$interface" master br0 up
  if [ "$(node_kind "$node")" = guest ]; then
    guest_nic "$node" "$interface" "$end" "$mac"
  else
    ip -n "$PREFIX$node" link set "$end" name "$interface" address "$mac"
  fi
  nic_commands "$interface" "$addresses" "$gateways" "$mtu" >>"$OUT/$node/net.sh"
}

# The commands that the node itself runs. A link below 1280 bytes gets no IPv6 (RFC 8200 section 5).
nic_commands() {
  local interface=$1 addresses=$2 gateways=$3 mtu=$4 item
  echo "ip link set $interface mtu $mtu up"
  for item in ${addresses//,/ }; do
    [[ $item == *:* && $mtu -lt 1280 ]] && continue
    echo "ip addr add $item dev $interface $([[ $item == *:* ]] && echo nodad)"
  done
  for item in ${gateways//,/ }; do
    [[ $item == *:* && $mtu -lt 1280 ]] && continue
    echo "ip $([[ $item == *:* ]] && echo -6) route add default via $item"
  done
}

in_network() {
  python3 -c 'import ipaddress, sys; sys.exit(ipaddress.ip_address(sys.argv[1]) not in ipaddress.ip_network(sys.argv[2]))' \
    "$1" "$2"
}
