#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""openssh on mangod: the server (it forks and execs itself), the client, files both ways, a forwarded port."""
from apps import *

PORT = 2222


def keys(app):
    for name in ("host", "user"):
        if not os.path.exists(app.path(name)):
            subprocess.run(["ssh-keygen", "-q", "-t", "ed25519", "-N", "", "-f", app.path(name)], check=True)
    app.write("authorized", open(app.path("user.pub")).read(), 0o600)


def start(app, side):
    keys(app)
    os.makedirs("/run/sshd", exist_ok=True)
    address = OURS if side == "ours" else THEIRS
    conf = app.write("sshd_config", f"""
Port {PORT}
ListenAddress {address}
HostKey {app.path('host')}
AuthorizedKeysFile {app.path('authorized')}
PidFile {app.path('sshd.pid')}
StrictModes no
UsePAM no
PermitRootLogin yes
UseDNS no
Subsystem sftp internal-sftp
""")
    return app.start(side, ["/usr/sbin/sshd", "-D", "-e", "-f", conf], f"sshd-{side}.log", PORT)


def options(app):
    return ["-F", "none", "-i", app.path("user"), "-o", "StrictHostKeyChecking=no", "-o", "UserKnownHostsFile=/dev/null",
            "-o", "LogLevel=ERROR", "-o", "BatchMode=yes"]


def ssh(app, side, *words, **more):
    address = OURS if side == "theirs" else THEIRS
    return app.out(side, ["ssh", *options(app), "-p", PORT, f"root@{address}", *words], **more)


def session(app, server, client):
    start(app, server)
    expect_equal(ssh(app, client, "echo hello; exit 0"), "hello\n", "a command")
    code = app.run(client, ["ssh", *options(app), "-p", PORT, f"root@{OURS if client == 'theirs' else THEIRS}", "exit 7"],
                   check=False)[0]
    expect_equal(code, 7, "exit code")
    text = ssh(app, client, "head -c 3000000 /dev/zero | tr '\\0' x | wc -c; cat", stdin=b"y" * 2000000)
    expect(text.startswith("3000000\n") and text.count("y") == 2000000, "bytes through the session")
    if app.long:
        for _ in range(20):
            ssh(app, client, "true")


def as_server(app):
    """sshd on mangod, ssh on the kernel: commands and data."""
    session(app, "ours", "theirs")


def as_client(app):
    """ssh on mangod, sshd on the kernel: commands and data."""
    session(app, "theirs", "ours")


def copies(app):
    """scp and sftp copy a large file there and back."""
    start(app, "ours")
    large = app.random_file("large.bin", (64 if app.long else 16) * MIB)
    there, back = app.path("there.bin"), app.path("back.bin")
    app.run("theirs", ["scp", *options(app), "-P", PORT, large, f"root@{OURS}:{there}"])
    app.run("theirs", ["scp", *options(app), "-P", PORT, f"root@{OURS}:{there}", back])
    expect_equal(file_digest(back), file_digest(large), "there and back")


def forwards(app):
    """ssh forwards a port through sshd on mangod."""
    start(app, "ours")
    app.start("theirs", ["python3", "-m", "http.server", "8477", "--bind", THEIRS, "--directory", app.path("")], "web.log")
    app.write("page", "through the tunnel\n")
    app.start("theirs", ["ssh", *options(app), "-p", PORT, "-N", "-L", f"127.0.0.1:8478:{THEIRS}:8477", f"root@{OURS}"],
              "tunnel.log")
    wait_for("the tunnel", lambda: app.out("theirs", ["curl", "-sS", "--max-time", "5", "http://127.0.0.1:8478/page"],
                                           check=False) == "through the tunnel\n", 10, 0.2)


if __name__ == "__main__":
    main(App("ssh", "/usr/sbin/sshd", "ssh", "scp"), as_server, as_client, copies, forwards)
