/* SPDX-License-Identifier: Apache-2.0 */
/* isn.c - see isn.h. */
#include "slowpath/core/isn.h"

#define ISN_TICK_NS 4000

uint64_t mg_isn_hash(const struct mg_siphash_key *key, enum mg_isn_use use,
		     const struct mg_tuple *tuple, uint64_t salt)
{
	struct {
		uint64_t salt;
		uint32_t use;
		struct mg_tuple tuple;
	} in;

	memset(&in, 0, sizeof(in));
	in.salt = salt;
	in.use = use;
	in.tuple = *tuple;
	return mg_siphash24(key, &in, sizeof(in));
}

uint32_t mg_isn_make(const struct mg_siphash_key *key, const struct mg_tuple *tuple,
		     uint64_t now_ns)
{
	return (uint32_t)(now_ns / ISN_TICK_NS) + (uint32_t)mg_isn_hash(key, MG_ISN_SEQ, tuple, 0);
}

uint32_t mg_isn_ts_offset(const struct mg_siphash_key *key, const struct mg_tuple *tuple)
{
	return (uint32_t)mg_isn_hash(key, MG_ISN_TS_OFFSET, tuple, 0);
}
