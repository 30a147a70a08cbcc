"""How small the agent is: started, idle, and with 100 running tasks on one real Docker Engine.

    /usr/bin/python3 tests/bench/agent.py      (run by `make bench`; BENCH_TASKS=N for another number)

Resident memory is VmRSS of the agent's process; of it "own" is what no other process can share (no pages of
libraries and program). Aims: 8 MiB idle, 20 MiB with 100 tasks, start in 200 ms.
"""

import os
import signal
import statistics
import sys
import time

HERE = os.path.dirname(os.path.abspath(__file__))
sys.path.insert(0, os.path.join(HERE, "..", "lib"))
from agent_rig import Rig  # noqa: E402

TASKS = int(os.environ.get("BENCH_TASKS", "100"))
STARTS = 5
REST = 4    # s: its workers go after being idle for two
WATCH = 20  # s of telemetry with all of them
KIB = 1024


def line(name, value):
    print(f"{name:<58} {value}", flush=True)


def memory(rig):
    """Resident, its most so far, and own: KiB."""
    with open(f"/proc/{rig.agent.pid}/status") as f:
        values = {k: v for k, _, v in (text.partition(":") for text in f)}
    return [int(values[k].split()[0]) for k in ("VmRSS", "VmHWM", "RssAnon")]


def told(rig, name):
    now, most, own = memory(rig)
    line(name, f"{now / KIB:.1f} MiB resident ({own / KIB:.1f} own, {most / KIB:.1f} at most so far)")


def cpu_seconds(rig):
    with open(f"/proc/{rig.agent.pid}/stat") as f:
        fields = f.read().rpartition(")")[2].split()
    return (int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK")


def registrations(rig):
    return len(rig.mock.called("RegisterContainerInstance"))


def start(rig):
    before, began = registrations(rig), time.monotonic()
    rig.start_agent(BERTH_PULL_BEHAVIOR="prefer-cached", BERTH_LOG_LEVEL="warn", BERTH_PUBLISH="20s")
    rig.mock.wait("registration", lambda: registrations(rig) > before, 30)
    return time.monotonic() - began


def starts(rig):
    times = []
    for _ in range(STARTS):
        rig.kill_agent()
        times.append(start(rig))
    line("from start to registration, median", f"{statistics.median(times) * 1000:.0f} ms"
         f" ({min(times) * 1000:.0f} to {max(times) * 1000:.0f})")


def run_tasks(rig):
    began = time.monotonic()
    arns = [rig.run(f"bench{n}", rig.container(command="exec sleep 100000", memory=16, stopTimeout=1))
            for n in range(TASKS)]
    for arn in arns:
        rig.mock.wait_report(arn, "RUNNING", 300)
    line(f"{TASKS} tasks, from the first payload to the last RUNNING", f"{time.monotonic() - began:.1f} s")
    return arns


def watched(rig, arns):
    time.sleep(REST)
    told(rig, f"{TASKS} running tasks, at rest")
    before, began = cpu_seconds(rig), time.monotonic()
    time.sleep(WATCH)
    used = (cpu_seconds(rig) - before) / (time.monotonic() - began)
    told(rig, f"{TASKS} running tasks, with telemetry")
    line("CPU of that", f"{used * 100:.1f} % of a core")
    rig.kill_agent()
    line(f"restarted with {TASKS} tasks, to registration", f"{start(rig) * 1000:.0f} ms")
    time.sleep(REST)
    told(rig, "and then")
    for arn in arns:
        rig.stop_task(arn)
    for arn in arns:
        rig.mock.wait_report(arn, "STOPPED", 300)
    time.sleep(REST)
    told(rig, "all stopped")


def main():
    rig = Rig()
    try:
        rig.start()
        starts(rig)
        time.sleep(REST)
        told(rig, "idle")
        watched(rig, run_tasks(rig))
        rig.kill_agent(signal.SIGTERM)
    finally:
        rig.stop()


main()
