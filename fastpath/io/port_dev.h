/* SPDX-License-Identifier: Apache-2.0 */
/*
 * port_dev.h - which DPDK device a port's configuration means.
 *
 * Idea:    one place knows the drivers' names, their arguments and their habits; port_dpdk.c is the
 *          same for all of them.
 * Use:     mg_port_dev_check() before anything is touched; mg_port_dev_name() for the device.
 * Threads: one.
 * Memory:  the caller's.
 */
#ifndef MG_IO_PORT_DEV_H
#define MG_IO_PORT_DEV_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "fastpath/io/netif.h"
#include "fastpath/io/port.h"
#include "fastpath/io/rxfd.h"

#define MG_PORT_DEV_NAME_BYTES 64
#define MG_PORT_DEV_ARGS_BYTES 256

/* What is known of a driver, found by the name that DPDK gives it. */
struct mg_port_traits {
	const char *dpdk_name;
	const char *library; /* the package to install when it is missing */
	enum mg_rxfd_kind fd_kind;
	uint16_t ring_size; /* descriptors per ring */
	uint16_t rings;     /* rings that can hold buffers at once */
	bool software;      /* offloads that it names are done by the CPU: leave them */
};

const struct mg_port_traits *mg_port_traits_of(const char *dpdk_name);

/* Right and there? Fills the interface (zero when the port has none) and the queue count. */
int mg_port_dev_check(const struct mg_port_conf *conf, struct mg_netif *ret_netif,
		      uint16_t *ret_nr_queues, char *err, size_t errlen);

/* The device's name and arguments; a PCI device has no arguments. */
int mg_port_dev_name(const struct mg_port_conf *conf, uint16_t nr_queues, uint16_t mtu, char *name,
		     char *args);

#endif
