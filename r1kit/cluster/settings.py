"""Which engine and learner a recipe asks for, and the processes they are placed in. No torch here.

``engine = "vllm"`` and ``engine = {kind = "vllm", address = ["http://..."]}`` are both read by ``EngineChoice``: a kind
alone, or a table of the kind and its own settings. ``[cluster]`` says what stands beside the learner's ranks.
"""

from __future__ import annotations

from collections.abc import Collection, Mapping
from dataclasses import dataclass, field, fields, replace
from typing import Any, ClassVar, Literal, TypeVar

from r1kit.errors import InputError
from r1kit.structure import plain, structure

__all__ = ["AUTO", "FSDP", "VLLM", "Cluster", "EngineChoice", "LearnerChoice", "Local", "Needs", "Whole"]

AUTO = "auto"


@dataclass(frozen=True, slots=True, kw_only=True)
class VLLM:
    """Settings of ``engine = {kind = "vllm", ...}``."""

    address: tuple[str, ...] = ()
    """Servers that run already, ``http://HOST:PORT`` each, or one alone; empty: an engine in the process of every
    rank."""
    hand_over: Literal["auto", "nccl", "gloo", "folder"] = "auto"
    """How weights reach a server: ``auto`` is NCCL where the learner has a GPU, else gloo, which a server on the same
    GPU or on a CPU needs. Within one process they are copied."""
    folder: str = ""
    """Where ``hand_over = "folder"`` puts weights: a path that learner and engine both see."""
    checksums: bool = False
    """Compare a checksum of every weight after a hand-over."""
    memory_share: float = 0.4
    """Of a GPU's memory that an engine in process takes, weights and cache together; the learner is beside it."""
    cache_gb: float = 1.0
    """Of keys and values, where an engine in process runs on a CPU."""
    tensor_parallel: int = 1
    """Devices that share an engine of the run's own, of its one rank or of ``cluster.engines``."""
    expert_parallel: bool = False
    """Each of these devices has some of a layer's experts whole, in place of a part of every expert; of servers: they
    must have been started so."""
    timeout: float = 600.0
    """Seconds that one request to a server may take."""
    liveness: float = 10.0
    """Seconds between a dead or hung server's last sign of life and its being taken as lost."""
    patience: float = 600.0
    """Seconds without any server after which the run ends; what it has done is kept."""

    def check(self, ranks: int, cluster: Cluster) -> None:
        """Raise InputError for devices that an engine cannot have; 0 ranks: how many is not known yet."""
        told = f"engine.tensor_parallel = {self.tensor_parallel}"
        if self.tensor_parallel < 1:
            raise InputError(f"{told}: must be at least 1")
        if self.tensor_parallel > 1 and self.address:
            raise InputError(f"{told}: a server of engine.address is started with --tensor-parallel-size instead")
        if self.tensor_parallel > 1 and ranks > 1 and not cluster.engines:
            raise InputError(f"{told} and {ranks} ranks: an engine over devices is one rank's; set cluster.engines")
        if cluster.engines and 0 < cluster.engine_needs.gpus < self.tensor_parallel:
            raise InputError(f"{told}: cluster.engine_needs.gpus = {cluster.engine_needs.gpus:g} gives an engine fewer")
        if self.expert_parallel and self.tensor_parallel == 1 and not self.address:
            raise InputError(
                "engine.expert_parallel shares experts out over the devices of an engine, which has one: set "
                "engine.tensor_parallel, or name servers in engine.address"
            )


@dataclass(frozen=True, slots=True, kw_only=True)
class Local:
    """Settings of ``engine = {kind = "local", ...}``."""

    draft: bool = False
    """The layer that predicts a token further drafts one, which is kept where it is the token that is drawn: the same
    completions in fewer steps."""
    replay: bool = False
    """The learner takes the experts that a token chose while it was sampled (routing replay)."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Whole:
    """Settings of ``learner = {kind = "local", ...}``. None changes a result."""

    checkpointing: bool = False
    """Keep only what enters a block and compute its inside again on the way back."""
    offload: Literal["none", "optimiser"] = "none"
    """What waits in the host's memory while it is not in use: the optimiser's state and the reference. On a CPU, whose
    memory that is, nothing is moved."""


@dataclass(frozen=True, slots=True, kw_only=True)
class FSDP:
    """Settings of ``learner = {kind = "fsdp", ...}``."""

    replicate: int = 1
    """Copies of the sharded model (hybrid sharding); ranks / replicate ranks share one."""
    sequence: int = 1
    """Ranks that share the tokens of one micro-batch (sequence parallel), for long responses: a divisor of the ranks
    and of the model's heads and key-value heads. A micro-batch then has so many times ``micro_batch_tokens``."""
    expert_parallel: int = 1
    """Ranks that follow each other and have an equal share of each layer's experts each, whole; tokens go to the rank
    that has their expert, and back. A divisor of the ranks and of the experts. 1: experts are shared out and gathered
    as all other weights are."""
    checkpointing: bool = False
    """Keep only what enters a block and compute its inside again on the way back."""
    offload: Literal["none", "optimiser", "all"] = "none"
    """What waits in the host's memory while it is not in use: the optimiser's state and the reference, or the weights
    and their gradient too."""

    def check(self, ranks: int) -> None:
        """Raise InputError for numbers that do not divide the ranks; 0 ranks: how many is not known yet."""
        for name in ("replicate", "sequence", "expert_parallel"):
            value = getattr(self, name)
            if value < 1:
                raise InputError(f"learner.{name} = {value}: must be at least 1")
            if ranks % value:
                raise InputError(f"learner.{name} = {value} does not divide the {ranks} ranks; change one of them")

    def check_experts(self, experts: Collection[int]) -> None:
        """Raise InputError where ``expert_parallel`` is no divisor of the number of experts in each of the layers that
        have some, or there are none."""
        told = f"learner.expert_parallel = {self.expert_parallel}"
        if self.expert_parallel > 1 and not experts:
            raise InputError(f"{told}: the model has no experts that are shared out; set 1")
        for number in experts:
            if number % self.expert_parallel:
                raise InputError(f"{told} does not divide the model's {number} experts; choose a divisor")


