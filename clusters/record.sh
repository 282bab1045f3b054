#!/usr/bin/env bash
# The record on the head: PostgreSQL on a Unix socket, and the MLflow server over it on 127.0.0.1:5000.
#   record.sh start | stop | status | save
# Neither can be reached from another machine; people come through an SSH tunnel. Both are started again when they
# die. The database is saved every ten minutes to LAB_RECORD_BACKUP (a folder or s3://...), and a head that has no
# database yet begins with what was saved there: the record outlives the head.
set -euo pipefail
home=${LAB_RECORD:-$HOME/lab-record}
environment=${LAB_ENVIRONMENT:-$HOME/lab-environment}
backup=${LAB_RECORD_BACKUP:-}
port=${LAB_RECORD_PORT:-5000}
every=${LAB_RECORD_BACKUP_SECONDS:-600}
binaries=$(ls -d /usr/lib/postgresql/*/bin 2>/dev/null | sort -V | tail -1)
PATH=${binaries:+$binaries:}$PATH
database=$home/database socket=$home/socket

say() { echo "lab record: $*" >&2; }
# PostgreSQL refuses to run as root. Descriptor 9 is the lock: a server that inherited it would hold it for ever.
as_owner() { if [ "$(id -u)" = 0 ]; then runuser -u postgres -- "$@" 9>&-; else "$@" 9>&-; fi; }
owner=$([ "$(id -u)" = 0 ] && echo postgres || id -un)
# The folder of the socket is the lock on the door: only its owner and root may enter.
uri="postgresql+psycopg://$owner@/mlflow?host=$socket"

make_database() {
  command -v initdb >/dev/null || { say "no PostgreSQL here: apt-get install postgresql."; exit 1; }
  mkdir -p "$home" "$socket"
  [ "$(id -u)" != 0 ] || { chmod o+x "$HOME"; chown postgres "$home" "$socket"; }
  chmod 700 "$socket"
  if [ ! -f "$database/PG_VERSION" ]; then
    as_owner initdb -D "$database" -E UTF8 --auth-local=trust --auth-host=reject >/dev/null
    touch "$home/new"
  fi
}

start_database() {
  if ! as_owner pg_ctl -D "$database" status >/dev/null 2>&1; then
    as_owner pg_ctl -D "$database" -w -t 60 -l "$home/postgres.log" \
      -o "-c listen_addresses='' -c unix_socket_directories='$socket' -c max_connections=200" start >/dev/null
  fi
  if [ -e "$home/new" ]; then
    as_owner createdb -h "$socket" mlflow 2>/dev/null || true
    if fetch "$home/saved.sql"; then
      as_owner psql -q -h "$socket" -d mlflow -v ON_ERROR_STOP=1 --single-transaction < "$home/saved.sql" >/dev/null
      say "begins with what was saved in $backup"
    fi
    rm -f "$home/new" "$home/saved.sql"
  fi
}

# A copy between this disk and LAB_RECORD_BACKUP, whichever kind of place that is.
copy() {
  "$environment/bin/python" - "$1" "$2" <<'PYTHON'
import sys
from pyarrow import fs
(source, from_path), (target, to_path) = (fs.FileSystem.from_uri(place) for place in sys.argv[1:])
if source.get_file_info(from_path).type is fs.FileType.NotFound:
    sys.exit(3)
target.create_dir(to_path.rpartition("/")[0], recursive=True)
fs.copy_files(from_path, to_path, source_filesystem=source, destination_filesystem=target)
PYTHON
}
place() { case $backup in *://*) echo "$backup/record.sql" ;; *) echo "file://$backup/record.sql" ;; esac; }
fetch() { # 1 where nothing was saved; a store that does not answer must not begin an empty record
  [ -n "$backup" ] || return 1
  local rc=0
  copy "$(place)" "file://$1" || rc=$?
  case $rc in 0) return 0 ;; 3) return 1 ;; *) say "$backup cannot be read: correct LAB_RECORD_BACKUP."; exit 1 ;; esac
}
save() {
  [ -n "$backup" ] || { say "LAB_RECORD_BACKUP is not set."; return 1; }
  as_owner pg_dump -h "$socket" mlflow > "$home/save.sql" && copy "file://$home/save.sql" "$(place)"
}

serve() { # for ever: a server that dies is started again
  while :; do
    MLFLOW_BACKEND_STORE_URI=$uri MLFLOW_ARTIFACTS_DESTINATION=${LAB_ARTIFACTS:-$home/artifacts} \
      MLFLOW_DISABLE_TELEMETRY=true MLFLOW_SERVER_ENABLE_JOB_EXECUTION=false \
      "$environment/bin/python" -m mlflow server --host 127.0.0.1 --port "$port" --workers 1 || true
    sleep 2
    as_owner pg_ctl -D "$database" status >/dev/null 2>&1 || start_database || true
  done
}
save_now_and_then() { while sleep "$every"; do save || say "not saved; again in $every s"; done; }

running() { [ -f "$home/pid" ] && kill -0 -- "-$(cat "$home/pid")" 2>/dev/null; }
answers() { (exec 3<>"/dev/tcp/127.0.0.1/$port") 2>/dev/null; }

case ${1:-} in
start)
  mkdir -p "$home"
  exec 9>"$home/lock"; flock 9
  make_database; start_database
  if ! running; then
    setsid "$0" loop >>"$home/mlflow.log" 2>&1 </dev/null 9>&- &
    echo $! > "$home/pid"
  fi
  for _ in $(seq 300); do answers && { say "MLflow answers on 127.0.0.1:$port"; exit 0; }; sleep 0.4; done
  say "MLflow does not answer after two minutes: see $home/mlflow.log."; exit 1 ;;
loop)
  [ -z "$backup" ] || save_now_and_then &
  serve ;;
stop)
  [ -z "$backup" ] || save || true
  running && kill -TERM -- "-$(cat "$home/pid")" || true
  rm -f "$home/pid"
  as_owner pg_ctl -D "$database" -m fast stop >/dev/null 2>&1 || true ;;
status)
  as_owner pg_ctl -D "$database" status >/dev/null && answers && say "both are up" ;;
save) save ;;
*) sed -n 2,7p "$0"; exit 2 ;;
esac
