"""Runs that torchrun or Slurm starts: one process of each machine leads, the others it started step aside.

The leader starts a process per device itself, for each training that there is, so that the same command works with any
starter and trainings may follow each other. A device that only a process stepping aside can see is of no use then.
"""

import contextlib
import os
from collections.abc import Iterator, Mapping
from typing import NamedTuple

from lightning_fabric.plugins.environments.slurm import SLURMEnvironment

from gaitbench.errors import UsageError

__all__ = ["RENDEZVOUS", "STARTER_VARIABLES", "Cluster", "find_cluster"]

RENDEZVOUS = ("NODE_RANK", "MASTER_ADDR", "MASTER_PORT")
"""What the machines of one run must know of each other."""

STARTER_VARIABLES = (
    "RANK",
    "LOCAL_RANK",
    "LOCAL_WORLD_SIZE",
    "GROUP_RANK",
    "GROUP_WORLD_SIZE",
    "ROLE_RANK",
    "TORCHELASTIC_RUN_ID",
    "TORCHELASTIC_USE_AGENT_STORE",
)
"""What a starter tells its own processes; to the processes that a leader starts it would be wrong."""


class Cluster(NamedTuple):
    """This process among those that a starter started."""

    starter: str
    """``torchrun`` or ``Slurm``."""
    local_rank: int
    """Of this process on its machine; 0 leads."""
    num_local: int
    """Processes on this machine."""
    node_rank: int
    """Of this machine."""
    num_nodes: int
    """Machines."""
    address: str
    """Where the first machine is found."""
    port: int
    """Free on the first machine."""

    @property
    def is_leader(self) -> bool:
        """True for the process that does this machine's part."""
        return self.local_rank == 0

    def sizes(self, devices: int, nodes: int) -> tuple[int, int]:
        """Devices per machine and machines of a run.

        Args:
            devices: As asked for; 1 takes as many as there are processes on this machine.
            nodes: As asked for; 1 takes as many machines as there are.

        Raises:
            UsageError: Something else was asked for than was started.
        """
        if self.num_local > 1 and devices not in (1, self.num_local):
            raise UsageError(
                f"{self.starter} started {self.num_local} processes on this machine, and --devices says {devices}; "
                f"start one process per machine, or leave --devices out"
            )
        if nodes not in (1, self.num_nodes):
            raise UsageError(f"{self.starter} started {self.num_nodes} machines, and --nodes says {nodes}")
        return (self.num_local if self.num_local > 1 else devices), self.num_nodes

    @contextlib.contextmanager
    def joined(self) -> Iterator[None]:
        """Let the machines find each other; the environment is as before afterwards."""
        values = {"NODE_RANK": str(self.node_rank), "MASTER_ADDR": self.address, "MASTER_PORT": str(self.port)}
        before = {name: os.environ.get(name) for name in RENDEZVOUS}
        try:
            if self.num_nodes > 1:
                os.environ.update(values)
            else:
                # The port that a starter names is its own; a run on one machine finds itself a free one.
                for name in RENDEZVOUS:
                    os.environ.pop(name, None)
            yield
        finally:
            for name, value in before.items():
                if value is None:
                    os.environ.pop(name, None)
                else:
                    os.environ[name] = value


def find_cluster(environment: Mapping[str, str]) -> Cluster | None:
    """Tell who started this process.

    Args:
        environment: Variables, such as ``os.environ``.

    Returns:
        None when nobody did, or Slurm started this process alone.

    Raises:
        UsageError: A variable that the starter sets is missing or no number.

    Example:
        >>> slurm = {"SLURM_STEP_NUM_TASKS": "8", "SLURM_STEP_NUM_NODES": "2", "SLURM_LOCALID": "3",
        ...     "SLURM_NODEID": "1", "SLURM_STEP_NODELIST": "gpu[07-08]", "SLURM_JOB_ID": "4711"}
        >>> find_cluster(slurm)
        Cluster(starter='Slurm', local_rank=3, num_local=4, node_rank=1, num_nodes=2, address='gpu07', port=24711)
    """
    if "TORCHELASTIC_RUN_ID" in environment:
        return Cluster(
            starter="torchrun",
            local_rank=_number(environment, "torchrun", "LOCAL_RANK"),
            num_local=_number(environment, "torchrun", "LOCAL_WORLD_SIZE"),
            node_rank=_number(environment, "torchrun", "GROUP_RANK"),
            num_nodes=_number(environment, "torchrun", "GROUP_WORLD_SIZE"),
            address=environment.get("MASTER_ADDR", "127.0.0.1"),
            # torchrun itself listens at its port.
            port=_number(environment, "torchrun", "MASTER_PORT") + 1,
        )
    # Only srun starts tasks; a batch script outside of it is one process, however many tasks the job may have.
    if int(environment.get("SLURM_STEP_NUM_TASKS", "1") or 1) == 1:
        return None
    num_tasks = _number(environment, "Slurm", "SLURM_STEP_NUM_TASKS")
    num_nodes = _number(environment, "Slurm", "SLURM_STEP_NUM_NODES")
    if num_tasks % num_nodes:
        raise UsageError(
            f"Slurm started {num_tasks} tasks on {num_nodes} machines, and each machine must have as many; "
            "use --ntasks-per-node"
        )
    return Cluster(
        starter="Slurm",
        local_rank=_number(environment, "Slurm", "SLURM_LOCALID"),
        num_local=num_tasks // num_nodes,
        node_rank=_number(environment, "Slurm", "SLURM_NODEID"),
        num_nodes=num_nodes,
        address=SLURMEnvironment.resolve_root_node_address(environment.get("SLURM_STEP_NODELIST", "127.0.0.1")),
        port=20_000 + _number(environment, "Slurm", "SLURM_JOB_ID") % 10_000,
    )


def _number(environment: Mapping[str, str], starter: str, name: str) -> int:
    try:
        return int(environment[name])
    except (KeyError, ValueError):
        raise UsageError(
            f"{starter} should set {name} to a number, it is {environment.get(name, 'not set')!r}; start the command "
            "without it, with --devices and --nodes"
        ) from None
