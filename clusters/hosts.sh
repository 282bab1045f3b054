#!/usr/bin/env bash
# Several hosts on one machine, to try a cluster without paying for one. Each is a network namespace with an address of
# its own, its own processes, name, /tmp, /root, /run and /dev/shm, an sshd, and no sight of this repository: code comes
# to it as it comes to a real one. What they share is /mnt/lab, as machines with NFS do.
#
#   hosts.sh up [N]            start N hosts (default 3): 10.77.0.10, 10.77.0.11, ...
#   hosts.sh ssh I COMMAND     on host I, as its root
#   hosts.sh outside COMMAND   from a machine beside them, which has no key and no token
#   hosts.sh link I up|down    plug the cable of host I in or out
#   hosts.sh kill I            host I loses power
#   hosts.sh start I           and comes back, its disk as it was
#   hosts.sh down              end all of it, whatever state it is in
#
# Needs Linux, root, and the packages iproute2, openssh-server, rsync and postgresql. LAB_HOSTS is the folder of it all
# (default /var/tmp/lab-hosts), and names it: two folders are two clusters, told apart by LAB_HOSTS_NET (default 10.77.0).
# LAB_HOSTS_ENVIRONMENT is the virtual environment that the hosts are given as theirs (default: .venv here).
set -euo pipefail
repository=$(cd "$(dirname "${BASH_SOURCE[0]}")/.." && pwd)
all=${LAB_HOSTS:-/var/tmp/lab-hosts}
net=${LAB_HOSTS_NET:-10.77.0}
environment=${LAB_HOSTS_ENVIRONMENT:-$repository/.venv}
tag=lab${net//./} # interfaces and namespaces are named by the network, in 15 letters at most
bridge=b$tag
ssh_options=(-i "$all/key" -o StrictHostKeyChecking=no -o UserKnownHostsFile=/dev/null -o LogLevel=ERROR
  -o IdentitiesOnly=yes -o ConnectTimeout=10)

die() { echo "hosts.sh: $*" >&2; exit 1; }
address() { echo "$net.$((10 + $1))"; }
space() { echo "$tag-$1"; }
cable() { echo "v$tag$1"; }
numbers() { ls "$all" 2>/dev/null | sed -n 's/^host-\([0-9]*\)$/\1/p' | sort -n; }
alive() { [ -s "$all/host-$1/pid" ] && kill -0 "$(cat "$all/host-$1/pid")" 2>/dev/null; }
on() { local host=$1; shift; ssh "${ssh_options[@]}" "root@$(address "$host")" "$@"; }

require() {
  [ "$(id -u)" = 0 ] || die "needs root, to make network namespaces: sudo $0 $*"
  local tool package
  for pair in ip:iproute2 sshd:openssh-server ssh-keygen:openssh-client rsync:rsync unshare:util-linux; do
    tool=${pair%:*} package=${pair#*:}
    PATH=$PATH:/usr/sbin command -v "$tool" >/dev/null || die "no $tool: apt-get install $package"
  done
  ls /usr/lib/postgresql/*/bin/initdb >/dev/null 2>&1 || die "no PostgreSQL: apt-get install postgresql"
  [ -x "$environment/bin/python" ] || die "no environment at $environment: make install, or set LAB_HOSTS_ENVIRONMENT"
}

# The network: a switch, and what is outside the cluster plugged into it too.
make_network() {
  mkdir -p "$all"
  ip link add "$bridge" type bridge 2>/dev/null || die "$bridge is there already: $0 down"
  ip addr add "$net.1/24" dev "$bridge"
  ip link set "$bridge" up
  make_namespace outside "$net.200"
}

make_namespace() { # NAME ADDRESS
  ip netns add "$(space "$1")"
  ip link add "$(cable "${1:0:2}")" type veth peer name eth0 netns "$(space "$1")"
  ip link set "$(cable "${1:0:2}")" master "$bridge" up
  ip -n "$(space "$1")" addr add "$2/24" dev eth0
  ip -n "$(space "$1")" link set eth0 up
  ip -n "$(space "$1")" link set lo up
  ip -n "$(space "$1")" route add default via "$net.1"
}

make_keys() {
  [ -f "$all/key" ] || ssh-keygen -q -t ed25519 -N '' -f "$all/key"
  [ -f "$all/host_key" ] || ssh-keygen -q -t ed25519 -N '' -f "$all/host_key"
}

make_host() {
  local host=$1 disk=$all/host-$1
  mkdir -p "$disk/tmp" "$disk/root/.ssh" "$all/shared"
  chmod 1777 "$disk/tmp" && chmod 700 "$disk/root" "$disk/root/.ssh"
  install -m 600 "$all/key.pub" "$disk/root/.ssh/authorized_keys"
  echo '[ -f ~/.bashrc ] && . ~/.bashrc' > "$disk/root/.bash_profile"
  touch "$disk/root/.bashrc"
  # The environment as install.sh would leave it, from the same two files.
  mkdir -p "$disk/root/lab-environment"
  make_namespace "$host" "$(address "$host")"
}

start_host() {
  local host=$1 disk=$all/host-$1
  cat > "$disk/sshd_config" <<END
ListenAddress $(address "$host")
HostKey $all/host_key
PidFile none
AuthorizedKeysFile /root/.ssh/authorized_keys
PermitRootLogin prohibit-password
PasswordAuthentication no
KbdInteractiveAuthentication no
UsePAM no
StrictModes no
MaxStartups 50:30:100
MaxSessions 100
Subsystem sftp /usr/lib/openssh/sftp-server
END
  setsid ip netns exec "$(space "$host")" unshare --mount --pid --uts --ipc --fork --mount-proc --kill-child \
    --propagation private "$0" inside "$host" >>"$disk/log" 2>&1 </dev/null &
  local outer=$!
  for _ in $(seq 200); do
    (exec 3<>"/dev/tcp/$(address "$host")/22") 2>/dev/null && break
    kill -0 "$outer" 2>/dev/null || die "host $host did not start: $(tail -3 "$disk/log")"
    sleep 0.05
  done
  echo "$outer" > "$disk/pid" # ends with all the host's processes when it is killed
}

# The first process of a host: what it sees of the disks, and then its sshd.
inside() {
  local host=$1 disk=$all/host-$1 python
  hostname "lab-$host"
  python=$("$environment/bin/python" -c 'import sys; print(sys.base_prefix)')
  # Its own copy of the environment, as far as it writes to it, with install.sh's word that it is the locked one.
  rm -rf "$disk/overlay" && mkdir -p "$disk/overlay/upper" "$disk/overlay/work"
  mount -t overlay -o "lowerdir=$environment,upperdir=$disk/overlay/upper,workdir=$disk/overlay/work" overlay \
    "$disk/root/lab-environment"
  cat "$repository/pyproject.toml" "$repository/constraints.txt" | sha256sum | cut -c1-12 > "$disk/root/lab-environment/.files"
  sha256sum "$repository/constraints.txt" | cut -c1-12 > "$disk/root/lab-environment/lock"
  # What must stay visible, though it lies in folders that are about to be covered. Nothing here may change it.
  for folder in "$python" "$environment"; do
    case $folder in /root/* | /tmp/*) mkdir -p "$disk$folder" && bind_unchangeable "$folder" "$disk$folder" ;; esac
  done
  mkdir -p /mnt/lab && mount --bind "$all/shared" /mnt/lab
  mkdir -p "$disk/kept" && bind_unchangeable "$environment" "$disk/kept"
  mount -t tmpfs -o mode=755 tmpfs "$repository"
  case $environment in
    "$repository"/*) mkdir -p "$environment" && mount --bind "$disk/kept" "$environment" ;;
    /root/* | /tmp/*) ;;
    *) bind_unchangeable "$environment" "$environment" ;;
  esac
  mount -t tmpfs -o mode=755 tmpfs /run && mkdir -p /run/sshd /run/postgresql && chmod 1777 /run/postgresql
  mount -t tmpfs -o size=4g tmpfs /dev/shm
  mount --rbind "$disk/tmp" /tmp
  mount --rbind "$disk/root" /root
  cd /root
  exec env -i PATH=/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin HOME=/root LANG=C.UTF-8 \
    /usr/sbin/sshd -D -e -f "$disk/sshd_config"
}

bind_unchangeable() { mount --bind "$1" "$2" && mount -o remount,bind,ro "$2"; }

kill_host() {
  local pid
  pid=$(cat "$all/host-$1/pid" 2>/dev/null) || return 0
  # Its first process, the child of unshare: with it the kernel ends all others of its namespace.
  for child in $(cat "/proc/$pid/task/$pid/children" 2>/dev/null); do kill -9 "$child" 2>/dev/null || true; done
  kill -9 "$pid" 2>/dev/null || true
  for _ in $(seq 100); do kill -0 "$pid" 2>/dev/null || break; sleep 0.05; done
  rm -f "$all/host-$1/pid"
}

down() {
  local host
  for host in $(numbers); do kill_host "$host"; done
  for name in $(ip netns list 2>/dev/null | awk -v t="$tag-" 'index($1, t) == 1 { print $1 }'); do
    for pid in $(ip netns pids "$name" 2>/dev/null); do kill -9 "$pid" 2>/dev/null || true; done
    ip netns del "$name" 2>/dev/null || true
  done
  ip link del "$bridge" 2>/dev/null || true
  for link in $(ip -o link 2>/dev/null | awk -F': ' '{ print $2 }' | cut -d@ -f1 | grep "^v$tag" || true); do
    ip link del "$link" 2>/dev/null || true
  done
  case $all in /var/tmp/* | /tmp/*) rm -rf "$all" ;; *) rm -rf "$all"/host-* "$all"/key* "$all"/host_key* ;; esac
}

case ${1:-} in
up)
  require "$@"
  trap 'down' ERR INT TERM
  make_network && make_keys
  for host in $(seq 0 $((${2:-3} - 1))); do make_host "$host" && start_host "$host"; done
  for host in $(numbers); do on "$host" 'echo "$(hostname) $(hostname -I) $(ls -d /proc/[0-9]* | wc -l) processes"'; done ;;
ssh) on "${@:2}" ;;
outside) ip netns exec "$(space outside)" "${@:2}" ;;
link) ip link set "$(cable "$2")" "$3" ;;
kill) kill_host "$2" ;;
start) alive "$2" || start_host "$2" ;;
inside) inside "$2" ;;
down) down ;;
*) sed -n '2,16s/^# \{0,1\}//p' "$0"; exit 2 ;;
esac
