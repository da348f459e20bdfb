#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""redis on mangod: redis-benchmark, pipelining, pub/sub, large values, replication both ways, BGSAVE under load."""
from apps import *

PORT, OTHER = 6390, 6391


def start(app, side="ours", port=PORT, *words):
    address = OURS if side == "ours" else THEIRS
    folder = app.folder(f"redis-{side}-{port}")
    return app.start(side, ["redis-server", "--port", port, "--bind", address, "--protected-mode", "no",
                            "--dir", folder, "--save", "", "--appendonly", "no", *words],
                     f"redis-{side}.log", port)


def cli(app, *words, side="theirs", port=PORT, **more):
    """redis-cli on one side, to the server on the other."""
    address = OURS if side == "theirs" else THEIRS
    return app.out(side, ["redis-cli", "-h", address, "-p", port, *words], **more).strip()


def bench(app, *words, side="theirs", port=PORT):
    address = OURS if side == "theirs" else THEIRS
    count = 200000 if app.long else 20000
    out = app.out(side, ["redis-benchmark", "-h", address, "-p", port, "-n", count, "--csv", *words], seconds=120)
    lines = [x for x in out.splitlines() if x.startswith('"') and "test" not in x]
    expect(lines and all(float(x.split(",")[1].strip('"')) > 100 for x in lines), out)


def basics(app):
    """answers commands, small and large."""
    start(app)
    expect_equal(cli(app, "set", "key", "value"), "OK", "set")
    expect_equal(cli(app, "get", "key"), "value", "get")
    value = os.urandom(4 * MIB).hex()
    cli(app, "-x", "set", "large", stdin=value.encode())
    expect_equal(digest(cli(app, "get", "large").encode()), digest(value.encode()), "8 MiB back")


def load(app):
    """keeps up with redis-benchmark, with and without pipelining."""
    start(app)
    bench(app, "-t", "set,get", "-c", "50")
    bench(app, "-t", "set,get", "-c", "50", "-P", "16")
    bench(app, "-t", "lpush,lrange_100", "-c", "10", "-d", "1000")


def publish(app):
    """publishes to subscribers."""
    start(app)
    listen = app.in_background("theirs", ["timeout", "5", "redis-cli", "-h", OURS, "-p", PORT, "subscribe", "news"],
                               check=False)
    wait_for("a subscriber", lambda: cli(app, "pubsub", "numsub", "news").split()[-1] == "1")
    for i in range(100):
        expect_equal(cli(app, "publish", "news", f"message-{i}"), "1", "receivers") if i < 5 else None
    cli(app, "eval", "for i=1,1000 do redis.call('publish','news','m'..i) end", "0")
    out = listen.result()[1]
    expect("message-4" in out and "m1000" in out, "the last message did not come: " + out[-200:])


def replicate(app, master_side, replica_side):
    start(app, master_side, PORT)
    start(app, replica_side, OTHER)
    master, replica = (OURS, THEIRS) if master_side == "ours" else (THEIRS, OURS)
    far = {"ours": "theirs", "theirs": "ours"}
    cli(app, "eval", "for i=1,20000 do redis.call('set','k'..i,string.rep('v',100)) end", "0", side=far[master_side])
    cli(app, "replicaof", master, PORT, side=far[replica_side], port=OTHER)
    wait_for("the first copy", lambda: cli(app, "dbsize", side=far[replica_side], port=OTHER) == "20000", 30, 0.1)
    cli(app, "set", "late", "news", side=far[master_side])
    wait_for("a late write", lambda: cli(app, "get", "late", side=far[replica_side], port=OTHER) == "news", 10, 0.05)
    del replica


def replicate_from_mango(app):
    """replicates from mango to the kernel."""
    replicate(app, "ours", "theirs")


def replicate_to_mango(app):
    """replicates from the kernel to mango."""
    replicate(app, "theirs", "ours")


def save(app):
    """saves in the background while loaded."""
    start(app)
    cli(app, "eval", "for i=1,50000 do redis.call('set','k'..i,string.rep('v',200)) end", "0")
    busy = app.in_background("theirs", ["redis-benchmark", "-h", OURS, "-p", PORT, "-n", "50000", "-t", "set,get",
                                        "--csv"], seconds=60)
    for _ in range(3):
        cli(app, "bgsave")
        wait_for("the save", lambda: "rdb_bgsave_in_progress:0" in cli(app, "info", "persistence"), 30, 0.1)
        expect("rdb_last_bgsave_status:ok" in cli(app, "info", "persistence"), "the save failed")
    busy.result()
    expect_equal(cli(app, "ping"), "PONG", "afterwards")


def as_client(app):
    """redis-cli and redis-benchmark as clients on mangod."""
    start(app, "theirs")
    expect_equal(cli(app, "set", "key", "value", side="ours"), "OK", "set")
    expect_equal(cli(app, "get", "key", side="ours"), "value", "get")
    bench(app, "-t", "set,get", "-c", "20", side="ours")


if __name__ == "__main__":
    main(App("redis", "redis-server", "redis-cli", "redis-benchmark"), basics, load, publish, replicate_from_mango,
         replicate_to_mango, save, as_client)
