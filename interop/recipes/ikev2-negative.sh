#!/bin/bash
# What must not get in: wrong pre-shared key, wrong password, unknown user, certificate of another authority, wrong traffic
# selectors, proposals that nobody offers. After each the server still serves a correct client.
# CASES: which ones. Userspace clients only.
. "$(dirname "$0")/../lab/lab.sh"

: "${CASES:=wrongpsk,badproposal,badts,wrongpass,nouser,strangeca}" ; : "${TIME_LIMIT:=240}"
: "${IKE:=aes256gcm16-prfsha384-ecp384}" ; : "${ESP:=aes256gcm16}"
ROLE=roadwarrior STACK=libipsec
lab_main
need swanctl pki tcpdump python3
server_load

NOTIFIES='AUTH_FAILED|NO_PROPOSAL_CHOSEN|NO_PROP|TS_UNACCEPT[A-Z]*|TS_UNACC|EAP_FAILURE|EAP/FAIL|no .* found'

# server_for AUTH: started again only if it serves another AUTH.
server_for() {
  [ "${serving:-}" != "$1" ] || return 0
  serving=$1
  AUTH=$1
  server_restart
}

# refused TEXT [USER PASSWORD]: in time, and with a word from the server.
refused() {
  local text=$1 rc seen began
  shift
  began=$(date +%s)
  client_up c1 "$@" >>"$OUT/checks.log" 2>&1
  rc=$?
  seen=$(grep -oE "$NOTIFIES" "$OUT/c1/initiate.log" | sort -u | tr '\n' ' ')
  if [ $rc != 0 ] && [ -n "$seen" ] && ! grep -q INSTALLED "$OUT/c1/sas.txt"; then
    pass "$text: refused in $(( $(date +%s) - began )) s ($seen)"
  else
    fail "$text: refused (rc=$rc, client saw: ${seen:-nothing})"
  fi
  client_reset c1
}

accepted() {
  check "  then a correct client connects" client_up c1
  check "  and pings" ping_ok c1 "$LAN_HOST" 3
  client_down c1 >/dev/null
  client_reset c1
}

case_wrongpsk() {
  server_for psk
  PSK=not-$PSK refused "wrong pre-shared key"
}

case_badproposal() {
  server_for psk
  IKE=3des-md5-modp768 refused "IKE proposal that is not offered"
  ESP=3des-md5 refused "ESP proposal that is not offered"
}

case_badts() {
  server_for psk
  CLIENT_TS=192.0.2.0/24,2001:db8:dead::/64 refused "traffic selectors outside"
}

case_wrongpass() {
  server_for eap-mschapv2
  refused "wrong password" "$USER1" "not-$PASS1"
}

case_nouser() {
  server_for eap-mschapv2
  refused "unknown user" mallory "$PASS1"
}

case_strangeca() {
  server_for cert
  pki_make
  mkdir -p "$OUT/kept"
  cp "$OUT"/pki/client.* "$OUT/kept/"
  pki_authority stranger && pki_client client stranger "$CLIENT_ID" || die "certificates of the stranger"
  refused "client certificate of another authority with the same name"
  cp "$OUT"/kept/client.* "$OUT/pki/"
}

step "topology"
topology
node c1 plain
nic c1 eth0 wan "$CLIENT_ADDR/24" "$CLIENT_GW"
topology_start c1
for case in ${CASES//,/ }; do
  declare -F "case_$case" >/dev/null || die "no case $case"
  step "$case"
  "case_$case"
  accepted
done
wire_check udp 10 --restarted
finish
