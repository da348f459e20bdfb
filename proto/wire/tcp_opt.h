/* SPDX-License-Identifier: Apache-2.0 */
/*
 * tcp_opt.h - kinds and lengths of TCP options on the wire. Private to proto/wire and its tests.
 *
 * Threads: constants.
 */
#ifndef MG_TCP_OPT_H
#define MG_TCP_OPT_H
#include <stdint.h>

enum mg_tcp_opt {
	MG_TCP_OPT_EOL = 0,
	MG_TCP_OPT_NOP = 1,
	MG_TCP_OPT_MSS = 2,
	MG_TCP_OPT_WS = 3,
	MG_TCP_OPT_SACK_PERM = 4,
	MG_TCP_OPT_SACK = 5,
	MG_TCP_OPT_TS = 8,
	MG_TCP_OPT_TFO = 34,
};

enum mg_tcp_optlen {
	MG_TCP_OPTLEN_MSS = 4,
	MG_TCP_OPTLEN_WS = 3,
	MG_TCP_OPTLEN_SACK_PERM = 2,
	MG_TCP_OPTLEN_TS = 10,
};

/* NOP NOP kind length, as a number: what usually stands before timestamps. */
#define MG_TCP_OPT_WORD(kind, len) (0x01010000u | (uint32_t)(kind) << 8 | (uint32_t)(len))
#define MG_TCP_OPT_TS_WORD MG_TCP_OPT_WORD(MG_TCP_OPT_TS, MG_TCP_OPTLEN_TS)
#endif
