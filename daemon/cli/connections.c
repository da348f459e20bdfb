/* SPDX-License-Identifier: Apache-2.0 */
/*
 * connections.c - mangoctl connections.
 */
#include "daemon/cli/endpoint.h"
#include "daemon/cli/list.h"

static void add_row(struct cli_table *t, const void *item)
{
	const struct mango_connection_info *c = item;
	char text[CLI_ENDPOINT_MAX], num[CLI_SHORT_MAX];

	cli_table_cell(t, "%s", c->state);
	cli_table_cell(t, "%s", cli_endpoint(&c->local, text));
	cli_table_cell(t, "%s", cli_endpoint(&c->remote, text));
	cli_table_cell(t, "%u", c->pid);
	cli_table_cell(t, "%u", c->worker);
	cli_table_cell(t, "%s", cli_table_bytes(c->rx_bytes, num));
	cli_table_cell(t, "%s", cli_table_bytes(c->tx_bytes, num));
	cli_table_cell(t, "%s", cli_table_time_us(c->srtt_us, num));
	cli_table_cell(t, "%s", cli_table_time_us(c->rto_us, num));
	cli_table_cell(t, "%s", c->congestion);
	cli_table_cell(t, "%s", c->congestion_phase != NULL ? c->congestion_phase : "");
	cli_table_cell(t, "%s", cli_table_bytes(c->cwnd_bytes, num));
	cli_table_cell(t, "%s",
		       c->ssthresh_bytes == UINT32_MAX ? "-"
						       : cli_table_bytes(c->ssthresh_bytes, num));
	cli_table_cell(t, "%s", cli_table_bytes(c->pacing_Bps, num));
	cli_table_cell(t, "%s", cli_table_bytes(c->inflight_bytes, num));
	cli_table_cell(t, "%u", c->retransmits);
	cli_table_cell(t, "%s", cli_table_time_us(c->age_ms * 1000, num));
}

/* The numbers of a connection, by the names that programs see. */
static json_t *numbers_json(const struct mango_connection_info *c)
{
	const struct {
		const char *name;
		uint64_t value;
	} numbers[] = {
		{ "pid", c->pid },
		{ "app", c->app },
		{ "guarded", c->guarded },
		{ "worker", c->worker },
		{ "age_ms", c->age_ms },
		{ "rx_bytes", c->rx_bytes },
		{ "tx_bytes", c->tx_bytes },
		{ "acked_bytes", c->acked_bytes },
		{ "inflight_bytes", c->inflight_bytes },
		{ "retransmits", c->retransmits },
		{ "srtt_us", c->srtt_us },
		{ "rttvar_us", c->rttvar_us },
		{ "rto_us", c->rto_us },
		{ "mss", c->mss },
		{ "cwnd_bytes", c->cwnd_bytes },
		{ "ssthresh_bytes", c->ssthresh_bytes },
		{ "pacing_bytes_per_s", c->pacing_Bps },
		{ "snd_wnd_bytes", c->snd_wnd_bytes },
		{ "rcv_wnd_bytes", c->rcv_wnd_bytes },
		{ "snd_wscale", c->snd_wscale },
		{ "rcv_wscale", c->rcv_wscale },
	};
	json_t *object = json_object();

	for (size_t i = 0; i < sizeof(numbers) / sizeof(numbers[0]); i++) {
		if (json_object_set_new(object, numbers[i].name,
					json_integer((json_int_t)numbers[i].value)) != 0) {
			json_decref(object);
			return NULL;
		}
	}
	return object;
}

static json_t *row_json(const void *item)
{
	const struct mango_connection_info *c = item;
	char local[CLI_ENDPOINT_MAX], remote[CLI_ENDPOINT_MAX];
	json_t *numbers = numbers_json(c);
	json_t *row = json_pack("{s:s, s:s, s:s, s:s, s:s, s:b, s:b, s:b}", "state", c->state,
				"local", cli_endpoint(&c->local, local), "remote",
				cli_endpoint(&c->remote, remote), "congestion_control",
				c->congestion, "congestion_phase",
				c->congestion_phase != NULL ? c->congestion_phase : "",
				"timestamps", c->timestamps, "sack", c->sack, "ecn", c->ecn);

	if (row != NULL && json_object_update(row, numbers) != 0) {
		json_decref(row);
		row = NULL;
	}
	json_decref(numbers);
	return row;
}

static const char *const heads[] = { "STATE",    "LOCAL", "PEER",      ">PID",    ">WORKER",
				     ">RX",      ">TX",   ">RTT",      ">RTO",    "CC",
				     "PHASE",    ">CWND", ">SSTHRESH", ">PACE/S", ">IN FLIGHT",
				     ">RETRANS", ">AGE" };

static const struct cli_list list = {
	.name = "connections",
	.query = MANGO_QUERY_CONNECTIONS,
	.heads = heads,
	.nr_heads = sizeof(heads) / sizeof(heads[0]),
	.add_row = add_row,
	.row_json = row_json,
};

int cli_connections(struct cli *cli, int argc, char **argv)
{
	(void)argv; /* there must be none */
	return cli_list_run(&list, cli, argc);
}
