# OpenIKED as the peer of a site, in a guest (PF_KEY, kernel ESP).
#
# IKED_IKE, IKED_ESP: transforms in iked.conf's words. On Linux its Child SAs have AES-CBC with SHA-1 or SHA-512 only.
# IKED_IKE_LIFE, IKED_CHILD_LIFE: seconds.

: "${IKED_IKE:=ikesa enc aes-256-gcm prf hmac-sha2-384 group ecp384 ikesa enc aes-256 auth hmac-sha2-256 prf hmac-sha2-256 group modp2048}"
: "${IKED_ESP:=childsa enc aes-256 auth hmac-sha2-512 group none}"

# iked_start NODE active|passive: writes iked.conf, starts the daemon.
iked_start() {
  local node=$1
  # It looks up the names in its configuration: a resolver that refuses at once.
  echo 'nameserver 127.0.0.1' | put "$node" /etc/resolv.conf
  iked_config "$2" | put "$node" /etc/iked.conf 600
  [ "$AUTH" = psk ] || iked_credentials "$node"
  on "$node" sh -c 'mkdir -p /var/run; iked -nf /etc/iked.conf' >"$OUT/$node/iked-check.log" 2>&1 \
    || die "iked.conf: $(tail -1 "$OUT/$node/iked-check.log")"
  daemon "$node" iked iked -d -v -v -f /etc/iked.conf
  until_ok 60 on "$node" ikectl show sa || die "iked did not start"
}

iked_credentials() {
  put "$1" /etc/iked/ca/ca.crt <"$OUT/pki/ca.pem"
  put "$1" "/etc/iked/certs/$CLIENT_ID.crt" <"$OUT/pki/client.pem"
  put "$1" /etc/iked/private/local.key 600 <"$OUT/pki/client.key"
}

iked_auth() {
  case $AUTH:$CLIENT_KEY in
    psk:*) echo "psk \"$PSK\"" ;;
    cert:ecdsa) echo ecdsa256 ;;
    cert:rsa*) echo rfc7427 ;;
    *) die "AUTH=$AUTH CLIENT_KEY=$CLIENT_KEY" ;;
  esac
}

iked_config() {
  cat <<CONF
ikev2 "site" $1 esp from $FAR_NET to $LAN_NET local $CLIENT_ADDR peer $SERVER_ADDR \\
  $IKED_IKE \\
  $IKED_ESP \\
  srcid $CLIENT_ID dstid $SERVER_ID ikelifetime ${IKED_IKE_LIFE:-14400} lifetime ${IKED_CHILD_LIFE:-3600} $(iked_auth)
CONF
}

iked_sas() { on "$1" ikectl show sa; }
iked_is_up() { iked_sas "$1" | grep -q 'ESP.*LA\|ESP out'; }

# The SPIs in the kernel, as one word.
iked_child_sa() { on "$1" ip xfrm state | awk '/spi/ { print $4 }' | sort | md5sum; }

iked_stop() {
  on "$1" ikectl reset id "FQDN/$SERVER_ID" >>"$OUT/$1/reset.log" 2>&1
  sleep 1
  on "$1" ikectl decouple >>"$OUT/$1/reset.log" 2>&1
  daemon_signal "$1" iked
  until_ok 5 not daemon_alive "$1" iked
}
