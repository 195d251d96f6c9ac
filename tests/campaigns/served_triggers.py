"""`engine serve` for hours: kills at random under triggers of every second, an idle hour, hundreds of runs.

    python tests/campaigns/served_triggers.py kills --number 200 --seed 1
    python tests/campaigns/served_triggers.py idle --scenarios 1000 --seconds 3600
    python tests/campaigns/served_triggers.py runs --number 500
    python tests/campaigns/served_triggers.py due --number 10
    python tests/campaigns/served_triggers.py memory --number 20

`kills`: kills the server, or a process of one of its runs, after times drawn at random, mostly when it has begun to
serve the project, and starts it again; at last it may end what it has begun. Then every fire must be done, coalesced
or skipped with a reason, and must have had one run that was not cut by a kill; a step of a run may have been called
once for each attempt.
`idle`: the CPU and memory of a server with so many scenarios of two triggers, none of which is due, and how late the
runs of one more scenario start, whose trigger is due every minute.
`runs`: the memory, threads and open files of the server after each tenth of so many runs.
`due`: how late runs start that are due at the same time, two a minute, for so many minutes.
`memory`: runs that need more memory than there is (a memory cgroup of 700 MB): each must be told as such, and the
server must live. It needs the right to make a cgroup.
"""

import argparse
import os
import random
import signal
import subprocess
import sys
import tempfile
import time
from collections import Counter
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import UTC, datetime, timedelta
from pathlib import Path
from statistics import median

sys.path.insert(0, str(Path(__file__).parents[2]))

from engine.spec import load
from engine.store import OPEN_STATES, Fire, FireState, RunRecord, Store
from engine.store.location import resolve_state_folder
from tests.processes import list_descendants
from tests.waiting import wait_for

MODULE = """
import os, time
from pathlib import Path

def note(at, seconds=0.0):
    with (Path(__file__).parent / "noted.txt").open("a") as file:
        file.write(f"{at}\\n")
    time.sleep(seconds)

def eat():
    taken = []
    while True:
        taken.append(bytearray(os.urandom(1 << 20) * 32))
"""
KILLED = """
version: 1
project: served
variables: {at: none}
scenarios:
  dated:
    triggers: [{name: each second, kind: interval, every: 1s, variables: {at: "${as_of_time}"}}]
    steps: [{name: note, kind: python, function: "mine:note", arguments: {at: "dated ${at}"}}]
  plain:
    triggers: [{name: each second, kind: interval, every: 1s}]
    steps: [{name: note, kind: python, function: "mine:note", arguments: {at: "plain", seconds: 0.5}}]
  after:
    triggers: [{name: dated has ended, kind: scenario_finished, scenario: dated, outcomes: [SUCCESS, ABORTED]}]
    steps: [{name: note, kind: python, function: "mine:note", arguments: {at: "after"}}]
"""
QUICK = """
version: 1
project: served
scenarios:
  s:
    triggers: [{name: each second, kind: interval, every: 1s}]
    steps: [{name: note, kind: python, function: "mine:note", arguments: {at: "s"}}]
"""
HUNGRY = """
version: 1
project: served
channels: {files: {kind: file, path: told}}
scenarios:
  s:
    triggers: [{name: each second, kind: interval, every: 1s}]
    steps: [{name: eat, kind: python, function: "mine:eat"}]
    reporters: [{name: tell, channel: files, run_condition: outcome != 'SUCCESS'}]
"""


DUE = """
version: 1
project: served
scenarios:
  a:
    triggers: [{name: each minute, cron: "* * * * *"}]
    steps: [{name: note, kind: python, function: "mine:note", arguments: {at: "a", seconds: 1.0}}]
  b:
    triggers: [{name: each minute, cron: "* * * * *"}]
    steps: [{name: note, kind: python, function: "mine:note", arguments: {at: "b", seconds: 1.0}}]
"""


