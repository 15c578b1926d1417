"""This machine as a SLURM cluster of one node: munge, a controller and a node, all of its own, in one folder."""

import getpass
import os
import secrets
import shutil
import socket
import subprocess
import time
from pathlib import Path

import pytest

DAEMONS = ("munged", "slurmctld", "slurmd")
CPUS = GPUS = 2
NODE = "localhost"
CONF = """
ClusterName=test
SlurmctldHost={host}(127.0.0.1)
SlurmctldPort={ports[0]}
SlurmdPort={ports[1]}
SlurmUser={user}
SlurmdUser={user}
AuthType=auth/munge
AuthInfo=socket={folder}/munge/socket
StateSaveLocation={folder}/state
SlurmdSpoolDir={folder}/spool
SlurmctldPidFile={folder}/slurmctld.pid
SlurmdPidFile={folder}/slurmd.pid
ProctrackType=proctrack/linuxproc
TaskPlugin=task/none
SwitchType=switch/none
SelectType=select/cons_tres
SelectTypeParameters=CR_CPU
SchedulerParameters=bf_interval=1
AccountingStorageType=accounting_storage/none
JobAcctGatherType=jobacct_gather/none
GresTypes=gpu
NodeName={node} NodeHostname={host} NodeAddr=127.0.0.1 CPUs={cpus} RealMemory=4000 Gres=gpu:{gpus}
PartitionName=main Nodes=ALL Default=YES State=UP
"""


def free_ports(count: int) -> list[int]:
    """TCP ports that nothing listens on."""
    sockets = [socket.socket() for _ in range(count)]
    try:
        for one in sockets:
            one.bind(("127.0.0.1", 0))
        return [one.getsockname()[1] for one in sockets]
    finally:
        for one in sockets:
            one.close()


class Cluster:
    """Daemons in the foreground, and commands that talk to them."""

    def __init__(self, folder: Path) -> None:
        self.path = f"{os.environ['PATH']}:/usr/sbin:/sbin"
        missing = [name for name in (*DAEMONS, "srun", "sbatch") if shutil.which(name, path=self.path) is None]
        if missing:
            pytest.fail(f"{' and '.join(missing)} not found: apt install slurm-wlm munge", pytrace=False)
        self.folder = folder
        self.daemons: list[subprocess.Popen[bytes]] = []
        self.environment = {**os.environ, "PATH": self.path, "SLURM_CONF": str(folder / "slurm.conf")}

    def configure(self) -> None:
        """Write the files that the daemons read; two character devices play the GPUs."""
        for name in ("munge", "state", "spool"):
            (self.folder / name).mkdir()
        key = self.folder / "munge" / "key"
        key.write_bytes(secrets.token_bytes(128))
        key.chmod(0o400)
        host = socket.gethostname().split(".")[0]
        text = CONF.format(
            folder=self.folder, host=host, user=getpass.getuser(), ports=free_ports(2), node=NODE, cpus=CPUS, gpus=GPUS
        )
        (self.folder / "slurm.conf").write_text(text)
        for number, device in enumerate(("/dev/null", "/dev/zero")):
            (self.folder / f"gpu{number}").symlink_to(device)
        (self.folder / "gres.conf").write_text(f"Name=gpu File={self.folder}/gpu[0-{GPUS - 1}]\n")

    def start(self) -> None:
        """Until the node is idle."""
        munge = [
            f"--{what}={self.folder}/munge/{file}"
            for what, file in (
                ("key-file", "key"),
                ("socket", "socket"),
                ("pid-file", "pid"),
                ("log-file", "log"),
                ("seed-file", "seed"),
            )
        ]
        for command in (
            ["munged", "--foreground", "--force", *munge],
            ["slurmctld", "-D", "-c", "-i"],
            ["slurmd", "-D", "-N", NODE],
        ):
            with (self.folder / f"{command[0]}.out").open("w") as out:
                self.daemons.append(
                    subprocess.Popen(command, env=self.environment, stdout=out, stderr=out, start_new_session=True)
                )
            time.sleep(1)
        for _ in range(60):
            if self("sinfo", "-h", "-o", "%T").stdout.strip() == "idle":
                return
            time.sleep(0.5)
        logs = "\n".join((self.folder / f"{name}.out").read_text()[-1500:] for name in DAEMONS)
        self.stop()
        pytest.fail(f"the node does not become idle:\n{logs}", pytrace=False)

    def stop(self) -> None:
        """End the jobs, then the daemons, the last one first."""
        self("scancel", "--user", getpass.getuser())
        self.wait_until_idle()
        for daemon in reversed(self.daemons):
            daemon.terminate()
            daemon.wait(timeout=30)

    def __call__(self, *command: object, **environment: str) -> "subprocess.CompletedProcess[str]":
        return subprocess.run(
            list(map(str, command)),
            env={**self.environment, **environment},
            capture_output=True,
            text=True,
            check=False,
            timeout=300,
        )

    def wait_until_idle(self) -> None:
        """No job is queued or running, or a minute has passed."""
        for _ in range(120):
            if not self("squeue", "-h").stdout.strip():
                return
            time.sleep(0.5)

    def jobs(self, name: str = "") -> dict[int, dict[str, str]]:
        """What the controller knows of every job, those that have ended too; of one name, if given."""
        lines = self("scontrol", "--oneliner", "show", "job").stdout.splitlines()
        found = [dict(word.split("=", 1) for word in line.split() if "=" in word) for line in lines]
        return {int(job["JobId"]): job for job in found if "JobId" in job and name in ("", job["JobName"])}
