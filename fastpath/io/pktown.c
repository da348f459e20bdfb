/* SPDX-License-Identifier: Apache-2.0 */
/*
 * pktown.c - see pktown.h.
 */
#include "fastpath/io/pktown.h"

#include <linux/bpf.h>
#include <stddef.h>
#include <stdlib.h>
#include <unistd.h>

#include <bpf/bpf.h>

#define ATTACH_TCX_INGRESS 46 /* BPF_TCX_INGRESS, newer than Debian 12's headers */
#define TCX_DROP 2

struct mg_pktown {
	int prog, link;
};

static int load(void)
{
	const struct bpf_insn drop[] = {
		{ .code = BPF_ALU64 | BPF_MOV | BPF_K, .dst_reg = BPF_REG_0, .imm = TCX_DROP },
		{ .code = BPF_JMP | BPF_EXIT },
	};

	return bpf_prog_load(BPF_PROG_TYPE_SCHED_CLS, "mango_own", "Dual BSD/GPL", drop,
			     sizeof(drop) / sizeof(drop[0]), NULL);
}

struct mg_pktown *mg_pktown_new(unsigned int ifindex)
{
	struct mg_pktown *own = calloc(1, sizeof(*own));

	if (own == NULL)
		return NULL;
	own->prog = load();
	own->link = -1;
	if (own->prog >= 0)
		own->link = bpf_link_create(own->prog, (int)ifindex,
					    (enum bpf_attach_type)ATTACH_TCX_INGRESS, NULL);
	if (own->link < 0) {
		mg_pktown_free(own);
		return NULL;
	}
	return own;
}

void mg_pktown_free(struct mg_pktown *own)
{
	if (own == NULL)
		return;
	if (own->link >= 0)
		close(own->link);
	if (own->prog >= 0)
		close(own->prog);
	free(own);
}
