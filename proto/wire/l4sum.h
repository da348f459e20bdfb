/* SPDX-License-Identifier: Apache-2.0 */
/*
 * l4sum.h - the sum over what an IP packet carries, buffer by buffer. Private to proto/wire.
 *
 * Threads: pure function.
 */
#ifndef MG_L4SUM_H
#define MG_L4SUM_H
#include <stdint.h>

#include "proto/wire/ip.h"

/* sum + the ip->l4_len bytes after the IP header. */
uint64_t mg_l4_sum(uint64_t sum, const struct mg_ip_view *ip);
#endif
