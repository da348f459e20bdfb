/* SPDX-License-Identifier: Apache-2.0 */
/*
 * eal.c - see eal.h.
 *
 * The arguments that matter: `--in-memory` (no files at all) excludes `--no-huge` in 22.11, where
 * `--no-shconf` keeps the run directory out of the way instead. `--lcores 0@CPU` starts no threads of
 * DPDK's beside its service threads: our workers are threads of ours that register themselves.
 */
#include "fastpath/io/eal.h"

#include <errno.h>
#include <pthread.h>
#include <sched.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>

#include <rte_eal.h>
#include <rte_errno.h>
#include <rte_lcore.h>
#include <rte_log.h>

#include "fastpath/io/errtext.h"

#define EAL_MEM_MIB_DEFAULT 256
#define EAL_ARGS_MAX 64
#define EAL_ARG_BYTES 64

/* The log stream's state; lives as long as DPDK's stream, is freed with it. */
struct log_sink {
	mg_eal_log_fn *fn;
	void *ctx;
};

struct args {
	int argc;
	char *argv[EAL_ARGS_MAX + 1];
	char text[EAL_ARGS_MAX][EAL_ARG_BYTES];
};

/* ---- log ------------------------------------------------------------------------------------- */

static enum mg_eal_log_level level_of(int dpdk_level)
{
	if (dpdk_level <= (int)RTE_LOG_ERR)
		return MG_EAL_LOG_ERROR;
	if (dpdk_level == (int)RTE_LOG_WARNING)
		return MG_EAL_LOG_WARNING;
	return MG_EAL_LOG_DEBUG;
}

static ssize_t sink_write(void *cookie, const char *buf, size_t len)
{
	const struct log_sink *sink = cookie;
	char line[512];
	size_t n = len < sizeof(line) - 1 ? len : sizeof(line) - 1;

	if (sink->fn == NULL)
		return (ssize_t)len;
	memcpy(line, buf, n);
	while (n > 0 && (line[n - 1] == '\n' || line[n - 1] == ' '))
		n--;
	line[n] = '\0';
	if (n > 0)
		sink->fn(sink->ctx, level_of(rte_log_cur_msg_loglevel()), line);
	return (ssize_t)len;
}

static int sink_close(void *cookie)
{
	free(cookie);
	return 0;
}

static int open_log(const struct mg_eal_conf *conf)
{
	const cookie_io_functions_t io = { .write = sink_write, .close = sink_close };
	struct log_sink *sink = calloc(1, sizeof(*sink));
	FILE *stream;

	if (sink == NULL)
		return -ENOMEM;
	sink->fn = conf->log;
	sink->ctx = conf->log_ctx;
	stream = fopencookie(sink, "w", io);
	if (stream == NULL) {
		free(sink);
		return -ENOMEM;
	}
	(void)rte_openlog_stream(stream); /* cannot fail in 22.11 */
	return 0;
}

static void close_log(void)
{
	FILE *stream = rte_log_get_stream();

	(void)rte_openlog_stream(NULL);
	if (stream != NULL && stream != stderr)
		(void)fclose(stream); /* a sink of ours: nothing to lose */
}

/* ---- memory ---------------------------------------------------------------------------------- */

/* Try it: counting free pages would miss reservations and cgroup limits. */
static bool hugepages_free(size_t bytes)
{
	void *p = mmap(NULL, bytes, PROT_READ | PROT_WRITE,
		       MAP_PRIVATE | MAP_ANONYMOUS | MAP_HUGETLB, -1, 0);

	if (p == MAP_FAILED)
		return false;
	(void)munmap(p, bytes);
	return true;
}

static int choose_memory(const struct mg_eal_conf *conf, unsigned int mib, bool *ret_huge,
			 char *err, size_t errlen)
{
	bool there;

	*ret_huge = false;
	if (conf->hugepages == MG_EAL_HUGEPAGES_OFF)
		return 0;
	there = hugepages_free((size_t)mib << 20);
	if (!there && conf->hugepages == MG_EAL_HUGEPAGES_ON)
		return mg_errtext(err, errlen, -ENOMEM,
				  "hugepages: %u MiB are not free; reserve them (sysctl "
				  "vm.nr_hugepages=%u) or set hugepages: auto",
				  mib, mib / 2);
	*ret_huge = there;
	return 0;
}

/* ---- start ----------------------------------------------------------------------------------- */

