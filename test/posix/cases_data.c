/* SPDX-License-Identifier: Apache-2.0 */
/* cases_data.c - moving bytes: every call, every flag, and what is counted. */
#include <signal.h>
#include <sys/sendfile.h>

#include "test/posix/conform.h"

static char big[1 << 20];

static void fill(char *buf, size_t n)
{
	for (size_t i = 0; i < n; i++)
		buf[i] = (char)('a' + i % 26);
}

/* Reads exactly n bytes or to the end. */
static long read_all(int fd, char *buf, size_t n)
{
	size_t got = 0;

	while (got < n) {
		ssize_t r = recv(fd, buf + got, n - got, 0);

		if (r < 0)
			return -1;
		if (r == 0)
			break;
		got += (size_t)r;
	}
	return (long)got;
}

ON_BOTH(echo_small)
{
	int fd = t_connected(t);
	char buf[32];

	T(send(fd, "hello", 5, 0));
	t_peer(t, "recv 5");
	t_peer_ok(t, "text world!");
	T(recv(fd, buf, sizeof(buf), 0));
	t_bytes("got", buf, 6);
}

ON_BOTH(read_and_write)
{
	int fd = t_connected(t);
	char buf[32];

	T(write(fd, "hello", 5));
	t_peer(t, "recv 5");
	t_peer_ok(t, "text world!");
	T(read(fd, buf, sizeof(buf)));
	T(write(fd, "", 0));
	T(read(fd, buf, 0));
}

ON_BOTH(big_send)
{
	int fd = t_connected(t);

	fill(big, sizeof(big));
	t_peer_ok(t, "later 0 recv 1048576");
	T(send(fd, big, sizeof(big), 0));
	T(shutdown(fd, SHUT_WR));
	t_peer(t, "recv_eof");
}

ON_BOTH(big_send_checked)
{
	int fd = t_connected(t);

	fill(big, 60000);
	T(send(fd, big, 60000, 0));
	T(send(fd, big, 100, 0));
	t_peer(t, "recv 60100");
}

ON_BOTH(big_recv)
{
	int fd = t_connected(t);

	t_peer_ok(t, "later 0 send 1048576");
	T(read_all(fd, big, sizeof(big)));
	t_bytes("got", big, sizeof(big));
}

ON_BOTH(recv_waitall)
{
	int fd = t_connected(t);
	char buf[64];

	t_peer_ok(t, "text abcde");
	t_peer_ok(t, "later 100 text fghij");
	T(recv(fd, buf, 10, MSG_WAITALL));
	t_bytes("got", buf, 10);
	t_peer_ok(t, "text xyz");
	t_peer_ok(t, "close");
	T(recv(fd, buf, 10, MSG_WAITALL));
	t_bytes("got", buf, 3);
}

ON_BOTH(recv_waitall_nonblocking)
{
	int fd = t_connected(t);
	char buf[64];

	t_peer_ok(t, "text abc");
	(void)t_wait(fd, POLLIN, 1000);
	t_nonblock(fd);
	T(recv(fd, buf, 10, MSG_WAITALL));
	T(recv(fd, buf, 10, MSG_WAITALL));
}

ON_BOTH(recv_waitall_timeout)
{
	int fd = t_connected(t);
	struct timeval tv = { 0, 150000 };
	char buf[64];

	T(setsockopt(fd, SOL_SOCKET, SO_RCVTIMEO, &tv, sizeof(tv)));
	t_peer_ok(t, "text abc");
	T(recv(fd, buf, 10, MSG_WAITALL));
}

ON_BOTH(recv_peek)
{
	int fd = t_connected(t);
	char buf[64];

	t_peer_ok(t, "text abcdef");
	T(recv(fd, buf, 3, MSG_PEEK));
	t_bytes("got", buf, 3);
	(void)t_wait(fd, POLLIN, 1000);
	T(recv(fd, buf, 64, MSG_PEEK));
	T(recv(fd, buf, 2, 0));
	T(recv(fd, buf, 64, MSG_PEEK));
	t_bytes("got", buf, 4);
	T(recv(fd, buf, 64, 0));
	T(recv(fd, buf, 64, MSG_PEEK | MSG_DONTWAIT));
}

