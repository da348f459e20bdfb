/* SPDX-License-Identifier: Apache-2.0 */
/*
 * eal.h - DPDK's environment, made to live inside a daemon.
 *
 * Idea:    DPDK's start-up expects a command line, talks to stderr and syslog, pins its caller and
 *          leaves files behind. Here it takes a struct, logs through a function of the caller,
 *          leaves the caller's CPU affinity alone, and shares nothing with other processes.
 *          Hugepages are used when asked for and there; ordinary memory always works.
 * Use:     mg_eal_init() once per process (DPDK's own rule; a second call returns -EALREADY), ports,
 *          mg_eal_cleanup(). A thread that handles packets calls mg_eal_thread_enter() first, so that
 *          it has a buffer cache of its own.
 * Threads: init and cleanup from one thread; the log function is called from any.
 * Memory:  DPDK takes mem_mib of address space at init; pages are touched when pools are made.
 */
#ifndef MG_IO_EAL_H
#define MG_IO_EAL_H

#include <stdbool.h>
#include <stddef.h>

enum mg_eal_hugepages {
	MG_EAL_HUGEPAGES_AUTO, /* when enough are free */
	MG_EAL_HUGEPAGES_ON,   /* or fail */
	MG_EAL_HUGEPAGES_OFF,
};

enum mg_eal_log_level {
	MG_EAL_LOG_ERROR,
	MG_EAL_LOG_WARNING,
	MG_EAL_LOG_DEBUG, /* DPDK's notice and below: of interest when looking for a fault */
};

/* One line of DPDK, without the newline. */
typedef void mg_eal_log_fn(void *ctx, enum mg_eal_log_level level, const char *line);

struct mg_eal_conf {
	const char *instance; /* names what DPDK keeps; default "mango" */
	enum mg_eal_hugepages hugepages;
	unsigned int mem_mib;   /* 0: 256 */
	const char *const *pci; /* addresses that may be used, of devices bound to vfio */
	size_t nr_pci;
	mg_eal_log_fn *log; /* NULL: silent */
	void *log_ctx;
};

/* 0 or -errno with one line in err. */
int mg_eal_init(const struct mg_eal_conf *conf, char *err, size_t errlen);
void mg_eal_cleanup(void);

/* Does the running environment use hugepages? */
bool mg_eal_has_hugepages(void);

/* -EAGAIN: more threads than DPDK was built for. */
int mg_eal_thread_enter(void);
void mg_eal_thread_leave(void);

#endif
