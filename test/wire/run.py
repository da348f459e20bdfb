#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""One named case per obligation of TCP, packet by packet: run.py mango|linux [-k WORD] [-v] [--list]

All cases run at the same time, as far as --jobs goes, each with addresses and ports of its own. Prints TAP. A case that
fails while the tester itself was late is tried again alone. What differences.txt expects to fail passes by failing.
"""
import argparse
import asyncio
import glob
import importlib
import os
import shutil
import sys
import tempfile
import time
import traceback

HERE = os.path.dirname(os.path.abspath(__file__))
sys.path.insert(0, HERE)
from case import CASES, Test  # noqa: E402
from dut import DEVICES  # noqa: E402
from peer import Failure, Skip  # noqa: E402

LATE_S = 0.03
failed = 0


class Lateness:
    """How late the loop was in the last seconds: what the tester's own slowness may spoil."""

    def __init__(self):
        self.late = []  # (when, by how much)

    async def watch(self):
        while True:
            start = time.monotonic()
            await asyncio.sleep(0.005)
            by = time.monotonic() - start - 0.005
            if by > LATE_S:
                self.late.append((start, by))

    def since(self, start):
        return max((by for when, by in self.late if when >= start - 0.2), default=0)


def read_differences(device):
    """{case key: (what it does, why)} of differences.txt."""
    found = {}
    with open(os.path.join(HERE, "differences.txt"), encoding="utf-8") as f:
        for line in f:
            cells = [c.strip() for c in line.split("|")]
            if line.strip() and not line.startswith("#") and cells[1] == device:
                found[cells[0]] = (cells[2], cells[3])
    return found


def read_rows(name):
    """The words of a list without its comments; of a line with columns the first."""
    words = []
    with open(os.path.join(HERE, name), encoding="utf-8") as f:
        for line in f:
            if not line.startswith("#"):
                words += line.split("|")[0].split() if "|" in line else line.split()
    return words


def check_rows():
    """Each row has a case or a reason, and there are no others."""
    rows, unwired = read_rows("rows.txt"), read_rows("unwired.txt")
    named = {i for case in CASES for i in case.ids}
    wrong = [f"{r}: no case, and no reason in unwired.txt" for r in rows if r not in named and r not in unwired]
    wrong += [f"{r}: unwired.txt has a reason, but there is a case" for r in unwired if r in named]
    wrong += [f"{r}: a case names it, rows.txt does not" for r in sorted(named - set(rows))]
    return wrong


