#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""iperf3 on mangod: both directions, in parallel, as server and as client."""
import json

from apps import *

PORT = 5301


def run(app, side, *words):
    address = OURS if side == "theirs" else THEIRS
    seconds = 10 if app.long else 2
    out = app.out(side, ["iperf3", "-c", address, "-p", PORT, "-t", seconds, "-J", *words], seconds=60)
    report = json.loads(out)
    moved = report["end"]["sum_received"]["bytes"]
    expect(moved > MIB, f"only {moved} bytes moved")
    return moved


def as_server(app):
    """as a server: up, down, both at once, four streams."""
    app.start("ours", ["iperf3", "-s", "-p", PORT], "iperf3.log", PORT)
    run(app, "theirs")
    run(app, "theirs", "-R")
    run(app, "theirs", "--bidir")
    run(app, "theirs", "-P", "4")
    run(app, "theirs", "-P", "4", "-R", "-N")


def as_client(app):
    """as a client: up, down, both at once, four streams."""
    app.start("theirs", ["iperf3", "-s", "-p", PORT], "iperf3.log", PORT)
    run(app, "ours")
    run(app, "ours", "-R")
    run(app, "ours", "--bidir")
    run(app, "ours", "-P", "4", "-R")


if __name__ == "__main__":
    main(App("iperf3", "iperf3"), as_server, as_client)
