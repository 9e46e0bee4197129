# Certificates of a run, in OUT/pki: ca, server, client (.pem and .key; .pub is the bare public key).

# pki_make: once a run.
pki_make() {
  [ ! -e "$OUT/pki/ca.pem" ] || return 0
  cat >"$OUT/pki/strongswan.conf" <<'CONF'
pki {
  load = random nonce openssl pem pkcs1 pkcs8 x509 pubkey
}
CONF
  pki_authority ca && pki_server && pki_client client ca "$CLIENT_ID" && pki_public server && pki_public client \
    || die "certificates"
}

pki_run() { STRONGSWAN_CONF=$OUT/pki/strongswan.conf pki "$@"; }

# pki_key KIND FILE: ecdsa, ed25519 or rsaBITS.
pki_key() {
  case $1 in
    ecdsa) pki_run --gen --type ecdsa --size 256 --outform pem >"$2" ;;
    ed25519) pki_run --gen --type ed25519 --outform pem >"$2" ;;
    rsa*) pki_run --gen --type rsa --size "${1#rsa}" --outform pem >"$2" ;;
  esac
}

# pki_authority NAME [CN]: two authorities may call themselves the same, their keys differ.
pki_authority() {
  local folder=$OUT/pki cn=${2:-Interop CA}
  pki_key "$CA_KEY" "$folder/$1.key" \
    && pki_run --self --ca --lifetime 30 --in "$folder/$1.key" --dn "O=Interop, CN=$cn" --outform pem >"$folder/$1.pem"
}

pki_server() {
  pki_key "$SERVER_KEY" "$OUT/pki/server.key" \
    && pki_issue server ca "$SERVER_ID" --lifetime 30 --san "$SERVER_ADDR" --flag serverAuth --flag ikeIntermediate
}

# pki_client NAME AUTHORITY ID [VALIDITY OPTIONS...]
pki_client() {
  local name=$1 authority=$2 id=$3
  shift 3
  [ $# -gt 0 ] || set -- --lifetime 30
  pki_key "$CLIENT_KEY" "$OUT/pki/$name.key" && pki_issue "$name" "$authority" "$id" "$@" --flag clientAuth
}

# pki_public NAME: NAME.pub, the bare public key (RFC 7670).
pki_public() { pki_run --pub --type priv --in "$OUT/pki/$1.key" --outform pem >"$OUT/pki/$1.pub"; }

# pki_protected NAME, pki_pkcs12 NAME: the key with KEY_PASSWORD, NAME.p8 (PKCS#8); with the certificate NAME.p12 (PKCS#12).
KEY_PASSWORD=key-password-1
pki_protected() {
  (umask 077; openssl pkcs8 -topk8 -v2 aes-256-cbc -in "$OUT/pki/$1.key" -passout "pass:$KEY_PASSWORD" -out "$OUT/pki/$1.p8")
}
pki_pkcs12() {
  (umask 077; openssl pkcs12 -export -in "$OUT/pki/$1.pem" -inkey "$OUT/pki/$1.key" -certfile "$OUT/pki/ca.pem" -name "$1" \
    -passout "pass:$KEY_PASSWORD" -out "$OUT/pki/$1.p12")
}

# pki_expired_client NAME AUTHORITY ID: valid for one day, a month ago.
pki_expired_client() {
  local format='%d.%m.%y %T'
  pki_client "$1" "$2" "$3" \
    --not-before "$(date -u -d '-31 days' +"$format")" --not-after "$(date -u -d '-30 days' +"$format")"
}

pki_issue() {
  local name=$1 authority=$2 id=$3 folder=$OUT/pki
  shift 3
  pki_run --issue --cacert "$folder/$authority.pem" --cakey "$folder/$authority.key" --in "$folder/$name.key" --type priv \
    --dn "O=Interop, CN=$id" --san "$id" "$@" --outform pem >"$folder/$name.pem"
}

# pki_revoke NAME FILE: FILE is the list of the authority with that certificate in it.
pki_revoke() {
  pki_run --signcrl --cacert "$OUT/pki/ca.pem" --cakey "$OUT/pki/ca.key" --lifetime 2 \
    --cert "$OUT/pki/$1.pem" --reason key-compromise >"$OUT/pki/$2"
}

# pki_put NODE NAME: the authority's certificate, a certificate and its key into the node's swanctl folder, and the bare public
# keys of both ends.
pki_put() {
  local end
  for end in server client; do put "$1" "/etc/swanctl/pubkey/$end.pub" <"$OUT/pki/$end.pub"; done
  put "$1" /etc/swanctl/x509ca/ca.pem <"$OUT/pki/ca.pem"
  put "$1" "/etc/swanctl/x509/$2.pem" <"$OUT/pki/$2.pem"
  put "$1" "/etc/swanctl/private/$2.key" 600 <"$OUT/pki/$2.key"
}
