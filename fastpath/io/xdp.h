/* SPDX-License-Identifier: Apache-2.0 */
/*
 * xdp.h - the XDP program in front of an AF_XDP port.
 *
 * Idea:    an XDP socket gets packets only if a program on the interface redirects them. DPDK's
 *          driver attaches one for good: after a crash the interface stays deaf. We attach the same
 *          program first, by a bpf_link: the kernel detaches it when this process ends, however it
 *          ends, and the driver finds it in place and uses it.
 * Use:     mg_xdp_attach() before the driver opens the interface, mg_xdp_detach() after it closed.
 * Threads: one.
 * Memory:  a small object; the program and its map are the kernel's.
 */
#ifndef MG_IO_XDP_H
#define MG_IO_XDP_H

#include <stddef.h>

struct mg_xdp;

/*
 * Also removes the program that a dead AF_XDP user left on the interface. -EBUSY: another program is
 * attached (err names it). *ret_xdp may be NULL with 0: then the driver has to bring its own program.
 */
int mg_xdp_attach(const char *interface, unsigned int ifindex, unsigned int nr_queues,
		  struct mg_xdp **ret_xdp, char *err, size_t errlen);

/* NULL is fine. Removes whatever AF_XDP program the driver may have attached itself, too. */
void mg_xdp_detach(struct mg_xdp *xdp, unsigned int ifindex);

#endif
