"""Random faults in a row over one shortened run on a Ray cluster of three hosts made of namespaces: ranks on two of
them, an engine on the third, a verifier on any. Each is survived, or ends the run in one line and the same command goes
on.

    python tests/ray_chaos.py --seed 1 [--faults 30]

At its end every prompt dealt is accounted for once. (Which host samples what, and how many ranks there are, changes
with the faults, and with it the order of float sums: ``chaos.py`` compares bits.) Needs root and Ray.
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
from contextlib import suppress
from pathlib import Path

from cluster.hosts import Network, unavailable
from cluster.ray_hosts import RayHosts

from r1kit.report.read.prompts import audit

SETTINGS = ("r1_zero.steps=100000", "r1_zero.evaluate_every=100000", "r1_zero.record_groups=100",
            "cluster.lost_after=8.0", "cluster.restarts=1000", "cluster.engines=1",
            "cluster.verifiers=1", "cluster.verifier_needs={cpus=0.0}")  # fmt: skip
MORE = tuple(part for setting in SETTINGS for part in ("--set", setting))
STEPS = 3
"""After a fault so many steps have to be done before the next one counts as survived."""


class Chaos:
    """A cluster, a run on it, and what happens to them."""

    def __init__(self, network: Network, folder: Path, seed: int) -> None:
        self.head, *self.others = (network.add(name) for name in ("one", "two", "three"))
        self.out, self.draw = folder / "run", random.Random(seed)
        self.ray = RayHosts(self.head, folder)
        self.ends = 0
        self.begin()

    def begin(self) -> None:
        """All hosts join, and the run begins or goes on."""
        self.ray.wait_for(1)
        for host in self.others:
            self.ray.join(host)
        self.ray.wait_for(3)
        self.run = self.ray.run(self.out, 2, *MORE)

    def go(self, faults: int) -> None:
        for number in range(1, faults + 1):
            self.goes_on(self.draw.randint(1, 2 * STEPS))
            time.sleep(self.draw.uniform(0, 1))
            name, at = self.draw.choice(list(FAULTS)), self.run.step
            began = time.monotonic()
            FAULTS[name](self)
            how = self.goes_on(STEPS)
            print(f"{number}/{faults} at step {at}: {name}: {how}, {time.monotonic() - began:.0f} s", flush=True)
        self.head.tell(self.run.process, signal.SIGINT)
        code, said = self.run.ended()
        assert code == 130, (code, said)

    def goes_on(self, steps: int) -> str:
        """Wait for so many more steps; a run that has ended in one line is started again."""
        goal, how = self.run.step + steps, "survived"
        deadline = time.monotonic() + 900
        while self.run.step < goal:
            assert time.monotonic() < deadline, self.run.said[-3000:]
            time.sleep(0.05)
            if self.run.process.poll() is not None:
                code, said = self.run.ended()
                assert code in (1, 130), self.run.said[-3000:]
                assert len(said) == 1, self.run.said[-3000:]
                self.ends, how = self.ends + 1, said[0]
                self.anew()
        return how

    def anew(self) -> None:
        """Every host off and on, the cluster made again, and the same command."""
        for host in (self.head, *self.others):
            host.kill()
            host.boot()
        self.ray.start_head()
        self.begin()

    # ---- faults ---------------------------------------------------------------------------------------------------

    def power_cut(self) -> None:
        host = self.draw.choice(self.others)
        host.kill()
        time.sleep(self.draw.uniform(0, 20))
        host.boot()
        self.ray.join(host)

    def cable_for_a_moment(self) -> None:
        host = self.draw.choice(self.others)
        host.cut()
        time.sleep(self.draw.uniform(0.1, 3.0))
        host.heal()

    def cable(self) -> None:
        host = self.draw.choice(self.others)
        host.cut()
        time.sleep(15)
        host.kill()
        host.boot()
        self.ray.join(host)

    def kill(self, word: str) -> None:
        """One of the run's processes; none, where there is none now."""
        if found := [pid for host in (self.head, *self.others) for pid in host.running(word)]:
            os.kill(self.draw.choice(found), signal.SIGKILL)

    def stop(self) -> None:
        host = self.draw.choice(self.others)
        host.freeze()
        time.sleep(self.draw.uniform(0.5, 3.0))
        host.thaw()

    def lose_the_head(self) -> None:
        for pid in self.head.processes():
            with suppress(OSError):
                if b"gcs_server" in Path(f"/proc/{pid}/cmdline").read_bytes():
                    os.kill(pid, signal.SIGKILL)

    def interrupt(self) -> None:
        self.head.tell(self.run.process, signal.SIGINT)
        self.run.process.wait(300)


FAULTS: dict[str, Callable[[Chaos], None]] = {
    "power cut of a host": Chaos.power_cut,
    "power cut of a host again": Chaos.power_cut,
    "cable pulled from a host": Chaos.cable,
    "cable pulled for a moment": Chaos.cable_for_a_moment,
    "an engine or a verifier killed": lambda chaos: chaos.kill("r1kit.backends.serve"),
    "a rank killed": lambda chaos: chaos.kill("r1kit"),
    "a host stopped for a moment": Chaos.stop,
    "head killed": Chaos.lose_the_head,
    "Ctrl-C": Chaos.interrupt,
}


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--faults", type=int, default=30)
    given = parser.parse_args()
    if why := unavailable():
        sys.exit(f"ray_chaos: {why}")
    folder = Path(tempfile.mkdtemp(prefix="ray-chaos-"))
    with Network() as network:
        chaos = Chaos(network, folder, given.seed)
        chaos.go(given.faults)
    if wrong := audit(chaos.out / "02_r1_zero", completions=4):
        sys.exit("\n".join([f"seed {given.seed}: kept in {folder}", *wrong]))
    print(f"seed {given.seed}: {chaos.run.step} steps, {chaos.ends} ends, all prompts accounted for once")
    shutil.rmtree(folder)


if __name__ == "__main__":
    main()
