/* SPDX-License-Identifier: Apache-2.0 */
/* ports.c - see ports.h. */
#include "slowpath/core/ports.h"

#include <errno.h>

#include "slowpath/core/engine.h"
#include "slowpath/core/isn.h"

static uint32_t range_of(const struct mg_slow *s)
{
	return (uint32_t)s->conf.ephemeral_last - s->conf.ephemeral_first + 1;
}

/* May this port be taken? Gives up a reusable TIME-WAIT entry when asked to. */
static bool take(struct mg_slow *s, const struct mg_tuple *tuple, bool reuse)
{
	uint32_t ref;

	if (mg_listener_has_port(s, tuple->lport))
		return false;
	ref = mg_tuples_find(&s->tuples, tuple);
	if (ref == MG_TUPLES_NONE)
		return true;
	if (!reuse || mg_tuples_kind(ref) != MG_TUPLES_TIMEWAIT ||
	    !mg_timewait_may_reuse(s, mg_tuples_index(ref)))
		return false;
	s->stats.time_wait_reused++;
	mg_timewait_drop(s, mg_tuples_index(ref));
	return true;
}

int mg_ports_pick(struct mg_slow *s, struct mg_tuple *tuple)
{
	uint32_t range = range_of(s);
	uint32_t offset, *counter;

	if (s->conf.ephemeral_last < s->conf.ephemeral_first)
		return -EADDRNOTAVAIL;
	tuple->lport = 0;
	offset = (uint32_t)mg_isn_hash(&s->key, MG_ISN_PORT_OFFSET, tuple, 0);
	counter = &s->port_counters[mg_isn_hash(&s->key, MG_ISN_PORT_INDEX, tuple, 0) %
				    MG_PORTS_COUNTERS];
	for (int reuse = 0; reuse < 2; reuse++) {
		for (uint32_t i = 0; i < range; i++) {
			tuple->lport = (uint16_t)(s->conf.ephemeral_first +
						  (offset + (*counter)++) % range);
			if (take(s, tuple, reuse != 0))
				return 0;
		}
	}
	tuple->lport = 0;
	return -EADDRNOTAVAIL;
}

int mg_ports_pick_listen(struct mg_slow *s, uint16_t *ret_port)
{
	uint32_t range = range_of(s);
	uint32_t start;

	if (s->conf.ephemeral_last < s->conf.ephemeral_first)
		return -EADDRINUSE;
	start = mg_rng_below(&s->rng, range);
	for (uint32_t i = 0; i < range; i++) {
		uint16_t port = (uint16_t)(s->conf.ephemeral_first + (start + i) % range);

		if (!mg_listener_has_port(s, port)) {
			*ret_port = port;
			return 0;
		}
	}
	return -EADDRINUSE;
}
