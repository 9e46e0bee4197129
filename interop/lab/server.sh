# The server under test. SERVER names a driver: a file in servers/ that is sourced once.
#
# A driver sets   srv_kind      bare, plain or guest
#                 srv_wire      udp if it insists on UDP encapsulation
#                 srv_forwards  yes if it switches on forwarding itself
#                 srv_loses_first  yes if the packet that opens a tunnel is lost
# and defines     srv_start     starts it in node srv with the parameters as they are now
#                 srv_stop      ends it in peace and waits for that
#                 srv_kill      ends it at once
#                 srv_alive
#                 srv_ready     it can be connected to
#                 srv_idle      it knows of no client
#                 srv_initiate, srv_rekey_child, srv_rekey_ike   towards the peer of a site
#                 srv_explain WHO   prints why WHO could not connect, the last EXPLAIN_LAST reasons, or
#                 srv_explains  returns 1 if it cannot

server_load() {
  [ -e "$INTEROP/servers/$SERVER.sh" ] || die "no servers/$SERVER.sh"
  . "$INTEROP/servers/$SERVER.sh"
}

# server_start: as SRV_* and AUTH are now; notes the footprint of the node before.
server_start() {
  step "server: $SERVER AUTH=$AUTH"
  footprint >"$OUT/srv/footprint-before"
  srv_start || die "server did not start"
  SERVER_STARTED=1
  until_ok "${SERVER_WAIT:-30}" server_settled
  srv_ready || { fail "server is ready"; exit 1; }
  footprint >"$OUT/srv/footprint-running"
  info "server is up"
}

server_is_up() { [ -n "${SERVER_STARTED:-}" ]; }
server_settled() { srv_ready || ! srv_alive; }
server_listens() { on srv ss -lunH 'sport = :500' | grep -q :500; }
server_outer() { if [ "${FAMILY:-4}" = 6 ]; then echo "$SERVER_ADDR6"; else echo "$SERVER_ADDR"; fi; }

# server_stop: in peace; afterwards the node is as it was before.
server_stop() {
  check "server ends when it is told to" srv_stop
  SERVER_STARTED=
  check "server left nothing behind" footprint_is before
}

server_restart() {
  server_is_up && server_stop
  server_start
}

# server_farewell: the last checks of every recipe.
server_farewell() {
  server_is_up || return 0
  step "server: the end"
  check "server still runs" srv_alive
  check "server knows of no client any more" until_ok 10 srv_idle
  server_stop
}

# explained WHO PATTERN...: the newest explanation about WHO matches each pattern.
explained() {
  local who=$1 pattern
  shift
  srv_explains || { info "$SERVER does not explain"; return 0; }
  srv_explain "$who" >"$OUT/explain.txt" 2>&1
  cat "$OUT/explain.txt" >>"$OUT/explanations.txt"
  for pattern; do
    check "explain $who: $pattern" grep -qE "$pattern" "$OUT/explain.txt"
  done
}

# footprint: interfaces, routes, rules and nftables of node srv, as the kernel tells. Of a guest nothing: it ends anyway.
footprint() {
  [ "$srv_kind" != guest ] || return 0
  ip -n "${PREFIX}srv" -o link | awk '{ print "link", $2 }'
  ip -n "${PREFIX}srv" -4 route show table all | sed 's/^/route /'
  # The kernel adds and removes link-local, multicast and, while it forwards, anycast routes by itself.
  ip -n "${PREFIX}srv" -6 route show table all | grep -vE '(fe80|ff00)::|^anycast ' | sed 's/^/route /'
  ip -n "${PREFIX}srv" rule | sed 's/^/rule /'
  ns srv nft list ruleset | sed -E 's/ # handle.*//; s/packets [0-9]+ bytes [0-9]+/counted/; s/^/nft /'
}

# footprint_is before|running: the same now as at that moment; the difference goes to checks.log.
footprint_is() {
  local attempt
  for attempt in 1 2 3 4 5 6; do
    footprint >"$OUT/srv/footprint-now"
    diff "$OUT/srv/footprint-$1" "$OUT/srv/footprint-now" && return 0
    sleep 0.5
  done
  return 1
}