class Server:
    """A running `engine serve` of `served.yaml`."""

    def __init__(self, folder: Path, *options: str, inside: Path | None = None) -> None:
        self.said = folder / f"said-{time.monotonic_ns()}.txt"
        command = [sys.executable, "-m", "engine", "serve", "served.yaml", "--listen", "127.0.0.1:0", *options]
        if inside is not None:
            command = ["sh", "-c", f'echo $$ > {inside / "cgroup.procs"}; exec "$@"', "sh", *command]
        with self.said.open("ab") as said:
            self.process = subprocess.Popen(command, cwd=folder, stdout=said, stderr=said, start_new_session=True)

    def wait_for_begin(self) -> None:
        """Wait until it serves the project."""
        wait_for(lambda: " served from " in self.said.read_text(), "the project", 120)

    def stop(self, number: int = signal.SIGTERM, seconds: float = 60.0) -> None:
        """Send a signal, and wait for the end."""
        self.process.send_signal(number)
        self.process.wait(seconds)

    def read_status(self) -> dict[str, int]:
        """Return its memory in MB, its threads and its open files."""
        lines = Path(f"/proc/{self.process.pid}/status").read_text().splitlines()
        status = dict(line.split(":", 1) for line in lines)
        files = len(list(Path(f"/proc/{self.process.pid}/fd").iterdir()))
        return {"MB": int(status["VmRSS"].split()[0]) // 1024, "threads": int(status["Threads"]), "files": files}

    def cpu_seconds(self) -> float:
        """Return the CPU seconds that it has needed itself."""
        fields = Path(f"/proc/{self.process.pid}/stat").read_text().rpartition(")")[2].split()
        return (int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK")


def write_project(folder: Path, spec: str) -> Path:
    """Write the spec and its module; return the folder of its state."""
    (folder / "served.yaml").write_text(spec)
    (folder / "mine.py").write_text(MODULE)
    return resolve_state_folder(load(folder / "served.yaml"))


def read_history(state: Path) -> tuple[list[Fire], list[RunRecord]]:
    """Return the fires and the runs."""
    with Store.open(state) as store:
        return store.fires.history(), store.runs.history(whole=False)


def kill_at_random(number: int, seed: int) -> None:
    """See `kills` above."""
    chance = random.Random(seed)
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        state = write_project(folder, KILLED)
        killed: Counter[str] = Counter()
        began = time.monotonic()
        for turn in range(number):
            server = Server(folder)
            if chance.random() < 0.8:  # on a busy machine the start alone takes many seconds
                server.wait_for_begin()
            time.sleep(chance.uniform(0.0, 5.0))
            which = chance.choice(["server", "server", "server, in order", "a process of a run"])
            if which == "a process of a run" and (running := list_descendants(server.process.pid)):
                os.kill(chance.choice(running), signal.SIGKILL)
                time.sleep(chance.uniform(0.0, 2.0))
            killed[which] += 1
            server.stop(signal.SIGTERM if which == "server, in order" else signal.SIGKILL)
            if turn % 20 == 19:
                print(f"{turn + 1} kills, {time.monotonic() - began:.0f} s", flush=True)
        server = Server(folder)
        server.wait_for_begin()
        time.sleep(20)
        server.stop()
        assert server.process.returncode == 0, server.said.read_text()[-2000:]
        server = Server(folder)  # what the end in order has left is concluded at the next start
        server.wait_for_begin()
        with_pause(state)
        wait_for(lambda: not [one for one in read_history(state)[0] if one.state in OPEN_STATES], "the last end", 600)
        server.stop()
        check_fires(folder, *read_history(state))
        print(f"killed: {dict(killed)}")


def with_pause(state: Path) -> None:
    """Pause all scenarios, so that no fires are added while the last ones end."""
    for scenario in ("dated", "plain", "after"):
        subprocess.run(
            [sys.executable, "-m", "engine", "pause", "served.yaml", scenario], cwd=state.parent.parent, check=True
        )


def check_fires(folder: Path, fires: list[Fire], runs: list[RunRecord]) -> None:
    """Check that nothing is lost and nothing came twice."""
    of_fire: dict[int, list[RunRecord]] = {}
    for run in runs:
        assert run.state != "RUNNING", run
        if run.fire is not None:
            of_fire.setdefault(run.fire, []).append(run)
    problems = []
    for fire in fires:
        made = of_fire.get(fire.number, [])
        whole = [run for run in made if run.state != "ABORTED"]
        if fire.state in OPEN_STATES:
            problems.append(f"open: {fire}")
        if fire.state is FireState.SKIPPED and not fire.reason:
            problems.append(f"skipped without a reason: {fire}")
        if fire.state is FireState.DONE and (not made or len(whole) > 1 or len(made) > 2):
            problems.append(f"{len(made)} runs, {len(whole)} of them whole: {fire}")
        if fire.state in (FireState.COALESCED, FireState.SKIPPED) and whole:
            problems.append(f"a whole run, although {fire}")
    noted = Counter((folder / "noted.txt").read_text().splitlines())
    runs_at = Counter(f"dated {run.as_of:%Y-%m-%dT%H:%M:%S}" for run in runs if run.scenario == "dated" and run.as_of)
    problems += [
        f"{at}: {times} calls in {runs_at[at]} runs"
        for at, times in noted.items()
        if at.startswith("dated") and times > max(1, runs_at[at])
    ]
    print(f"{len(fires)} fires: {dict(Counter(str(fire.state) for fire in fires))}")
    print(f"reasons: {Counter(fire.reason.partition(':')[0] for fire in fires if fire.state is FireState.SKIPPED)}")
    print(f"{len(runs)} runs: {dict(Counter(run.state for run in runs))}")
    print(*problems[:20], sep="\n")
    assert not problems


def stay_idle(scenarios: int, seconds: float) -> None:
    """See `idle` above."""
    now = datetime.now(UTC)
    far = [now + timedelta(hours=hours) for hours in range(4, 20)]
    lines = ["version: 1", "project: served", "scenarios:"]
    for number in range(scenarios):
        at = far[number % len(far)]
        lines.append(f"  s{number}:")
        lines.append(
            f"    triggers: [{{name: nightly, cron: {number % 60} {at.hour} * * *}}, "
            f"{{name: weekly, kind: interval, every: 7d, since: {at:%Y-%m-%d}T{at:%H:%M}}}]"
        )
        lines.append('    steps: [{name: n, kind: python, function: "mine:note", arguments: {at: "s"}}]')
    lines += ["  minute:", "    triggers: [{name: m, cron: '* * * * *'}]"]
    lines.append('    steps: [{name: n, kind: python, function: "mine:note", arguments: {at: "s"}}]')
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        began = time.monotonic()
        state = write_project(folder, "\n".join(lines) + "\n")
        print(f"the spec is read in {time.monotonic() - began:.1f} s")
        server = Server(folder)
        time.sleep(30)
        cpu, began, before = server.cpu_seconds(), time.monotonic(), server.read_status()
        time.sleep(seconds)
        share = (server.cpu_seconds() - cpu) / (time.monotonic() - began)
        print(f"idle: {100 * share:.2f} % of a core; {before} at the begin, {server.read_status()} at the end")
        server.stop()
        print_delays(*read_history(state))


def print_delays(fires: list[Fire], runs: list[RunRecord]) -> None:
    """Print how long after the time of their trigger runs have started."""
    scheduled = {fire.number: fire.scheduled for fire in fires}
    late = [(run.started - scheduled[run.fire]).total_seconds() for run in runs if run.fire in scheduled]
    print(f"{len(late)} runs start {median(late):.2f} s after their time, at most {max(late):.2f} s")


def start_together(minutes: int) -> None:
    """See `due` above."""
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        state = write_project(folder, DUE)
        server = Server(folder, "--at-once", "2")
        time.sleep(60 * minutes + 30)
        server.stop()
        fires, runs = read_history(state)
        firsts = {}
        for run in sorted(runs, key=lambda one: one.started):
            firsts.setdefault(run.as_of, run.id)
        print_delays(fires, [run for run in runs if run.id in firsts.values()])
        print_delays(fires, [run for run in runs if run.id not in firsts.values()])


def run_often(number: int) -> None:
    """See `runs` above."""
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        state = write_project(folder, QUICK)
        server = Server(folder)
        for tenth in range(1, 11):
            runs = number * tenth // 10
            wait_for(lambda runs=runs: state.exists() and len(read_history(state)[1]) >= runs, f"{runs} runs", 3600)
            print(f"{runs} runs: {server.read_status()}", flush=True)
        server.stop()


@contextmanager
def limit_memory(megabytes: int) -> Iterator[Path]:
    """Make a cgroup with so much memory."""
    group = Path(f"/sys/fs/cgroup/memory/served-{os.getpid()}")
    group.mkdir()
    try:
        (group / "memory.limit_in_bytes").write_text(str(megabytes << 20))
        yield group
    finally:
        group.rmdir()


def run_out_of_memory(number: int) -> None:
    """See `memory` above."""
    with tempfile.TemporaryDirectory() as name, limit_memory(700) as group:
        folder = Path(name)
        state = write_project(folder, HUNGRY)
        server = Server(folder, inside=group)
        wait_for(lambda: state.exists() and len(list((folder / "told").glob("*"))) >= number, "the messages", 1200)
        assert server.process.poll() is None, "the server has died"
        print(server.read_status())
        server.stop()
        _, runs = read_history(state)
        print(Counter(run.state for run in runs))
        messages = [path.read_text() for path in (folder / "told").glob("*") if path.is_file()]
        assert all("out of memory" in message for message in messages), messages[0]


def main() -> None:
    """Run the campaign that the command line names."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("campaign", choices=["kills", "idle", "runs", "due", "memory"])
    parser.add_argument("--number", type=int, default=200)
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--scenarios", type=int, default=1000)
    parser.add_argument("--seconds", type=float, default=3600.0)
    given = parser.parse_args()
    if given.campaign == "kills":
        kill_at_random(given.number, given.seed)
    elif given.campaign == "idle":
        stay_idle(given.scenarios, given.seconds)
    elif given.campaign == "runs":
        run_often(given.number)
    elif given.campaign == "due":
        start_together(given.number)
    else:
        run_out_of_memory(given.number)


if __name__ == "__main__":
    main()
