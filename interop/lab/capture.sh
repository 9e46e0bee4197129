# Captures and what is read from them.

# capture NAME NAMESPACE INTERFACE: into OUT/NAME.pcap, 256 bytes of each packet.
capture() {
  ip netns exec "$PREFIX$2" tcpdump -Z root -n -U -s 256 -i "$3" -w "$OUT/$1.pcap" 2>"$OUT/$1.tcpdump.log" &
  echo $! >"$OUT/$1.tcpdump.pid"
  until_ok 10 grep -q 'listening on' "$OUT/$1.tcpdump.log" || die "tcpdump $1"
}

# capture_stop: ends all captures of this run.
capture_stop() {
  local file
  compgen -G "$OUT/*.tcpdump.pid" >/dev/null || return 0
  sleep 1.1     # the kernel hands packets to tcpdump up to a second late
  for file in "$OUT"/*.tcpdump.pid; do
    kill -INT "$(cat "$file")" 2>/dev/null
    until_ok 10 not kill -0 "$(cat "$file")" || fail "the capture ${file##*/} ends"
    rm "$file"
  done
}

# wire_check esp|udp|any MIN_PACKETS [FLAG...]: what crossed the WAN was ESP in that form, nothing was readable.
# Flags: see tools/wirecheck.py.
wire_check() {
  local form=$1 least=$2 word text rc
  shift 2
  capture_stop
  wire_fields >"$OUT/wan.csv" 2>"$OUT/tshark.log" || { fail "tshark reads the capture"; return; }
  python3 "$INTEROP/tools/wirecheck.py" "$OUT" --form "$form" --least "$least" --mark "$MARK" \
    --inner "$LAN_NET,$LAN_NET2,$LAN_NET6,$FAR_NET,$FAR_NET2,$FAR_NET6,$POOL,$POOL6" "$@" >"$OUT/wirecheck.txt" 2>"$OUT/wirecheck.err"
  rc=$?
  while read -r word text; do
    case $word in
      ok) pass "wire: $text" ;;
      FAIL) fail "wire: $text" ;;
      info) info "wire: $text" ;;
    esac
  done <"$OUT/wirecheck.txt"
  [ $rc -le 1 ] && [ ! -s "$OUT/wirecheck.err" ] || fail "wirecheck.py ran (rc=$rc)"
}

wire_fields() {
  tshark -n -o ip.defragment:FALSE -o ipv6.defragment:FALSE -r "$OUT/wan.pcap" \
    -T fields -E separator=, -E occurrence=f -E header=y \
    -e eth.type -e ip.src -e ip.dst -e ip.proto -e ip.frag_offset -e ipv6.src -e ipv6.dst -e ipv6.nxt \
    -e udp.srcport -e udp.dstport -e icmp.type -e icmpv6.type -e esp.spi -e esp.sequence
}

# no_answer_in_clear: the server sent no L2TP outside ESP, and no ICMP error about it either.
no_answer_in_clear() {
  local answers
  answers=$(tshark -n -r "$OUT/wan.pcap" -Y "ip.src==$SERVER_ADDR && ((udp.port==1701 && !esp) || icmp.type==3)" 2>/dev/null)
  echo "$answers"
  [ -z "$answers" ]
}

# ike_fragments: IKE messages in fragments (payload type 53, RFC 7383 section 2.5) went in both directions.
ike_fragments() {
  local server to from
  server=$(server_outer)
  to=$(tshark -n -r "$OUT/wan.pcap" -Y "isakmp.nextpayload==53 && ip.dst==$server" 2>/dev/null | wc -l)
  from=$(tshark -n -r "$OUT/wan.pcap" -Y "isakmp.nextpayload==53 && ip.src==$server" 2>/dev/null | wc -l)
  info "IKE fragments: $to to the server, $from from it"
  [ "$to" -gt 1 ] && [ "$from" -gt 1 ]
}

# marks CAPTURE [PATTERN]: how often the payload pattern is readable in a capture.
marks() {
  python3 -c 'import sys; print(open(sys.argv[1], "rb").read().count(bytes.fromhex(sys.argv[2])))' \
    "$OUT/$1.pcap" "${2:-$MARK}"
}
no_marks() { [ "$(marks "$@")" = 0 ]; }
