# The laboratory: everything a recipe needs. A recipe begins with
#
#   . "$(dirname "$0")/../lab/lab.sh"
#   : "${PARAMETER:=default of this recipe}"
#   lab_main
#
# and ends with `finish`. Parameters come as VAR=value arguments or from the environment.
#
# Words used in all files of this folder:
#   segment  a network namespace that holds a bridge: one Ethernet
#   node     a machine. Kind `bare`:  a network namespace, file system of the host
#                       kind `plain`: a network namespace and a private copy-on-write root
#                       kind `guest`: a User-Mode Linux kernel and a private copy-on-write root
#   driver   a file in servers/ that starts, stops and questions one kind of server
#   trial    one thing done to a connected client, with its checks

set -uo pipefail
INTEROP=$(cd "$(dirname "${BASH_SOURCE[0]}")/.." && pwd)
export PATH=/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin LC_ALL=C

for argument in "$@"; do
  case $argument in
    [A-Z]*=*) export "${argument?}" ;;
    *) echo "usage: $0 [VAR=value ...]" >&2; exit 2 ;;
  esac
done
unset argument

for part in run network nodes guest topology capture traffic pki strongswan libreswan openiked server roadwarrior site cygnet-peer l2tp xauth trials site-trials l2tp-trials attacks; do
  . "$INTEROP/lab/$part.sh"
done
unset part
