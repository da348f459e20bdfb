/* SPDX-License-Identifier: Apache-2.0 */
/*
 * drop.c - the table made from drop.def.
 */
#include "proto/wire/drop.h"

#include "proto/base/assert.h"

static const struct mg_drop_info infos[MG_DROP_NR] = {
	[MG_DROP_NONE] = { .name = "none", .help = "not dropped", .severity = MG_DROP_INFO },
#define MG_DROP_X(drop, counter, sev, text) \
	[MG_DROP_##drop] = { .name = counter, .help = text, .severity = MG_DROP_##sev },
#include "proto/wire/drop.def"
#undef MG_DROP_X
};

const struct mg_drop_info *mg_drop_info(enum mg_drop drop)
{
	MG_ASSERT((unsigned int)drop < MG_DROP_NR);
	return &infos[drop];
}
