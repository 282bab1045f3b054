#!/usr/bin/env bash
# Closes this machine to everybody but the cluster's own: firewall.sh ADDRESS... lists them. Others may open SSH, and
# nothing else; what this machine opens itself is left alone. Ray asks for a token nearly everywhere, but not for its
# metrics. `firewall.sh open` takes the rules away. They end with a reboot; `ray up` sets them again.
set -euo pipefail
as_root=$([ "$(id -u)" = 0 ] || echo sudo)
[ $# -gt 0 ] || { sed -n 2,4p "$0"; exit 2; }
PATH=$PATH:/usr/sbin
command -v nft >/dev/null || { $as_root apt-get update -q && $as_root apt-get install -y -q nftables; }
$as_root nft delete table inet lab 2>/dev/null || true
[ "$1" != open ] || exit 0
$as_root nft -f - <<END
table inet lab {
  chain input {
    type filter hook input priority filter; policy accept;
    iif lo accept
    tcp dport 22 accept
    ip saddr { $(IFS=,; echo "$*") } accept
    tcp flags & (fin | syn | rst | ack) == syn reject with tcp reset
  }
}
END
