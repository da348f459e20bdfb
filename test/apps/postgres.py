#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""PostgreSQL on mangod: it forks per connection. psql, pgbench, COPY, connections that are cancelled and killed."""
import glob
import re

from apps import *

PORT = 5442
BIN = (sorted(glob.glob("/usr/lib/postgresql/*/bin")) or ["/usr/lib/postgresql/15/bin"])[-1]


def start(app, side="ours"):
    folder = app.folder("pg", "postgres")
    data = app.path("pg/data")
    if not os.path.exists(data):
        app.run("theirs", [f"{BIN}/initdb", "-D", data, "-A", "trust", "-U", "postgres", "-N"], user="postgres")
        with open(data + "/pg_hba.conf", "a") as f:
            f.write("host all all 10.77.0.0/24 trust\nhost all all fd77::/64 trust\n")
    address = OURS if side == "ours" else THEIRS
    p = app.start(side, [f"{BIN}/postgres", "-D", data, "-h", address, "-p", PORT, "-k", folder, "-c", "fsync=off",
                         "-c", "max_connections=80"], "postgres.log", user="postgres")
    p.popen.poll()
    wait_for("PostgreSQL", lambda: app.run("theirs" if side == "ours" else "ours",
                                           [f"{BIN}/pg_isready", "-h", address, "-p", PORT], check=False)[0] == 0, 30, 0.2)
    return p


def psql(app, sql, side="theirs", **more):
    address = OURS if side == "theirs" else THEIRS
    return app.out(side, [f"{BIN}/psql", "-h", address, "-p", PORT, "-U", "postgres", "-X", "-A", "-t", "-q", "-c", sql],
                   **more).strip()


def pgbench(app, *words, side="theirs"):
    address = OURS if side == "theirs" else THEIRS
    out = app.out(side, [f"{BIN}/pgbench", "-h", address, "-p", PORT, "-U", "postgres", *words, "postgres"], seconds=120)
    return out


def shut(server):
    stop(server, signal.SIGINT)  # fast shutdown


def queries(app):
    """answers queries, moves a table in and out by COPY."""
    server = start(app)
    expect_equal(psql(app, "select 6*7"), "42", "a query")
    psql(app, "create table if not exists t(a int, b text); truncate t; "
              "insert into t select i, repeat('x', 200) from generate_series(1, 20000) i")
    expect_equal(psql(app, "select count(*), sum(length(b)) from t"), "20000|4000000", "the table")
    out = app.out("theirs", [f"{BIN}/psql", "-h", OURS, "-p", PORT, "-U", "postgres", "-X", "-c", "copy t to stdout"])
    expect_equal(len(out.splitlines()), 20000, "COPY out")
    app.out("theirs", [f"{BIN}/psql", "-h", OURS, "-p", PORT, "-U", "postgres", "-X", "-c", "copy t from stdin"],
            stdin=out.encode())
    expect_equal(psql(app, "select count(*) from t"), "40000", "COPY in")
    shut(server)


def load(app):
    """keeps up with pgbench: 8 clients, and a connection per transaction."""
    server = start(app)
    seconds = "10" if app.long else "2"
    pgbench(app, "-i", "-s", "1", "-q")
    for words in (["-c", "8", "-T", seconds], ["-c", "4", "-C", "-S", "-T", seconds]):
        out = pgbench(app, *words)
        done = re.search(r"number of transactions actually processed: (\d+)", out)
        failed = re.search(r"number of failed transactions: (\d+)", out)
        expect(done and int(done.group(1)) > 20, out)
        expect(not failed or int(failed.group(1)) == 0, out)
    shut(server)


def dying_clients(app):
    """survives clients that are cancelled and killed."""
    server = start(app)
    for _ in range(5):
        p = app.start("theirs", [f"{BIN}/psql", "-h", OURS, "-p", PORT, "-U", "postgres", "-X", "-c",
                                 "select pg_sleep(30)"], "killed.log")
        time.sleep(0.3)
        stop(p, signal.SIGKILL)
    expect_equal(psql(app, "select 1"), "1", "afterwards")
    out = app.run("theirs", [f"{BIN}/psql", "-h", OURS, "-p", PORT, "-U", "postgres", "-X", "-c",
                             "set statement_timeout='300ms'; select pg_sleep(30)"], check=False)
    expect("statement timeout" in out[2], "a time-out: " + out[2])
    shut(server)


def as_client(app):
    """psql and pgbench on mangod, the server on the kernel."""
    server = start(app, "theirs")
    expect_equal(psql(app, "select 6*7", side="ours"), "42", "a query")
    pgbench(app, "-i", "-s", "1", "-q", side="ours")
    out = pgbench(app, "-c", "4", "-T", "2", side="ours")
    expect(re.search(r"processed: \d\d", out), out)
    shut(server)


if __name__ == "__main__":
    main(App("postgres", BIN + "/postgres", BIN + "/pgbench"), queries, load, dying_clients, as_client)