class Runner:
    def __init__(self, options):
        self.options = options
        self.differences = read_differences(options.device)
        self.lateness = Lateness()
        self.number = 0
        self.todo = []
        self.devices = {}
        self.failed = self.skipped = 0
        self.again = []

    def say(self, ok, name, comment="", lines=()):
        self.number += 1
        if not ok:
            self.failed += 1
        print(f"{'ok' if ok else 'not ok'} {self.number} - {name}{comment}", flush=True)
        for line in lines:
            print(f"# {line}", flush=True)

    async def attempt(self, case, family, index):
        """None, or why it failed with the story; and how long it took."""
        test = Test(case, self.devices[case.profile], index, family)
        start = time.monotonic()
        error = None
        try:
            await test.begin()
            await asyncio.wait_for(case.function(test), case.limit)
            broken = [f"{what} ({p.conn.describe(p) if hasattr(p, 'conn') else 'a packet of no connection'})"
                      for what, p in test.found.items()]
            if broken:
                raise Failure("; ".join(broken))
        except Skip as e:
            error = e
        except asyncio.TimeoutError:
            error = Failure(f"not done within {case.limit} s")
        except Exception as e:
            where = traceback.extract_tb(e.__traceback__)
            places = [f"{os.path.basename(f.filename)}:{f.lineno}" for f in where if "cases_" in f.filename]
            text = str(e) if isinstance(e, Failure) else "".join(traceback.format_exception_only(type(e), e)).strip()
            error = Failure(f"{text} at {' < '.join(places[::-1])}")
        story = test.story() if error is not None or self.options.verbose else []
        try:
            await test.end()
        except Exception as e:
            error = error or Failure(f"afterwards: {e}")
        return error, story, time.monotonic() - start

    async def run(self, item, alone=False):
        case, family, index = item
        start = time.monotonic()
        if family == 6 and self.devices[case.profile].todo_v6:
            self.report(case, family, Skip("todo: " + self.devices[case.profile].todo_v6), [], 0)
            return
        error, story, took = await self.attempt(case, family, index + (1000 if alone else 0))
        late = self.lateness.since(start)
        if not self.todo_of(case, family) and self.unexpected(case, error) and late > 0 and not alone:
            self.again.append(item)
            return
        self.report(case, family, error, story, took)

    def todo_of(self, case, family):
        if self.options.device != "mango":
            return None
        return case.todo or family == 6 and case.todo6

    def unexpected(self, case, error):
        return error is not None and not isinstance(error, Skip) and case.key not in self.differences

    def report(self, case, family, error, story, took):
        name = f"{' '.join(case.ids)} {case.key}{'/v6' if family == 6 else ''}: {case.title}"
        note = self.differences.get(case.key)
        comment = f" # {took:.1f} s"
        todo = self.todo_of(case, family)
        if isinstance(error, Skip):
            self.skipped += 1
            self.say(True, name, f" # SKIP {error}")
        elif todo and error is not None:
            self.skipped += 1
            self.say(True, name, f" # SKIP todo: {todo}", [str(error)] + story if self.options.verbose else [])
        elif error is None and note:
            self.say(False, name, comment, ["differences.txt says that this differs, but it does not: remove the row"])
        elif error is None:
            self.say(True, name, comment, story + (["todo: it passes, remove the mark"] if todo else []))
        elif note:
            self.say(True, name, comment, [f"differs: {note[0]} ({note[1]})"] + (story if self.options.verbose else []))
        else:
            self.say(False, name, comment, [str(error)] + story)

    async def all(self, folder):
        kind = DEVICES[self.options.device]
        print(f"1..{len(self.items) + 1}", flush=True)
        wrong = check_rows()
        self.say(not wrong, "rows: every obligation has a case, or a reason in unwired.txt", "", wrong)
        watcher = None
        try:
            for profile in dict.fromkeys(case.profile for case, _, _ in self.items):
                self.devices[profile] = kind(profile, folder)
                await self.devices[profile].up()
            await self.agents_ahead()
            watcher = asyncio.get_running_loop().create_task(self.lateness.watch())
            await self.together([i for i in self.items if not i[0].alone])
            for item in [i for i in self.items if i[0].alone] + self.again:
                await self.run(item, alone=True)
            if self.failed and self.options.device == "mango":
                self.tell_drops()
            self.living()
        finally:
            if watcher is not None:
                watcher.cancel()
            for device in self.devices.values():
                await device.down()

    async def agents_ahead(self):
        """Starting programs is what makes the tester late."""
        for profile, device in self.devices.items():
            wanted = min(self.options.jobs, sum(case.profile == profile for case, _, _ in self.items))
            device.idle_agents = [await device.agent() for _ in range(wanted)]
            for agent in device.idle_agents:
                await agent.ok("health")

    async def together(self, items):
        gate = asyncio.Semaphore(self.options.jobs)

        async def one(item):
            async with gate:
                await self.run(item)

        await asyncio.gather(*(one(i) for i in sorted(items, key=lambda i: -i[0].seconds)))

    def tell_drops(self):
        """What the devices did not take, for those who look for the cause of a failure."""
        for device in self.devices.values():
            words = ("drop", "limit", "stopped", "missed", "invalid", "ignored", "nobuf", "full")
            found = {k: v for k, v in device.counters().items() if v and any(w in k for w in words)}
            print(f"# {device.profile}: {found}", flush=True)

    def living(self):
        for device in self.devices.values():
            if not device.alive():
                self.failed += 1
                print(f"Bail out! the device ({device.profile}) ended: {device.log()}", flush=True)

    def pick(self):
        items = []
        for case in CASES:
            for family in (4, 6):
                name = f"{' '.join(case.ids)} {case.key}{'/v6' if family == 6 else ''}: {case.title}"
                if str(family) in case.families:
                    items.append((case, family, len(items)))
                    if case.mango_only and self.options.device != "mango":
                        items[-1] = None
                    if case.long and not self.options.long or self.options.k and not any(k in name for k in self.options.k):
                        items[-1] = None
        self.items = [(c, f, i + turn * len(items)) for turn in range(self.options.repeat)
                      for c, f, i in filter(None, items)]
        keys = [c.key for c in CASES]
        twice = {k for k in keys if keys.count(k) > 1}
        if twice:
            sys.exit(f"cases with the same name: {twice}")
        unknown = set(self.differences) - set(keys)
        if unknown:
            sys.exit(f"differences.txt: no such cases: {unknown}")


def options():
    p = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    p.add_argument("device", choices=sorted(DEVICES))
    p.add_argument("-k", action="append", metavar="WORD", help="only cases whose name has it (may be given again)")
    p.add_argument("-v", "--verbose", action="store_true", help="print the packets of every case")
    p.add_argument("-j", "--jobs", type=int, default=24, help="cases at a time (24)")
    p.add_argument("--long", action="store_true", help="also the cases that take minutes")
    p.add_argument("--repeat", type=int, default=1, metavar="N", help="run the chosen cases N times")
    p.add_argument("--list", action="store_true", help="print the names, run nothing")
    return p.parse_args()


def main():
    opts = options()
    for path in sorted(glob.glob(os.path.join(HERE, "cases_*.py"))):
        importlib.import_module(os.path.basename(path)[:-3])
    runner = Runner(opts)
    runner.pick()
    if opts.list:
        for case, family, _ in runner.items:
            print(f"{' '.join(case.ids)} {case.key}{'/v6' if family == 6 else ''}: {case.title}"
                  + (f" [todo: {case.todo}]" if case.todo else ""))
        return 0
    if os.geteuid() != 0:
        print("network namespaces need root")
        return 77
    folder = tempfile.mkdtemp(prefix="mango-wire-")
    start = time.monotonic()
    try:
        asyncio.run(runner.all(folder))
    finally:
        if "MANGO_E2E_KEEP" not in os.environ:
            shutil.rmtree(folder, ignore_errors=True)
    late = max((by for _, by in runner.lateness.late), default=0)
    print(f"# {time.monotonic() - start:.1f} s; {runner.skipped} skipped; {len(runner.again)} tried again; "
          f"the tester was late by {late * 1000:.0f} ms at most")
    return 1 if runner.failed else 0


if __name__ == "__main__":
    sys.exit(main())
