/* SPDX-License-Identifier: Apache-2.0 */
/*
 * app.h - a simulated application: the far side of a stack's shared memory.
 *
 * Idea:    each endpoint follows a plan (how much to send, in what bites, how slowly to read, how to end)
 *          and checks every byte it reads against the stream that the other end's plan makes. It touches the
 *          region as libmango does: windows, event entries, doorbells; and like a program that sleeps, it looks at
 *          a connection only when an entry named it or its plan's time has come, so a lost wake-up shows.
 * Threads: one.
 */
#ifndef MG_SIM_APP_H
#define MG_SIM_APP_H
#include <stdbool.h>
#include <stdint.h>

#include "proto/shm/window.h"
#include "test/lib/stack.h"

#define MG_SIM_NEVER_ABORT UINT64_MAX

struct mg_sim_plan {
	uint64_t tx_bytes;
	uint32_t write_max;    /* bytes per write, at most */
	uint64_t write_gap_ns; /* pause between writes */
	uint32_t read_max;
	uint64_t read_gap_ns;
	uint64_t start_ns; /* first write and read */
	uint64_t abort_at; /* RST after so many bytes written */
	uint64_t stall_at; /* after so many bytes the reader stops... */
	uint64_t stall_ns; /* ...for so long */
	uint64_t leave_ns; /* closes whatever there is so long after the start; 0: never */
	bool nodelay;
	bool fastopen;      /* what is written first goes with the SYN, where both ends allow it */
	bool shut_late;     /* FIN only after the peer's FIN */
	uint64_t linger_ns; /* idle for so long before the FIN */
};

enum mg_sim_end {
	MG_SIM_OPEN,
	MG_SIM_FINISHED,
	MG_SIM_RESET,
	MG_SIM_ABORTED,
	MG_SIM_LEFT,
	MG_SIM_FAILED
};

struct mg_sim_conn {
	struct mg_sim_plan plan;
	bool in_use;
	bool is_client;
	uint32_t window, gen;
	struct mg_window w; /* bound with the key */
	uint64_t key;       /* names the connection at both ends */
	uint64_t tx_pos, rx_pos;
	uint64_t next_write_ns, next_read_ns;
	uint64_t leave_ns; /* MG_TIME_NEVER: when done */
	bool opened;       /* the handshake was done */
	bool shut, eof;
	uint64_t shut_ns; /* when lingering ends; 0: it has not begun */
	bool kicked;      /* an event came, or the last step moved: look again */
	uint64_t wake_ns; /* the plan's own next moment */
	int error;        /* errno of the end */
	enum mg_sim_end end;
};

#define MG_SIM_CONNS_MAX 64

struct mg_sim_app {
	struct mg_stack *stack;
	struct mg_spsc events[2]; /* of the slow path and of the worker */
	struct mg_sim_conn conns[MG_SIM_CONNS_MAX];
	uint32_t nr_conns;
	struct mg_sim_plan accept_plan; /* what accepted connections do */
	struct mg_spsc doorbell;
	uint64_t seed;
	uint64_t moved_bytes; /* read so far, all together: the progress watch looks at it */
	char failure[160];    /* first violation; empty: none */
};

void mg_sim_app_init(struct mg_sim_app *app, struct mg_stack *stack, uint64_t seed);
/* 0 or a negative errno of the request. */
int mg_sim_app_listen(struct mg_sim_app *app, uint16_t port, uint32_t backlog, uint64_t now_ns);
int mg_sim_app_connect(struct mg_sim_app *app, struct mg_addr to, uint16_t port,
		       const struct mg_sim_plan *plan, uint64_t now_ns);
/* Does what is possible now; true if anything changed (the stack needs another turn). */
bool mg_sim_app_step(struct mg_sim_app *app, uint64_t now_ns);
/* When does a plan want to act next? UINT64_MAX: only when the stack moves. */
uint64_t mg_sim_app_next_ns(const struct mg_sim_app *app, uint64_t now_ns);
/* Connections not ended yet. */
uint32_t mg_sim_app_open(const struct mg_sim_app *app);
#endif
