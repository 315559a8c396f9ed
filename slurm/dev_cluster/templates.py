"""The texts of the files that :mod:`slurm.dev_cluster.configuration` fills in."""

# NoCtldInAddrAny, NoInAddrAny: listen on the loopback address only.
# cred_expire: a requeued job waits this long and a second; 5 is the least that Slurm accepts, its default is 120.
# SlurmdTimeout: a silent node is taken for dead after 20 to 30 seconds, and its jobs requeued; the default is 300.
# config_overrides: a node may have more CPUs and memory than this machine.
# preempt_send_user_signal: a preempted job gets the signal that it asked for, and GraceTime to obey.
# MinJobAge: a finished job can be asked about for an hour.
# MaxArraySize: Slurm's default.
SLURM = """\
ClusterName=dev
SlurmctldHost={host}({address})
SlurmctldPort={port}
SlurmUser={user}
SlurmdUser={user}
AuthType=auth/none
CredType=cred/none
AuthInfo=cred_expire=5
CommunicationParameters=NoCtldInAddrAny,NoInAddrAny
StateSaveLocation={folder}/state
SlurmdSpoolDir={folder}/spool/%n
SlurmctldPidFile={folder}/run/slurmctld.own
SlurmdPidFile={folder}/run/slurmd-%n.own
SlurmctldLogFile={folder}/log/slurmctld.log
SlurmdLogFile={folder}/log/slurmd-%n.log
MpiDefault=none
ProctrackType=proctrack/linuxproc
TaskPlugin=task/none
SwitchType=switch/none
SelectType=select/cons_tres
SelectTypeParameters=CR_CPU_Memory
DefMemPerCPU={memory}
GresTypes=gpu
SlurmdParameters=config_overrides
SlurmdTimeout=10
ReturnToService=2
SchedulerType=sched/backfill
SchedulerParameters=batch_sched_delay=0,sched_interval=1,sched_min_interval=0,bf_interval=1
PreemptType=preempt/partition_prio
PreemptMode=REQUEUE
SlurmctldParameters=preempt_send_user_signal
JobRequeue=1
KillWait=3
MinJobAge=3600
InactiveLimit=0
MaxArraySize=1001
MaxJobCount=20000
JobAcctGatherType=jobacct_gather/linux
JobAcctGatherFrequency=task=1
JobAcctGatherParams=OverMemoryKill
{storage}
{nodes}
PartitionName=main Nodes=ALL Default=YES MaxTime=INFINITE PriorityTier=10 PreemptMode=off State=UP
PartitionName=low Nodes=ALL MaxTime=INFINITE PriorityTier=1 GraceTime=5 PreemptMode=requeue State=UP
"""

ACCOUNTING = """\
AuthType=auth/none
AuthInfo=cred_expire=5
DbdHost=localhost
DbdAddr={address}
DbdPort={port}
SlurmUser={user}
StorageType=accounting_storage/mysql
StorageHost={address}
StoragePort={database}
StorageUser=slurm
StoragePass=unused
StorageLoc=slurm_acct
LogFile={folder}/log/slurmdbd.log
PidFile={folder}/run/slurmdbd.own
"""

SACCT = """\
#!/bin/sh
# Stands in for sacct where nothing keeps accounts: the one question that submitit asks, answered by slurmctld,
# which remembers finished jobs for an hour.
jobs= columns=
while [ $# -gt 0 ]; do
    case $1 in
        -j) jobs=$jobs,$2; shift ;;
        -o) columns=$2; shift ;;
    esac
    shift
done
if [ "$columns" != JobID,State,NodeList ]; then
    echo 'sacct: this cluster keeps no accounts (start it with --accounting); only -o JobID,State,NodeList works' >&2
    exit 1
fi
echo 'JobID|State|NodeList'
# A job that nobody knows is no error of sacct's.
if ! answer=$(squeue --noheader --array --states=all --format='%i|%T|%N' --jobs="${jobs#,}" 2>&1); then
    case $answer in
        *'Invalid job id'*) exit 0 ;;
    esac
    echo "$answer" >&2
    exit 1
fi
echo "$answer"
"""
