#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""socat, netcat and openssl on mangod, as servers and as clients."""
from apps import *

PORT = 8880


def far(side):
    return ("theirs", OURS) if side == "ours" else ("ours", THEIRS)


def socat(app, side):
    client, address = far(side)
    mine = OURS if side == "ours" else THEIRS
    app.start(side, ["socat", f"TCP-LISTEN:{PORT},bind={mine},reuseaddr,fork", "EXEC:cat"], "socat.log", PORT)
    data = os.urandom(2 * MIB).hex().encode()
    for _ in range(3):
        out = app.out(client, ["socat", "-t", "10", "-", f"TCP:{address}:{PORT}"], stdin=data)
        expect_equal(digest(out.encode()), digest(data), "echo through socat and cat")


def socat_server(app):
    """socat forks and execs cat per connection, on mangod."""
    socat(app, "ours")


def socat_client(app):
    """socat as a client on mangod."""
    socat(app, "theirs")


def netcat(app, side):
    client, address = far(side)
    mine = OURS if side == "ours" else THEIRS
    data = os.urandom(MIB).hex().encode()
    with open(app.path("in"), "wb") as f:
        f.write(data)
    server = app.start(side, ["sh", "-c", f"exec nc -l -N {mine} {PORT} <{app.path('in')} >{app.path('out')}"], "nc.log")
    time.sleep(0.5)
    # nc -l ends once its peer has, whatever of its input is left: so the client does not end before it has all.
    with subprocess.Popen(app._argv(client, ["nc", "-N", address, PORT]), stdin=subprocess.PIPE,
                          stdout=subprocess.PIPE) as nc:
        expect_equal(digest(nc.stdout.read(len(data))), digest(data), "server to client")
        nc.stdin.write(data[::-1])
        nc.stdin.close()
        expect_equal(nc.stdout.read(), b"", "the end of the stream")
        expect_equal(nc.wait(20), 0, "nc's exit code")
    server.wait()
    expect_equal(file_digest(app.path("out")), digest(data[::-1]), "client to server")


def netcat_server(app):
    """netcat listens on mangod, data both ways."""
    netcat(app, "ours")


def netcat_client(app):
    """netcat connects on mangod, data both ways; a port scan."""
    netcat(app, "theirs")
    app.start("theirs", ["socat", f"TCP-LISTEN:{PORT},bind={THEIRS},reuseaddr,fork", "EXEC:true"], "socat.log", PORT)
    out = app.run("ours", ["nc", "-z", "-v", "-n", THEIRS, f"{PORT - 2}-{PORT + 2}"], check=False)[2]
    expect(f"{PORT} port" in out and "succeeded" in out, "scan: " + out)


def tls(app, side):
    client, address = far(side)
    mine = OURS if side == "ours" else THEIRS
    key, cert = certificate(app)
    app.random_file("served.bin", 4 * MIB)
    app.start(side, ["sh", "-c", f"cd {app.path('')} && exec openssl s_server -accept {mine}:{PORT} -key {key} -cert {cert} "
                     "-WWW -quiet"], "s_server.log", PORT)
    with open(app.path("served.bin"), "rb") as f:
        want = f.read()
    for _ in range(3):
        done = subprocess.run(app._argv(client, ["openssl", "s_client", "-connect", f"{address}:{PORT}", "-quiet",
                                                 "-no_ign_eof", "-ign_eof"]), input=b"GET /served.bin HTTP/1.0\r\n\r\n",
                              stdout=subprocess.PIPE, stderr=subprocess.PIPE, timeout=30)
        body = done.stdout.partition(b"\r\n\r\n")[2]
        expect_equal(digest(body), digest(want), "by TLS")


def tls_server(app):
    """openssl s_server on mangod."""
    tls(app, "ours")


def tls_client(app):
    """openssl s_client on mangod."""
    tls(app, "theirs")


if __name__ == "__main__":
    main(App("tools", "socat", "nc", "openssl"), socat_server, socat_client, netcat_server, netcat_client, tls_server,
         tls_client)
