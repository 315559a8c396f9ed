"""A throw-away Slurm cluster on this machine's loopback interface, for development and tests.

    python -m slurm.dev_cluster start DIR     two virtual nodes with pretended GPUs; every file is below DIR
    . DIR/env.sh                              now sbatch, squeue, scancel ... talk to it
    python -m slurm.dev_cluster stop DIR

It needs Debian's packages of Slurm, but no root, no systemd, no munge daemon, and touches no file outside DIR.
Anybody with an account on the machine can submit jobs to it as its owner: nothing for a shared machine.
"""

from slurm.dev_cluster.cluster import DevCluster, environment

__all__ = ["DevCluster", "environment"]
