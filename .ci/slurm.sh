#!/bin/sh
# Prints 1 where the tests on a throw-away Slurm cluster can run; installs Debian's packages where apt can.
# Says on standard error how long that took.
set -u
PATH=$PATH:/usr/sbin:/sbin
begin=$(date +%s)
found() {
    for name in slurmctld slurmd sbatch slurmdbd mariadbd; do
        command -v "$name" > /dev/null || return 1
    done
}
if ! found && [ "$(id -u)" = 0 ] && command -v apt-get > /dev/null; then
    export DEBIAN_FRONTEND=noninteractive
    {
        apt-get update -qq && apt-get install -y -qq --no-install-recommends \
            slurmctld slurmd slurm-client munge slurmdbd mariadb-server-core
    } > /dev/null 2>&1
fi
if found; then
    echo 1
    echo "Slurm is installed ($(($(date +%s) - begin)) s)" >&2
fi
exit 0