ON_BOTH(recv_peek_waitall)
{
	int fd = t_connected(t);
	char buf[64];

	t_peer_ok(t, "text abc");
	t_peer_ok(t, "later 80 text def");
	T(recv(fd, buf, 6, MSG_PEEK | MSG_WAITALL));
	T(recv(fd, buf, 64, 0));
	t_bytes("got", buf, 6);
}

ON_BOTH(recv_trunc)
{
	int fd = t_connected(t);
	char buf[64] = "........";

	t_peer_ok(t, "text abcdef");
	T(recv(fd, buf, 4, MSG_TRUNC));
	t_bytes("buffer", buf, 4);
	T(recv(fd, buf, 64, 0));
	t_bytes("got", buf, 2);
}

ON_BOTH(recv_dontwait)
{
	int fd = t_connected(t);
	char buf[64];

	T(recv(fd, buf, 10, MSG_DONTWAIT));
	t_peer_ok(t, "text abc");
	(void)t_wait(fd, POLLIN, 1000);
	T(recv(fd, buf, 10, MSG_DONTWAIT));
}

ON_BOTH(recv_bad_arguments)
{
	int fd = t_connected(t);
	char buf[64];

	T(recv(fd, buf, 0, 0));
	T(recv(fd, buf, 10, MSG_ERRQUEUE));
	T(recv(fd, buf, 10, MSG_OOB));
	t_peer_ok(t, "text abc");
	(void)t_wait(fd, POLLIN, 1000);
	T(recv(fd, NULL, 3, 0));
	T(recv(fd, buf, 10, 0));
}

ON_BOTH(nonblocking)
{
	int fd = t_connected(t);
	char buf[64];

	t_nonblock(fd);
	T(recv(fd, buf, 10, 0));
	T(read(fd, buf, 10));
	t_peer_ok(t, "text abc");
	t_poll(fd, POLLIN, 1000);
	T(read(fd, buf, 10));
	T(read(fd, buf, 10));
}

ON_BOTH(fill_nonblocking)
{
	int fd, first = 0;
	size_t total = 0;
	ssize_t n;

	t_peer_ok(t, "rcvbuf 4096");
	fd = t_connected(t);
	t_nonblock(fd);
	fill(big, sizeof(big));
	while (total < sizeof(big) * 16 && (n = send(fd, big, 4096, 0)) > 0)
		total += (size_t)n;
	t_say("it filled: %d", total < sizeof(big) * 16);
	for (int i = 0; i < 20 && first == 0; i++) {
		t_sleep_ms(20);
		n = send(fd, big, 4096, 0);
		if (n > 0)
			total += (size_t)n;
		else
			first = errno;
	}
	t_say("errno %s", t_errno(first));
	t_poll(fd, POLLOUT, 0);
	t_peer_ok(t, "later 0 recv 4000000");
	t_poll(fd, POLLOUT, 2000);
	t_say("some went: %d", send(fd, big, 4096, 0) > 0);
}

ON_BOTH(send_blocks_until_room)
{
	int fd;

	t_peer_ok(t, "rcvbuf 4096");
	fd = t_connected(t);
	fill(big, sizeof(big));
	t_peer_ok(t, "later 100 recv 8388608");
	for (int i = 0; i < 8; i++)
		T(send(fd, big, sizeof(big), 0));
}

ON_BOTH(send_timeout)
{
	struct timeval tv = { 0, 150000 };
	size_t total = 0;
	ssize_t n;
	int fd;

	t_peer_ok(t, "rcvbuf 4096");
	fd = t_connected(t);
	T(setsockopt(fd, SOL_SOCKET, SO_SNDTIMEO, &tv, sizeof(tv)));
	while (total < sizeof(big) * 64 && (n = send(fd, big, sizeof(big), 0)) > 0)
		total += (size_t)n;
	t_say("errno %s", t_errno(errno));
}

