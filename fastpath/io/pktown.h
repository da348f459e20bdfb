/* SPDX-License-Identifier: Apache-2.0 */
/*
 * pktown.h - keeps what arrives at an interface from the kernel's own stack.
 *
 * Idea:    packet sockets see a copy; the kernel goes on with the frame, looks for a route and drops it, on the
 *          core of the sender. A program of two instructions at the interface's ingress drops it right behind
 *          the sockets. It hangs on a descriptor, so it goes when the daemon does. Kernels before 6.6 cannot:
 *          there the kernel goes on as it always did, and only costs time.
 * Use:     mg_pktown_new(); mg_pktown_free().
 * Threads: one.
 */
#ifndef MG_IO_PKTOWN_H
#define MG_IO_PKTOWN_H

struct mg_pktown;

/* NULL: this kernel cannot, or we may not. */
struct mg_pktown *mg_pktown_new(unsigned int ifindex);
void mg_pktown_free(struct mg_pktown *own);

#endif
