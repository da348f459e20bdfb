/* SPDX-License-Identifier: Apache-2.0 */
/*
 * wintab.h - from an application's window to its flow.
 *
 * Idea:    a chained hash over (application slot, window index), as large as there may be flows. The window
 *          index is the application's word: it is only a key here, the flow's own copy decides.
 * Threads: one worker.
 */
#ifndef MG_WINTAB_H
#define MG_WINTAB_H
#include "fastpath/core/engine.h"

static inline uint32_t *mg_wintab_chain(struct mg_fp *fp, uint32_t app_slot, uint32_t window)
{
	return &fp->win_heads[(window + app_slot * 0x9e3779b1u) & fp->win_mask];
}

static inline struct mg_flow *mg_wintab_find(struct mg_fp *fp, uint32_t app_slot, uint32_t window)
{
	for (uint32_t i = *mg_wintab_chain(fp, app_slot, window); i != 0;
	     i = fp->flows[i - 1].win_next) {
		struct mg_flow *f = &fp->flows[i - 1];

		if (f->window == window && f->app_slot == app_slot)
			return f;
	}
	return NULL;
}

static inline void mg_wintab_insert(struct mg_fp *fp, struct mg_flow *f)
{
	uint32_t *chain = mg_wintab_chain(fp, f->app_slot, f->window);

	f->win_next = *chain;
	*chain = mg_fp_local(fp, f) + 1;
}

static inline void mg_wintab_remove(struct mg_fp *fp, struct mg_flow *f)
{
	uint32_t *link = mg_wintab_chain(fp, f->app_slot, f->window);

	while (*link != 0 && *link != mg_fp_local(fp, f) + 1)
		link = &fp->flows[*link - 1].win_next;
	MG_ASSERT(*link != 0);
	*link = f->win_next;
}
#endif