ON_BOTH(recv_timeout)
{
	int fd = t_connected(t);
	struct timeval tv = { 0, 150000 };
	char buf[8];
	int64_t at;

	T(setsockopt(fd, SOL_SOCKET, SO_RCVTIMEO, &tv, sizeof(tv)));
	at = t_now_ms();
	T(recv(fd, buf, sizeof(buf), 0));
	t_took("recv", at, 140, 400);
	at = t_now_ms();
	T(read(fd, buf, sizeof(buf)));
	t_took("read", at, 140, 400);
}

ON_BOTH(vectors)
{
	int fd = t_connected(t);
	char a[4] = "", b[8] = "";
	struct iovec out[3] = { { (char[]){ "abc" }, 3 }, { NULL, 0 }, { (char[]){ "defgh" }, 5 } };
	struct iovec in[2] = { { a, 4 }, { b, 8 } };

	T(writev(fd, out, 3));
	t_peer(t, "recv 8");
	t_peer_ok(t, "text 0123456789");
	(void)t_wait(fd, POLLIN, 1000);
	T(readv(fd, in, 2));
	t_bytes("a", a, 4);
	t_bytes("b", b, 6);
	T(writev(fd, out, 0));
	T(writev(fd, out, -1));
	T(readv(fd, in, 2000));
}

ON_BOTH(messages)
{
	int fd = t_connected(t);
	char a[4] = "", b[8] = "";
	struct iovec out[2] = { { (char[]){ "abc" }, 3 }, { (char[]){ "defgh" }, 5 } };
	struct iovec in[2] = { { a, 4 }, { b, 8 } };
	struct sockaddr_storage from;
	char control[64];
	struct msghdr m = { .msg_iov = out, .msg_iovlen = 2 };

	T(sendmsg(fd, &m, 0));
	t_peer(t, "recv 8");
	t_peer_ok(t, "text 0123456789");
	(void)t_wait(fd, POLLIN, 1000);
	m = (struct msghdr){ .msg_iov = in,
			     .msg_iovlen = 2,
			     .msg_name = &from,
			     .msg_namelen = sizeof(from),
			     .msg_control = control,
			     .msg_controllen = sizeof(control),
			     .msg_flags = 0x77 };
	T(recvmsg(fd, &m, 0));
	t_say("namelen %u controllen %zu flags %x", m.msg_namelen, m.msg_controllen, m.msg_flags);
	t_bytes("b", b, 6);
}

ON_BOTH(many_messages)
{
	int fd = t_connected(t);
	char a[3][4];
	struct iovec v[3] = { { a[0], 4 }, { a[1], 4 }, { a[2], 4 } };
	struct mmsghdr m[3] = { 0 };

	for (int i = 0; i < 3; i++) {
		memcpy(a[i], "wxyz", 4);
		m[i].msg_hdr.msg_iov = &v[i];
		m[i].msg_hdr.msg_iovlen = 1;
	}
	T(sendmmsg(fd, m, 3, 0));
	t_say("%u %u %u", m[0].msg_len, m[1].msg_len, m[2].msg_len);
	t_peer(t, "recv 12");
	t_peer_ok(t, "text 01234567");
	(void)t_wait(fd, POLLIN, 1000);
	T(recvmmsg(fd, m, 3, MSG_DONTWAIT, NULL));
	t_say("%u %u", m[0].msg_len, m[1].msg_len);
	T(recvmmsg(fd, m, 3, MSG_DONTWAIT, NULL));
}

ON_BOTH(send_more)
{
	int fd = t_connected(t);

	T(send(fd, "abc", 3, MSG_MORE));
	T(send(fd, "def", 3, 0));
	t_peer(t, "recv 6");
	T(send(fd, "abc", 3, MSG_MORE));
	t_peer(t, "recv 3"); /* leaves after a while even so */
}

ON_BOTH(cork)
{
	int fd = t_connected(t), on = 1, off = 0;

	T(setsockopt(fd, IPPROTO_TCP, TCP_CORK, &on, sizeof(on)));
	T(send(fd, "abc", 3, 0));
	T(send(fd, "def", 3, 0));
	T(setsockopt(fd, IPPROTO_TCP, TCP_CORK, &off, sizeof(off)));
	t_peer(t, "recv 6");
}

