/* SPDX-License-Identifier: Apache-2.0 */
/*
 * real.h - libc's own functions behind ours.
 *
 * Idea:    the definitions of this library hide libc's; dlsym(RTLD_NEXT) finds the next ones, all at once, when
 *          the first is needed (by our constructor, or by somebody else's that runs before). dlsym() allocates
 *          nothing when it finds what it looks for, and all of libc's functions exist.
 * Use:     MG_REAL(read)(fd, buf, n).
 * Threads: any; the table is written once before `ready`, and twice at worst with the same values.
 */
#ifndef MG_PRELOAD_REAL_H
#define MG_PRELOAD_REAL_H
#include <fcntl.h>
#include <poll.h>
#include <signal.h>
#include <spawn.h>
#include <stdatomic.h>
#include <stdbool.h>
#include <stdio.h>
#include <sys/epoll.h>
#include <sys/ioctl.h>
#include <sys/prctl.h>
#include <sys/select.h>
#include <sys/sendfile.h>
#include <sys/socket.h>
#include <sys/types.h>
#include <sys/uio.h>
#include <unistd.h>

#include "proto/base/bits.h"

/* fortified forms, which no header declares */
ssize_t __read_chk(int fd, void *buf, size_t nbytes, size_t buflen);
ssize_t __recv_chk(int fd, void *buf, size_t len, size_t buflen, int flags);
ssize_t __recvfrom_chk(int fd, void *buf, size_t len, size_t buflen, int flags,
		       struct sockaddr *addr, socklen_t *addrlen);
int __poll_chk(struct pollfd *fds, nfds_t n, int timeout, size_t fdslen);
int __ppoll_chk(struct pollfd *fds, nfds_t n, const struct timespec *timeout,
		const sigset_t *sigmask, size_t fdslen);

struct mg_real {
#define MG_REAL_NAME(name) __typeof__(&name) name;
#include "libclient/preload/real.def"
#undef MG_REAL_NAME
	_Atomic bool ready;
};
extern struct mg_real mg_real;
const struct mg_real *mg_real_find(void);

static inline const struct mg_real *mg_real_table(void)
{
	/* acquire: pairs with the release in mg_real_find() */
	if (mg_likely(atomic_load_explicit(&mg_real.ready, memory_order_acquire)))
		return &mg_real;
	return mg_real_find();
}

#define MG_REAL(name) (mg_real_table()->name)
/* What the program sees and links to. */
#define MG_EXPORT __attribute__((visibility("default")))
#endif
