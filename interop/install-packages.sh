#!/bin/bash
# Installs what the interop suite needs from Debian or Ubuntu: strongSwan and a User-Mode Linux kernel as clients, tools to
# watch them. No daemon is started or stays enabled because of it. Does nothing if all is there.
set -euo pipefail

PACKAGES=(
  user-mode-linux strongswan-swanctl strongswan-charon strongswan-pki libcharon-extra-plugins libcharon-extauth-plugins
  libstrongswan-extra-plugins libstrongswan-standard-plugins nftables conntrack iperf3 tcpdump tshark iputils-ping
  iproute2 util-linux openssl kmod python3 procps
)
POLICY=/usr/sbin/policy-rc.d

missing() {
  local package
  for package in "${PACKAGES[@]}"; do
    dpkg-query -W -f '${db:Status-Status}\n' "$package" 2>/dev/null | grep -qx installed || echo "$package"
  done
}

# policy-rc.d with exit status 101 forbids starting services (Debian policy, section 9.3.3.1); another's is put back.
forbid_services() {
  [ ! -e $POLICY ] || mv $POLICY $POLICY.before-interop
  trap restore_policy EXIT
  printf '#!/bin/sh\nexit 101\n' >$POLICY
  chmod 755 $POLICY
}

restore_policy() {
  rm -f $POLICY
  [ ! -e $POLICY.before-interop ] || mv $POLICY.before-interop $POLICY
}

mapfile -t wanted < <(missing)
[ ${#wanted[@]} -gt 0 ] || exit 0
[ "$(id -u)" = 0 ] || { echo "must run as root to install: ${wanted[*]}" >&2; exit 1; }
command -v apt-get >/dev/null || { echo "install by hand (no apt-get here): ${wanted[*]}" >&2; exit 1; }
export DEBIAN_FRONTEND=noninteractive
forbid_services
apt-get update -q
apt-get install -qy --no-install-recommends "${wanted[@]}"
for unit in strongswan.service strongswan-starter.service iperf3.service; do
  if command -v systemctl >/dev/null; then systemctl disable "$unit" >/dev/null 2>&1 || true; fi
done
