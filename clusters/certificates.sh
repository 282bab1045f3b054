#!/usr/bin/env bash
# Certificates for Ray's gRPC, so that what nodes say to each other is encrypted and a process without one is refused.
#   certificates.sh authority [FOLDER]    once, on your machine: a private authority, ca.crt and ca.key
#   certificates.sh node [FOLDER]         on every node, by `ray up`: node.crt and node.key, for all its addresses
# FOLDER is ~/.ray/tls. The authority travels to the nodes as the token does: who holds ca.key can make a node's certificate.
# `python clusters/tls.py my-cluster.yaml` prints the configuration that uses them.
set -euo pipefail
umask 077
what=${1:-} folder=${2:-$HOME/.ray/tls}
authority_days=3650 node_days=825 # a node's is made anew by every `ray up`
say() { echo "lab certificates on $(hostname): $*" >&2; }
command -v openssl >/dev/null || { say "no openssl: apt-get install openssl."; exit 1; }
new_key() { openssl genpkey -quiet -algorithm EC -pkeyopt ec_paramgen_curve:P-256 -out "$1" 2>/dev/null; }

case $what in
authority)
  mkdir -p "$folder"
  [ ! -f "$folder/ca.key" ] || { say "there is one in $folder already."; exit 0; }
  new_key "$folder/ca.key"
  openssl req -x509 -new -key "$folder/ca.key" -sha256 -days "$authority_days" -subj "/CN=perceiver-lab" \
    -addext "basicConstraints=critical,CA:TRUE" -addext "keyUsage=critical,keyCertSign,cRLSign" -out "$folder/ca.crt" ;;
node)
  [ -f "$folder/ca.key" ] && [ -f "$folder/ca.crt" ] || { say "no authority in $folder: certificates.sh authority."; exit 1; }
  chmod 700 "$folder" && chmod 600 "$folder"/ca.*
  names="DNS:localhost,DNS:$(hostname),IP:127.0.0.1"
  for address in ${LAB_TLS_ADDRESSES:-$(hostname -I)}; do names+=",IP:$address"; done
  new_key "$folder/node.key.new"
  openssl req -new -key "$folder/node.key.new" -subj "/CN=$(hostname)" |
    openssl x509 -req -sha256 -days "$node_days" -CA "$folder/ca.crt" -CAkey "$folder/ca.key" \
      -set_serial "0x$(openssl rand -hex 16)" -out "$folder/node.crt.new" 2>/dev/null \
      -extfile <(echo "subjectAltName=$names"; echo "extendedKeyUsage=serverAuth,clientAuth"; echo "basicConstraints=CA:FALSE")
  mv "$folder/node.key.new" "$folder/node.key" && mv "$folder/node.crt.new" "$folder/node.crt" ;;
*) sed -n 2,7p "$0"; exit 2 ;;
esac
