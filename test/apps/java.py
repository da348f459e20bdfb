#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""java on mangod: the JDK's HTTP server and client, NIO with a selector, blocking sockets with threads."""
import re

from apps import *

PORT = 8780

WEB = """
import com.sun.net.httpserver.*;
import java.net.*;
import java.util.concurrent.*;
public class Web {
  public static void main(String[] a) throws Exception {
    HttpServer s = HttpServer.create(new InetSocketAddress(a[0], Integer.parseInt(a[1])), 64);
    s.createContext("/", x -> {
      int n = Integer.parseInt(x.getRequestURI().getPath().substring(1).isEmpty() ? "5" : x.getRequestURI().getPath().substring(1));
      byte[] b = new byte[n];
      x.sendResponseHeaders(200, n);
      x.getResponseBody().write(b);
      x.close();
    });
    s.setExecutor(Executors.newFixedThreadPool(8));
    s.start();
  }
}
"""

NIO = """
import java.net.*;
import java.nio.*;
import java.nio.channels.*;
public class Nio {
  public static void main(String[] a) throws Exception {
    Selector sel = Selector.open();
    ServerSocketChannel l = ServerSocketChannel.open();
    l.bind(new InetSocketAddress(a[0], Integer.parseInt(a[1])));
    l.configureBlocking(false);
    l.register(sel, SelectionKey.OP_ACCEPT);
    while (true) {
      sel.select();
      var it = sel.selectedKeys().iterator();
      while (it.hasNext()) {
        SelectionKey k = it.next();
        it.remove();
        if (k.isAcceptable()) {
          SocketChannel c = l.accept();
          if (c == null) continue;
          c.configureBlocking(false);
          c.register(sel, SelectionKey.OP_READ, ByteBuffer.allocate(65536));
          continue;
        }
        SocketChannel c = (SocketChannel) k.channel();
        ByteBuffer b = (ByteBuffer) k.attachment();
        if (k.isReadable() && c.read(b) < 0) { c.close(); continue; }
        b.flip();
        c.write(b);
        b.compact();
        k.interestOps(b.position() > 0 ? SelectionKey.OP_READ | SelectionKey.OP_WRITE : SelectionKey.OP_READ);
      }
    }
  }
}
"""

ECHO_CLIENT = """
import java.io.*;
import java.net.*;
import java.util.*;
public class EchoClient {
  public static void main(String[] a) throws Exception {
    List<Thread> ts = new ArrayList<>();
    for (int i = 0; i < 20; i++) {
      final int id = i;
      Thread t = new Thread(() -> {
        try (Socket s = new Socket(a[0], Integer.parseInt(a[1]))) {
          s.setSoTimeout(20000);
          byte[] out = new byte[1000 * (id + 1)], in = new byte[out.length];
          new Random(id).nextBytes(out);
          for (int k = 0; k < 20; k++) {
            s.getOutputStream().write(out);
            new DataInputStream(s.getInputStream()).readFully(in);
            if (!Arrays.equals(in, out)) { System.out.println("wrong bytes"); System.exit(1); }
          }
        } catch (Exception e) { System.out.println(e); System.exit(1); }
      });
      t.start();
      ts.add(t);
    }
    for (Thread t : ts) t.join();
    System.out.println("all right");
  }
}
"""

HTTP_CLIENT = """
import java.net.*;
import java.net.http.*;
import java.util.*;
import java.util.concurrent.*;
public class Client {
  public static void main(String[] a) throws Exception {
    HttpClient c = HttpClient.newHttpClient();
    List<CompletableFuture<Integer>> all = new ArrayList<>();
    for (int i = 0; i < 100; i++) {
      int n = 1 + i * 1000;
      all.add(c.sendAsync(HttpRequest.newBuilder(URI.create("http://" + a[0] + ":" + a[1] + "/" + n)).build(),
        HttpResponse.BodyHandlers.ofByteArray()).thenApply(r -> r.body().length - n));
    }
    for (var f : all) if (f.get(30, TimeUnit.SECONDS) != 0) throw new Exception("length");
    System.out.println("all right");
    System.exit(0);
  }
}
"""


def compiled(app, name, text):
    """The arguments that run the class; it is compiled once."""
    if not os.path.exists(app.path(name + ".class")):
        app.write(name + ".java", text)
        subprocess.run(["javac", "-d", app.path(""), app.path(name + ".java")], check=True)
    return ["java", "-Xmx256m", "-XX:TieredStopAtLevel=1", "-cp", app.path(""), name]


def web_server(app):
    """the JDK's HTTP server under wrk."""
    app.start("ours", compiled(app, "Web", WEB) + [OURS, PORT], "web.log", PORT)
    out = app.out("theirs", ["wrk", "-t1", "-c16", "-d", "5s" if app.long else "2s", f"http://{OURS}:{PORT}/100"], seconds=60)
    done = re.search(r"(\d+) requests in", out)
    expect(done and int(done.group(1)) > 50 and "Non-2xx" not in out, out)
    expect_equal(len(app.out("theirs", ["curl", "-sS", f"http://{OURS}:{PORT}/3000000"])), 3000000, "a large body")


def nio_server(app):
    """an NIO echo server with one selector and 20 connections."""
    app.start("ours", compiled(app, "Nio", NIO) + [OURS, PORT], "nio.log", PORT)
    out = app.out("theirs", compiled(app, "EchoClient", ECHO_CLIENT) + [OURS, PORT])
    expect_equal(out.strip(), "all right", "echo")


def clients(app):
    """blocking sockets in threads, and the asynchronous HTTP client."""
    app.start("theirs", compiled(app, "Nio", NIO) + [THEIRS, PORT], "nio.log", PORT)
    out = app.out("ours", compiled(app, "EchoClient", ECHO_CLIENT) + [THEIRS, PORT])
    expect_equal(out.strip(), "all right", "echo")
    app.start("theirs", compiled(app, "Web", WEB) + [THEIRS, PORT + 1], "web.log", PORT + 1)
    out = app.out("ours", compiled(app, "Client", HTTP_CLIENT) + [THEIRS, PORT + 1])
    expect_equal(out.strip(), "all right", "HTTP")


if __name__ == "__main__":
    main(App("java", "java", "javac", "wrk", "curl"), web_server, nio_server, clients)
