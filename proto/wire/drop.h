/* SPDX-License-Identifier: Apache-2.0 */
/*
 * drop.h - the reasons for discarding a packet, as an enum and as a table for counters and help.
 *
 * Idea:    drop.def is the list. Parse functions return 0 or the negative of an enum mg_drop; whoever owns
 *          the packet counts it.
 * Threads: constants.
 */
#ifndef MG_DROP_H
#define MG_DROP_H

enum mg_drop {
	MG_DROP_NONE = 0,
#define MG_DROP_X(name, counter, severity, help) MG_DROP_##name,
#include "proto/wire/drop.def"
#undef MG_DROP_X
	MG_DROP_NR
};

enum mg_drop_severity { MG_DROP_INFO, MG_DROP_WARN, MG_DROP_ERROR };

struct mg_drop_info {
	const char *name; /* of the counter and the metric */
	const char *help;
	enum mg_drop_severity severity;
};

/* drop < MG_DROP_NR */
const struct mg_drop_info *mg_drop_info(enum mg_drop drop);
#endif
