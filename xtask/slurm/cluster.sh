#!/usr/bin/env bash
# A Slurm cluster of this one machine, all of it in FOLDER and none of it a service:
#     cluster.sh start FOLDER | cluster.sh stop FOLDER
# Afterwards SLURM_CONF=FOLDER/slurm.conf tells sbatch and its like where it is. Needs slurm-wlm and munge.
set -euo pipefail
command=$1
folder=$2
# Daemons of the system are not always on a user's path.
PATH=$PATH:/usr/sbin:/sbin

wait_for() {
  for _ in $(seq 100); do
    if "$@" >"$folder/waiting.log" 2>&1; then return 0; fi
    sleep 0.1
  done
  echo "waited in vain for: $*" >&2
  cat "$folder"/*.log >&2
  return 1
}

stop() {
  for daemon in slurmd slurmctld munged; do
    pid=$(cat "$folder/$daemon.pid" 2>/dev/null) || continue
    kill "$pid" 2>/dev/null || continue
    # The next cluster has the same ports.
    for _ in $(seq 100); do
      grep --quiet --no-messages '^State:.*[^Z] (' "/proc/$pid/status" || break
      sleep 0.1
    done
  done
}

if [ "$command" = stop ]; then
  stop
  exit 0
fi

# munged refuses a socket in a folder that others could write to.
umask 022
mkdir -p "$folder/state" "$folder/spool"
folder=$(cd "$folder" && pwd)
host=$(hostname -s)
memory=$(awk '/^MemTotal/ { print int($2 / 1024 * 0.9) }' /proc/meminfo)
cat >"$folder/slurm.conf" <<CONF
ClusterName=test
SlurmctldHost=$host(127.0.0.1)
SlurmctldPort=16817
SlurmdPort=16818
SlurmUser=$(id -un)
SlurmdUser=$(id -un)
AuthType=auth/munge
AuthInfo=socket=$folder/munge.socket
StateSaveLocation=$folder/state
SlurmdSpoolDir=$folder/spool
SlurmctldPidFile=$folder/slurmctld.pid
SlurmdPidFile=$folder/slurmd.pid
SlurmctldLogFile=$folder/slurmctld.log
SlurmdLogFile=$folder/slurmd.log
ProctrackType=proctrack/linuxproc
TaskPlugin=task/none
SelectType=select/cons_tres
SelectTypeParameters=CR_Core
MpiDefault=none
MailProg=/bin/true
KillWait=10
SchedulerParameters=sched_interval=1
AccountingStorageType=accounting_storage/none
JobCompType=jobcomp/none
NodeName=$host NodeAddr=127.0.0.1 CPUs=$(nproc) RealMemory=$memory
PartitionName=main Nodes=$host Default=YES MaxTime=INFINITE State=UP
CONF
export SLURM_CONF=$folder/slurm.conf
trap stop ERR
head -c 1024 /dev/urandom >"$folder/munge.key"
chmod 600 "$folder/munge.key"
munged --key-file="$folder/munge.key" --socket="$folder/munge.socket" --pid-file="$folder/munged.pid" \
  --log-file="$folder/munged.log" --seed-file="$folder/munged.seed"
wait_for munge --no-input --socket="$folder/munge.socket"
slurmctld
wait_for scontrol ping
slurmd -N "$host"
wait_for sh -c 'sinfo --noheader --format=%T | grep --quiet idle'
