/* SPDX-License-Identifier: Apache-2.0 */
/*
 * iov.h - a call's pieces of memory: how much they are, and what is left of them.
 *
 * Threads: plain values.
 */
#ifndef MG_IOV_H
#define MG_IOV_H
#include <stdint.h>
#include <sys/uio.h>

static inline uint64_t mg_iov_bytes(const struct iovec *iov, int nr)
{
	uint64_t bytes = 0;

	for (int i = 0; i < nr; i++)
		bytes += iov[i].iov_len;
	return bytes;
}

/* What is left of the pieces after `skip` bytes, as many as fit into out[max]; returns how many. */
static inline int mg_iov_rest(const struct iovec *iov, int nr, uint64_t skip, struct iovec *out,
			      int max)
{
	int n = 0;

	for (int i = 0; i < nr && n < max; i++) {
		if (skip >= iov[i].iov_len) {
			skip -= iov[i].iov_len;
			continue;
		}
		out[n].iov_base = (char *)iov[i].iov_base + skip;
		out[n].iov_len = iov[i].iov_len - skip;
		skip = 0;
		n++;
	}
	return n;
}
#endif
