/* SPDX-License-Identifier: Apache-2.0 */
/*
 * query.h - questions about connections and listeners, and options.
 *
 * Idea:    what the slow path knows is answered at once; what only the worker knows (windows, round trips,
 *          byte counts) is asked by MG_CMD_REPORT for a whole page, and the reply leaves when all reports
 *          are in, or after a moment with what there is. One question runs at a time, a few wait.
 * Threads: the slow path.
 */
#ifndef MG_QUERY_H
#define MG_QUERY_H
#include <stdbool.h>
#include <stdint.h>

#include "slowpath/core/slow.h"

#define MG_QUERY_WAITING_MAX 16
#define MG_QUERY_REPORTS_MAX 1024

struct mg_conn;

struct mg_query_report {
	uint32_t conn;
	uint32_t gen;
	struct mg_ctl_conn_info *info; /* where the answer goes; NULL: answered */
};

struct mg_queries {
	struct mg_slow_req waiting[MG_QUERY_WAITING_MAX];
	uint32_t first;
	uint32_t nr_waiting;
	struct mg_slow_req running; /* type 0: none */
	uint32_t nr_reports;
	uint32_t nr_missing;
	struct mg_query_report reports[MG_QUERY_REPORTS_MAX];
};

/* CONNECTIONS and GET_OPTION. */
void mg_query_ask(struct mg_slow *s, const struct mg_slow_req *req);
void mg_query_report(struct mg_slow *s, const struct mg_conn *c, const struct mg_ev_removed *ev);
/* The connection's flow ends: nobody will report. */
void mg_query_forget(struct mg_slow *s, const struct mg_conn *c);
void mg_query_timer(struct mg_slow *s);
void mg_query_listeners(struct mg_slow *s, const struct mg_slow_req *req);
void mg_query_stats(struct mg_slow *s, struct mg_ctl_msg *msg);
/* One item of GET_OPTION but MG_CTL_OPT_INFO. */
void mg_option_get(struct mg_slow *s, struct mg_conn *c, struct mg_ctl_opt *opt);
/* One item of SET_OPTION; returns 0 or -errno. */
int mg_option_set(struct mg_slow *s, struct mg_conn *c, const struct mg_ctl_opt *opt);
/* A request about no connection; -ENOTCONN unless it is one that needs none. */
int mg_option_none(const struct mg_slow *s, struct mg_ctl_opt *opt, bool set);
#endif