ON_BOTH(counts)
{
	int fd = t_connected(t), n = -1;
	char buf[4];

	T(ioctl(fd, FIONREAD, &n));
	t_say("%d readable", n);
	t_peer_ok(t, "text abcdef");
	(void)t_wait(fd, POLLIN, 1000);
	T(ioctl(fd, FIONREAD, &n));
	t_say("%d readable", n);
	(void)recv(fd, buf, 4, 0);
	T(ioctl(fd, FIONREAD, &n));
	t_say("%d readable", n);
	T(send(fd, "abc", 3, 0));
	t_peer(t, "recv 3");
	t_sleep_ms(100);
	T(ioctl(fd, TIOCOUTQ, &n));
	t_say("%d not acknowledged", n);
	T(ioctl(fd, 0x12345, &n));
	n = 1;
	T(ioctl(fd, FIONBIO, &n));
	T(fcntl(fd, F_GETFL));
	T(ioctl(fd, FIOCLEX));
	T(fcntl(fd, F_GETFD));
}

ON_BOTH(low_water_mark)
{
	int fd = t_connected(t), mark = 5;
	char buf[16];

	T(setsockopt(fd, SOL_SOCKET, SO_RCVLOWAT, &mark, sizeof(mark)));
	t_peer_ok(t, "text abc");
	t_poll(fd, POLLIN, 100);
	t_peer_ok(t, "later 50 text def");
	t_poll(fd, POLLIN, 1000);
	T(recv(fd, buf, sizeof(buf), 0));
}

ON_BOTH(sendfile_from_a_file)
{
	int fd = t_connected(t), file = fileno(tmpfile());
	off_t off = 100;

	fill(big, 5000);
	(void)!write(file, big, 5000);
	T(sendfile(fd, file, &off, 1000));
	t_say("offset %ld", (long)off);
	t_peer(t, "recv 1000");
	(void)lseek(file, 4900, SEEK_SET);
	T(sendfile(fd, file, NULL, 1000));
	T(lseek(file, 0, SEEK_CUR));
	t_peer(t, "recv 100");
	T(sendfile(fd, file, NULL, 1000));
	T(sendfile(file, fd, NULL, 10));
}

ON_BOTH(splice_through_a_pipe)
{
	int fd = t_connected(t), p[2];
	char buf[16];

	(void)!pipe(p);
	t_peer_ok(t, "text abcdef");
	(void)t_wait(fd, POLLIN, 1000);
	T(splice(fd, NULL, p[1], NULL, 100, 0));
	T(read(p[0], buf, sizeof(buf)));
	(void)!write(p[1], "xyz", 3);
	T(splice(p[0], NULL, fd, NULL, 3, 0));
	t_peer(t, "recv 3");
	T(splice(fd, NULL, p[1], NULL, 100, SPLICE_F_NONBLOCK));
	t_peer_ok(t, "close");
	(void)t_wait(fd, POLLIN, 1000);
	T(splice(fd, NULL, p[1], NULL, 100, 0));
}

ON_BOTH(stdio)
{
	int fd = t_connected(t);
	FILE *f = fdopen(fd, "r+");
	char line[64];

	t_say("open %d, same number %d", f != NULL, f != NULL && fileno(f) == fd);
	T(fputs("hello\n", f) >= 0);
	T(fflush(f));
	t_peer(t, "recv 6");
	t_peer_ok(t, "send 3");
	t_peer_ok(t, "close");
	t_say("%s", fgets(line, sizeof(line), f) ? line : "nothing");
	t_say("eof %d", feof(f) != 0 || fgets(line, sizeof(line), f) == NULL);
	T(fclose(f));
	T(fcntl(fd, F_GETFD));
}

ON_BOTH(dprintf_to_a_socket)
{
	int fd = t_connected(t);

	T(dprintf(fd, "%d and %s\n", 42, "more"));
	t_peer(t, "recv 12");
}

ON_BOTH(positioned_calls)
{
	int fd = t_connected(t);
	char buf[8];

	T(pread(fd, buf, 8, 0));
	T(pwrite(fd, "x", 1, 0));
	T(lseek(fd, 0, SEEK_END));
}

