#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""node on mangod: HTTP server and client, keep-alive agents, streams, a cluster."""
import re

from apps import *

PORT = 8680

SERVER = """
const http = require('http'), crypto = require('crypto');
http.createServer((req, res) => {
  if (req.method === 'POST') {
    const h = crypto.createHash('sha256');
    req.on('data', (d) => h.update(d)).on('end', () => res.end(h.digest('hex')));
  } else {
    const n = parseInt(req.url.slice(1)) || 5;
    res.writeHead(200, { 'content-length': n });
    const piece = Buffer.alloc(65536, 'n');
    let left = n;
    const more = () => {
      while (left > 0) {
        const k = Math.min(left, piece.length);
        left -= k;
        if (!res.write(piece.subarray(0, k))) { res.once('drain', more); return; }
      }
      res.end();
    };
    more();
  }
}).listen(parseInt(process.argv[3]), process.argv[2]);
"""

CLIENT = """
const http = require('http'), crypto = require('crypto');
const [host, port] = [process.argv[2], process.argv[3]];
const agent = new http.Agent({ keepAlive: true, maxSockets: 20 });
function get(n) {
  return new Promise((ok, bad) => http.get({ host, port, agent, path: '/' + n }, (res) => {
    let got = 0;
    res.on('data', (d) => { got += d.length; }).on('end', () => got === n ? ok() : bad(new Error(`${got} of ${n}`)));
  }).on('error', bad));
}
function post(n) {
  const body = crypto.randomBytes(n), want = crypto.createHash('sha256').update(body).digest('hex');
  return new Promise((ok, bad) => {
    const req = http.request({ host, port, agent, method: 'POST', headers: { 'content-length': n } }, (res) => {
      let got = '';
      res.on('data', (d) => { got += d; }).on('end', () => got === want ? ok() : bad(new Error('digest')));
    }).on('error', bad);
    req.end(body);
  });
}
(async () => {
  const jobs = [];
  for (let i = 0; i < 200; i++) jobs.push(get(1 + (i * 7919) % 50000));
  for (let i = 0; i < 10; i++) jobs.push(post(1 + i * 100000));
  jobs.push(get(8000000));
  await Promise.all(jobs);
  console.log('all right');
  process.exit(0);
})().catch((e) => { console.log('failed', e.message); process.exit(1); });
"""

CLUSTER = """
const cluster = require('cluster'), http = require('http');
if (cluster.isPrimary) { for (let i = 0; i < 2; i++) cluster.fork(); }
else http.createServer((q, r) => r.end('worker\\n')).listen(parseInt(process.argv[3]), process.argv[2]);
"""


def node(app, name, text):
    return ["node", app.write(name, text)]


def as_server(app):
    """as an HTTP server under wrk, and with large bodies both ways."""
    app.start("ours", node(app, "server.js", SERVER) + [OURS, PORT], "server.log", PORT)
    out = app.out("theirs", node(app, "client.js", CLIENT) + [OURS, PORT])
    expect_equal(out.strip(), "all right", "client")
    out = app.out("theirs", ["wrk", "-t1", "-c32", "-d", "5s" if app.long else "2s", f"http://{OURS}:{PORT}/100"], seconds=60)
    done = re.search(r"(\d+) requests in", out)
    expect(done and int(done.group(1)) > 100 and "Socket errors" not in out, out)


def as_client(app):
    """as an HTTP client with an agent that keeps 20 connections alive."""
    app.start("theirs", node(app, "server.js", SERVER) + [THEIRS, PORT], "server.log", PORT)
    out = app.out("ours", node(app, "client.js", CLIENT) + [THEIRS, PORT])
    expect_equal(out.strip(), "all right", "client")


def clustered(app):
    """a cluster of two processes behind one port."""
    app.start("ours", node(app, "cluster.js", CLUSTER) + [OURS, PORT], "cluster.log", PORT)
    for _ in range(30):
        expect_equal(app.out("theirs", ["curl", "-sS", "--max-time", "5", f"http://{OURS}:{PORT}/"]), "worker\n", "page")


if __name__ == "__main__":
    main(App("node", "node", "wrk", "curl"), as_server, as_client, clustered)
