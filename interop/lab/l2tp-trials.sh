# Trials of a connected L2TP/IPsec client (strongSwan). Each is l2tp_trial_NAME NODE.

# Quick mode again while pings run. In IKEv1 the initiator uses the new SA from message 2 on; a responder that has it only
# with message 3 loses a packet: LOST is how many are forgiven.
l2tp_trial_rekey() {
  local node=$1 old
  old=$(child_sa "$node")
  ping_start "$node" "$LAN_HOST" rekey
  sleep 1
  check "quick mode again" swan "$node" --rekey --child l2tp
  check "new ESP SAs (were $old)" until_ok 10 changed child_sa "$node" "$old"
  sleep 3
  check "at most ${srv_rekey_loss:-0} pings lost" ping_end "$node" rekey "${srv_rekey_loss:-0}"
}

l2tp_trial_reconnect() {
  l2tp_disconnect "$1"
  l2tp_reset "$1"
  l2tp_again "$1" "up again"
}

# The client dies without a goodbye and comes back from the same address and port.
l2tp_trial_crash() {
  l2tp_reset "$1" KILL
  sleep "${CRASH_WAIT:-0}"
  l2tp_again "$1" "up again after a crash of the client"
}

l2tp_again() {
  check "$2" l2tp_up "$1"
  l2tp_route "$1"
  check "$2: ping" ping_ok "$1" "$LAN_HOST" 5
}