__attribute__((format(printf, 2, 3))) static void add_arg(struct args *a, const char *fmt, ...)
{
	va_list ap;

	if (a->argc == EAL_ARGS_MAX)
		return;
	va_start(ap, fmt);
	(void)vsnprintf(a->text[a->argc], EAL_ARG_BYTES, fmt, ap);
	va_end(ap);
	a->argv[a->argc] = a->text[a->argc];
	a->argc++;
	a->argv[a->argc] = NULL;
}

/* A CPU that this process may run on; DPDK refuses others. */
static unsigned int allowed_cpu(const cpu_set_t *set)
{
	for (unsigned int cpu = 0; cpu < CPU_SETSIZE; cpu++)
		if (CPU_ISSET(cpu, set))
			return cpu;
	return 0;
}

static void build_args(struct args *a, const struct mg_eal_conf *conf, unsigned int mib, bool huge,
		       unsigned int cpu)
{
	a->argc = 0;
	add_arg(a, "mango");
	add_arg(a, "--lcores=0@%u", cpu);
	add_arg(a, "--file-prefix=%s-%d", conf->instance != NULL ? conf->instance : "mango",
		(int)getpid());
	add_arg(a, "--no-telemetry");
	add_arg(a, "--log-level=lib.*:warning");
	add_arg(a, "--log-level=pmd.*:warning");
	/* Its words about a kernel without the multiq scheduler would sound like errors. */
	add_arg(a, "--log-level=pmd.net.tap:critical");
	add_arg(a, "-m");
	add_arg(a, "%u", mib);
	if (huge) {
		add_arg(a, "--in-memory");
	} else {
		add_arg(a, "--no-huge");
		add_arg(a, "--no-shconf");
	}
	if (conf->nr_pci == 0)
		add_arg(a, "--no-pci");
	for (size_t i = 0; i < conf->nr_pci; i++) {
		add_arg(a, "-a");
		add_arg(a, "%s", conf->pci[i]);
	}
}

static int explain(int code, unsigned int mib, char *err, size_t errlen)
{
	switch (code) {
	case -EALREADY:
		return mg_errtext(err, errlen, code, "DPDK: already started in this process");
	case -ENOMEM:
		return mg_errtext(err, errlen, code,
				  "DPDK: cannot take %u MiB of memory; lower "
				  "memory.dpdk_mib or free some",
				  mib);
	case -EACCES:
	case -EPERM:
		return mg_errtext(err, errlen, code,
				  "DPDK: not permitted; run as root or with "
				  "CAP_NET_ADMIN, CAP_NET_RAW, CAP_IPC_LOCK and CAP_BPF");
	default:
		return mg_errtext(err, errlen, code, "DPDK: cannot start: %s", strerror(-code));
	}
}

int mg_eal_init(const struct mg_eal_conf *conf, char *err, size_t errlen)
{
	unsigned int mib = conf->mem_mib != 0 ? conf->mem_mib : EAL_MEM_MIB_DEFAULT;
	struct args args;
	cpu_set_t saved;
	bool huge;
	int rc;

	rc = choose_memory(conf, mib, &huge, err, errlen);
	if (rc < 0)
		return rc;
	rc = open_log(conf);
	if (rc < 0)
		return explain(rc, mib, err, errlen);
	rte_log_set_global_level(conf->log != NULL ? RTE_LOG_NOTICE : RTE_LOG_WARNING);

	(void)pthread_getaffinity_np(pthread_self(), sizeof(saved), &saved);
	build_args(&args, conf, mib, huge, allowed_cpu(&saved));
	rc = rte_eal_init(args.argc, args.argv) < 0 ? -rte_errno : 0;
	(void)pthread_setaffinity_np(pthread_self(), sizeof(saved), &saved);

	if (rc < 0) {
		close_log();
		return explain(rc, mib, err, errlen);
	}
	/* Its run directory stays empty; nobody removes it for us, not even after a clean end. */
	(void)rmdir(rte_eal_get_runtime_dir());
	return 0;
}

void mg_eal_cleanup(void)
{
	(void)rte_eal_cleanup(); /* nothing to do about a failure at the end */
	close_log();
}

bool mg_eal_has_hugepages(void)
{
	return rte_eal_has_hugepages() != 0;
}

int mg_eal_thread_enter(void)
{
	return rte_thread_register() < 0 ? -EAGAIN : 0;
}

void mg_eal_thread_leave(void)
{
	rte_thread_unregister();
}