ON_BOTH(urgent_data)
{
	int fd = t_connected(t), n = -1;
	char buf[16];

	t_peer_ok(t, "text abc");
	t_peer_ok(t, "oob X");
	t_peer_ok(t, "text def");
	t_sleep_ms(100);
	t_poll(fd, POLLIN | POLLPRI, 1000);
	T(ioctl(fd, SIOCATMARK, &n));
	t_say("at mark %d", n);
	T(recv(fd, buf, sizeof(buf), 0));
	t_bytes("got", buf, 3);
	T(ioctl(fd, SIOCATMARK, &n));
	t_say("at mark %d", n);
	T(recv(fd, buf, 1, MSG_OOB));
	t_bytes("urgent", buf, 1);
	T(recv(fd, buf, 1, MSG_OOB));
	T(recv(fd, buf, sizeof(buf), 0));
	t_bytes("got", buf, 3);
	T(ioctl(fd, SIOCATMARK, &n));
	t_say("at mark %d", n);
	t_poll(fd, POLLIN | POLLPRI, 0);
}

ON_BOTH(urgent_inline)
{
	int fd = t_connected(t), on = 1, n = -1;
	char buf[16];

	T(setsockopt(fd, SOL_SOCKET, SO_OOBINLINE, &on, sizeof(on)));
	t_peer_ok(t, "text abc");
	t_peer_ok(t, "oob X");
	t_peer_ok(t, "text def");
	t_sleep_ms(100);
	T(recv(fd, buf, sizeof(buf), 0));
	T(ioctl(fd, SIOCATMARK, &n));
	t_say("at mark %d", n);
	T(recv(fd, buf, 1, MSG_OOB));
	T(recv(fd, buf, sizeof(buf), 0));
	t_bytes("got", buf, 4);
}

ON_BOTH(urgent_send)
{
	int fd = t_connected(t);

	T(send(fd, "abc", 3, 0));
	T(send(fd, "X", 1, MSG_OOB));
	T(send(fd, "def", 3, 0));
	t_peer(t, "recv 3");
	t_peer(t, "recv 3");
}

ON_BOTH(quickack_and_others)
{
	int fd = t_connected(t), v = 1;
	struct tcp_info info = { 0 };
	socklen_t len = sizeof(info);

	T(setsockopt(fd, IPPROTO_TCP, TCP_QUICKACK, &v, sizeof(v)));
	T(setsockopt(fd, IPPROTO_TCP, TCP_NODELAY, &v, sizeof(v)));
	T(getsockopt(fd, IPPROTO_TCP, TCP_INFO, &info, &len));
	t_say("state %u, has rtt %d, mss %d, cwnd %d", info.tcpi_state, info.tcpi_rtt > 0,
	      info.tcpi_snd_mss > 500, info.tcpi_snd_cwnd > 0);
	len = sizeof(v);
	T(getsockopt(fd, IPPROTO_TCP, TCP_MAXSEG, &v, &len));
	t_say("mss is sane: %d", v > 500 && v < 1500);
	T(getsockopt(fd, SOL_SOCKET, SO_INCOMING_CPU, &v, &len));
	T(getsockopt(fd, SOL_SOCKET, SO_PEERCRED, &v, &len));
}

ON_BOTH(syscall_function)
{
	int fd = t_connected(t);
	char buf[8];

	T(syscall(1 /* write */, fd, "abc", 3L));
	t_peer(t, "recv 3");
	t_peer_ok(t, "text abc");
	T(syscall(0 /* read */, fd, buf, 8L));
	T(syscall(44 /* sendto */, fd, "de", 2L, 0L, NULL, 0L));
	t_peer(t, "recv 2");
	T(syscall(3 /* close */, fd));
	t_peer(t, "recv_eof");
}

ON_BOTH(sigio_is_settable)
{
	int fd = t_connected(t);

	T(fcntl(fd, F_SETOWN, getpid()));
	t_say("owner is me: %d", fcntl(fd, F_GETOWN) == getpid());
}