@dataclass(frozen=True, slots=True)
class _Choice:
    """A kind, and what its table says besides."""

    kind: str = AUTO
    settings: Any = None
    """Of the kind's class where it has one; for one of the user's own what the table holds; None: nothing."""

    WHAT: ClassVar[str] = ""
    TABLES: ClassVar[Mapping[str, type]] = {}

    @classmethod
    def from_text(cls: type[_C], text: str) -> _C:
        """A kind alone."""
        table = cls.TABLES.get(text)
        return cls(text, table() if table else None)

    @classmethod
    def from_table(cls: type[_C], table: Mapping[str, Any], where: str) -> _C:
        """A kind and its settings.

        Raises:
            InputError: no kind, or a setting that it does not have.
        """
        kind = table.get("kind")
        if not isinstance(kind, str):
            raise InputError(f'{where} has no kind; write {cls.WHAT} = "NAME", or {{kind = "NAME", ...}}')
        rest = {key: value for key, value in table.items() if key != "kind"}
        if isinstance(rest.get("address"), str):
            rest["address"] = [rest["address"]]
        if kind in cls.TABLES:
            return cls(kind, structure(cls.TABLES[kind], rest, where))
        if rest and ":" not in kind:
            raise InputError(f"{where}: kind {kind!r} has no settings, so {', '.join(rest)} cannot be set")
        return cls(kind, rest or None)

    def as_table(self) -> str | dict[str, Any]:
        """What ``from_text`` or ``from_table`` reads."""
        if self.settings is None or self == type(self).from_text(self.kind):
            return self.kind
        return {"kind": self.kind, **plain(self.settings)}

    def dense(self: _C) -> _C:
        """The same for a model that may have no experts, nor a layer that predicts a token further."""
        if isinstance(self.settings, Local):
            return replace(self, settings=Local())
        if not isinstance(self.settings, (FSDP, VLLM)):
            return self
        fresh: Any = type(self.settings)()
        return replace(self, settings=replace(self.settings, expert_parallel=fresh.expert_parallel))

    def __str__(self) -> str:
        return self.kind


_C = TypeVar("_C", bound=_Choice)


@dataclass(frozen=True, slots=True)
class EngineChoice(_Choice):
    """What samples."""

    WHAT: ClassVar[str] = "engine"
    TABLES: ClassVar[Mapping[str, type]] = {"local": Local, "vllm": VLLM}


@dataclass(frozen=True, slots=True)
class LearnerChoice(_Choice):
    """What trains."""

    WHAT: ClassVar[str] = "learner"
    TABLES: ClassVar[Mapping[str, type]] = {"local": Whole, "fsdp": FSDP}


@dataclass(frozen=True, slots=True, kw_only=True)
class Needs:
    """What one process is given by a cluster."""

    cpus: float = 1.0
    gpus: float = 0.0
    memory_gb: float = 0.0
    """0: not reserved."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Cluster:
    """The recipe's ``[cluster]``: the processes beside the learner's ranks, and when one counts as lost.

    How many there are, and where, changes no result but for how float sums are ordered.
    """

    engines: int = 0
    """Processes that do nothing but sample; 0: every rank samples its own share."""
    verifiers: int = 0
    """Processes on any host that score; 0: every rank starts its own."""
    share_devices: bool = False
    """Engines take the learner's GPUs in turn with it, instead of GPUs of their own."""
    rank_needs: Needs = field(default_factory=Needs)
    engine_needs: Needs = field(default_factory=Needs)
    verifier_needs: Needs = field(default_factory=Needs)
    heartbeat: float = 2.0
    """Seconds between two signs of life."""
    lost_after: float = 10.0
    """Seconds without one after which a process or host counts as lost."""
    collective_minutes: float = 30.0
    """A rank that waits this long for another in a collective ends the run."""
    restarts: int = 3
    """Times that the learner's ranks are started again, from the last resume point, after a host was lost; and times
    that each engine and verifier is started again."""
    fewest_ranks: int = 1
    """Ranks to go on with at the least on what is left then, as many as fit and divide the batches; else it waits."""
    wait_minutes: float = 10.0
    """How long a run waits when what is left of a cluster is too little, or all its engines or verifiers are lost."""
    first_rank: Literal["driver", "any"] = "driver"
    """Where rank 0, which writes the run folder, may be: on the host where ``r1 run`` is, or on any."""

    def check(self) -> None:
        """Raise InputError for a number out of range, before anything starts."""
        for each in fields(self):
            value = getattr(self, each.name)
            if isinstance(value, float) and not value > 0:
                raise InputError(f"cluster.{each.name} = {value}: must be above 0")
            if type(value) is int and value < 0:
                raise InputError(f"cluster.{each.name} = {value}: must be at least 0")
            if isinstance(value, Needs) and min(value.cpus, value.gpus, value.memory_gb) < 0:
                raise InputError(f"cluster.{each.name}: cpus, gpus and memory_gb must be at least 0")
        if self.lost_after <= self.heartbeat:
            raise InputError(
                f"cluster.lost_after = {self.lost_after} must be longer than cluster.heartbeat = {self.heartbeat}"
            )
