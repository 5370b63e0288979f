#!/usr/bin/env bash
# Starts and stops a real SLURM cluster of one node for tests: `slurm.sh up DIR` and `slurm.sh down DIR`. It needs no
# systemd, and keeps all state below DIR. On Debian, install SLURM with
# apt-get install --no-install-recommends slurmctld slurmd slurm-client munge
# The daemons run as the caller and listen only on the loopback interface. They have their own configuration, so another
# SLURM on the same machine does not matter.
set -euo pipefail
action=$1 home=$2
export PATH=/usr/sbin:/usr/bin:/sbin:/bin
export SLURM_CONF=$home/slurm.conf

write_configuration() {
    mkdir -p "$home"/{state,spool,log,run,gpus,bin}
    chmod 755 "$home" "$home"/*
    cat > "$SLURM_CONF" << CONF
ClusterName=test
SlurmctldHost=$(hostname -s)(127.0.0.1)
SlurmctldPort=26817
SlurmdPort=26818
CommunicationParameters=NoCtldInAddrAny,NoInAddrAny
AuthType=auth/munge
# A job that lost its node is restarted only after its credential expires.
AuthInfo=socket=$home/run/munge.socket,cred_expire=10
CredType=cred/munge
SlurmUser=$(id -un)
SlurmdUser=$(id -un)
StateSaveLocation=$home/state
SlurmdSpoolDir=$home/spool
SlurmctldPidFile=$home/run/slurmctld.pid
SlurmdPidFile=$home/run/slurmd.pid
SlurmctldLogFile=$home/log/slurmctld.log
SlurmdLogFile=$home/log/slurmd.log
ProctrackType=proctrack/linuxproc
TaskPlugin=task/none
MpiDefault=none
MailProg=/bin/true
SelectType=select/cons_tres
SelectTypeParameters=CR_CPU_Memory
AccountingStorageType=accounting_storage/none
JobAcctGatherType=jobacct_gather/none
JobCompType=jobcomp/filetxt
JobCompLoc=$home/log/jobs
GresTypes=gpu
# The node claims more resources than its machine may have, so that jobs of the profile fit.
SlurmdParameters=config_overrides
SchedulerParameters=batch_sched_delay=0,sched_interval=2
# SLURM must remember finished jobs until the executor and the tests ask for them, which may take long.
MinJobAge=36000
KillWait=5
ReturnToService=2
NodeName=node NodeHostname=$(hostname -s) NodeAddr=127.0.0.1 CPUs=${CPUS:-2} RealMemory=16000 Gres=gpu:2 State=UNKNOWN
PartitionName=all Nodes=node Default=YES MaxTime=INFINITE State=UP
CONF
    # slurmd checks only that a GPU is a device file.
    ln -sfn /dev/null "$home/gpus/gpu0"
    ln -sfn /dev/null "$home/gpus/gpu1"
    echo "NodeName=node Name=gpu File=$home/gpus/gpu[0-1] Flags=nvidia_gpu_env" > "$home/gres.conf"
    # The executor removes SLURM_CONF from the environment of jobs, so these wrappers of the clients set it.
    for client in sbatch srun squeue scancel scontrol sinfo; do
        printf '#!/bin/sh\nSLURM_CONF=%s exec %s "$@"\n' "$SLURM_CONF" "$(command -v $client)" > "$home/bin/$client"
        chmod 755 "$home/bin/$client"
    done
    (umask 077 && head -c 128 /dev/urandom > "$home/munge.key")
}

# Usage: await SECONDS WHAT COMMAND...
await() {
    local seconds=$1 what=$2
    shift 2
    for _ in $(seq $((seconds * 5))); do
        "$@" > /dev/null 2>&1 && return
        sleep 0.2
    done
    echo "$what did not happen within $seconds seconds; see $home/log" >&2
    tail -n 5 "$home"/log/*.log >&2
    exit 1
}

no_job_runs() { [ -z "$(timeout 5 squeue --noheader --states=running,completing)" ]; }

is_idle() { [ "$(sinfo --noheader --format %T)" = idle ]; }

up() {
    write_configuration
    munged --force --key-file "$home/munge.key" --socket "$home/run/munge.socket" --pid-file "$home/run/munged.pid" \
        --seed-file "$home/run/munge.seed" --log-file "$home/log/munged.log"
    slurmctld
    slurmd -N node
    await 60 "The idle state of the node" is_idle
    await 60 "A job step with a GPU" timeout 10 srun --ntasks=1 --gpus=1 true
}

# Stops a daemon, if the process in its PID file is that daemon.
stop() {
    local pid
    pid=$(cat "$home/run/$1.pid" 2> /dev/null) || return 0
    [ "$(cat "/proc/$pid/comm" 2> /dev/null)" = "$1" ] || return 0
    kill "$pid"
    for _ in $(seq 50); do
        kill -0 "$pid" 2> /dev/null || return 0
        sleep 0.1
    done
    kill -9 "$pid"
}

down() {
    timeout 10 scancel --user="$(id -un)" 2> /dev/null || true
    # The daemons are stopped even if some jobs did not end.
    (await 20 "The end of all jobs" no_job_runs) || true
    for daemon in slurmd slurmctld munged; do
        stop $daemon
    done
}

"$action"
