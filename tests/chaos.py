"""Random faults in a row over one shortened run on two hosts made of namespaces; each is survived, or ends the run in
one line and the same command goes on.

    python tests/chaos.py --seed 1 [--faults 30]

The run is under torchrun. At its end every prompt dealt is accounted for once, and every file is what a run of two
ranks on one machine without a fault leaves, bit for bit. Needs root; about ten minutes on two cores.
"""

from __future__ import annotations

import argparse
import os
import random
import shutil
import signal
import sys
import tempfile
import time
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

from cluster.hosts import Host, Network, unavailable
from cluster.sittings import Sitting, straight, under_torchrun
from kill_resume import contents, differences, lines

from r1kit.report.read.prompts import audit

STEPS_A_FAULT = 6
END_SECONDS = 120.0
"""How long a run may take to end once a fault has ended it, torchrun's own part included."""


@dataclass(frozen=True)
class Fault:
    do: Callable[[Chaos, Host], None]
    ends: bool
    """Whether it ends the run; otherwise steps have to go on."""
    silent: bool = False
    """The host it happened to cannot say anything."""


class Chaos:
    """One run, and what happens to it."""

    def __init__(self, network: Network, folder: Path, seed: int, faults: int) -> None:
        self.hosts = [network.add("one"), network.add("two")]
        self.run, self.draw, self.faults = folder / "run", random.Random(seed), faults
        self.more = ("--set", f"r1_zero.steps={STEPS_A_FAULT * faults}", "--set", "r1_zero.record_groups=100")
        self.sittings = 0

    @property
    def steps(self) -> int:
        return lines(self.run / "02_r1_zero/metrics.jsonl")

    def sit(self) -> Sitting:
        """Start the run, or go on with it."""
        self.sittings += 1
        return under_torchrun(self.hosts, self.run, f"sitting{self.sittings}", *self.more)

    def go(self) -> None:
        """All faults, and the rest of the run."""
        sitting, done = self.sit(), 0
        while done < self.faults:
            if not self.wait(sitting):
                break
            name = self.draw.choice(list(FAULTS))
            victim, at = self.draw.choice(self.hosts), self.steps
            FAULTS[name].do(self, victim)
            done += 1
            how = "survived"
            if FAULTS[name].ends:
                how = self.end_of(sitting, FAULTS[name], victim)
                sitting = self.sit()
            print(f"{done}/{self.faults} at step {at}: {name} {victim.name}: {how}", flush=True)
        for index in range(2):
            code, said = sitting.ended(index, 600)
            assert (code, said) == (0, []), sitting.logs[index].read_text()[-3000:]

    def wait(self, sitting: Sitting) -> bool:
        """Let some steps pass, or in every fifth case a moment wherever the run is; False: it is done."""
        goal = self.steps + self.draw.randint(1, 2 * STEPS_A_FAULT - 1)
        deadline = time.monotonic() + (self.draw.uniform(0, 10) if self.draw.random() < 0.2 else 300)
        while time.monotonic() < deadline and self.steps < goal:
            codes = [process.poll() for process in sitting.processes]
            if any(code is not None for code in codes):
                assert not any(codes), [log.read_text()[-3000:] for log in sitting.logs]
                return False
            time.sleep(0.05)
        return True

    def end_of(self, sitting: Sitting, fault: Fault, victim: Host) -> str:
        """Wait for the end of what a fault has ended; the one line of those who can say one."""
        began, told = time.monotonic(), []
        met = "pretrain:" in sitting.logs[0].read_text()
        if not met:  # torchrun waits ten minutes for a host that has not come yet, and r1 has not begun
            self.mend()
            return "was still starting, so started again"
        for index, host in enumerate(self.hosts):
            if host is victim and fault.silent:
                continue
            deadline = time.monotonic() + END_SECONDS
            while not (said := sitting.said(index)) and sitting.processes[index].poll() is None:
                assert time.monotonic() < deadline, (
                    f"{host.name} did not end: {sitting.logs[index].read_text()[-3000:]}"
                )
                time.sleep(0.05)
            told += said
            assert len(said) <= 1, said
        took = time.monotonic() - began
        self.mend()
        return f"ended in {took:.1f} s: {told[0]}"

    def mend(self) -> None:
        """Every host is there again and empty."""
        for host in self.hosts:
            if host.on:
                host.end_all()  # torchrun's own processes may wait a minute for their store
                host.heal()
            else:
                host.boot()

    # ---- faults ---------------------------------------------------------------------------------------------------

    def ranks(self, host: Host) -> list[int]:
        """Process ids of its ranks."""
        return sorted(set(host.running("r1kit")) - set(host.running("torch.distributed.run")))

    def kill_rank(self, host: Host) -> None:
        for pid in self.ranks(host):
            os.kill(pid, signal.SIGKILL)

    def for_a_while(self, begin: Callable[[], None], end: Callable[[], None], most: float) -> None:
        begin()
        time.sleep(self.draw.uniform(0.1, most))
        end()


FAULTS = {
    "power cut of": Fault(lambda chaos, host: host.kill(), ends=True, silent=True),
    "all processes killed on": Fault(lambda chaos, host: host.end_all(), ends=True, silent=True),
    "rank killed on": Fault(Chaos.kill_rank, ends=True, silent=True),
    "polite kill of all on": Fault(lambda chaos, host: host.end_all(signal.SIGTERM), ends=True),
    "cable pulled from": Fault(lambda chaos, host: host.cut(), ends=True),
    "cable pulled for a moment from": Fault(
        lambda chaos, host: chaos.for_a_while(host.cut, host.heal, 2.0), ends=False
    ),
    "all processes stopped for a while on": Fault(
        lambda chaos, host: chaos.for_a_while(host.freeze, host.thaw, 6.0), ends=False
    ),
    "slow link for a while at": Fault(
        lambda chaos, host: chaos.for_a_while(lambda: host.slow_link(0.5), host.slow_link, 4.0), ends=False
    ),
}  # fmt: skip


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--faults", type=int, default=30)
    given = parser.parse_args()
    if why := unavailable():
        sys.exit(f"chaos: {why}")
    os.environ.setdefault("OMP_NUM_THREADS", "1")
    folder = Path(tempfile.mkdtemp(prefix="chaos-"))
    with Network() as network:
        chaos = Chaos(network, folder, given.seed, given.faults)
        chaos.go()
    wrong = audit(chaos.run / "02_r1_zero", completions=4)
    straight(folder / "straight", *chaos.more)
    wrong += differences(contents(folder / "straight"), contents(chaos.run))
    if wrong:
        sys.exit("\n".join([f"seed {given.seed}: kept in {folder}", *wrong]))
    print(f"seed {given.seed}: {chaos.steps} steps in {chaos.sittings} sittings, all prompts accounted for once, equal")
    shutil.rmtree(folder)


if __name__ == "__main__":
    main()
