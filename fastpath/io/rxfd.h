/* SPDX-License-Identifier: Apache-2.0 */
/*
 * rxfd.h - find the descriptors that a DPDK driver keeps to itself.
 *
 * Idea:    the drivers over kernel interfaces hold a pollable descriptor per receive queue but have
 *          no call to tell it. What a driver opened is the difference between two looks at the
 *          process' descriptors, narrowed to the kind that the driver uses.
 * Use:     mg_rxfd_mark(); let the driver open; mg_rxfd_since().
 * Threads: the caller's; other threads may open descriptors meanwhile, but not of the same kind.
 * Memory:  the caller's mark (8 KiB).
 */
#ifndef MG_IO_RXFD_H
#define MG_IO_RXFD_H

#include <stddef.h>
#include <stdint.h>

#define MG_RXFD_MAX 65536 /* descriptors above are not looked at */

enum mg_rxfd_kind {
	MG_RXFD_NONE,
	MG_RXFD_PACKET, /* AF_PACKET socket */
	MG_RXFD_XDP,    /* AF_XDP socket */
	MG_RXFD_TUN,    /* /dev/net/tun */
};

struct mg_rxfd_mark {
	uint64_t open[MG_RXFD_MAX / 64];
};

/* Remember what is open now. */
int mg_rxfd_mark(struct mg_rxfd_mark *mark);

/* Descriptors of a kind opened since the mark, ascending; returns how many, at most max. */
size_t mg_rxfd_since(const struct mg_rxfd_mark *mark, enum mg_rxfd_kind kind, int *ret_fds,
		     size_t max);

#endif
