/* SPDX-License-Identifier: Apache-2.0 */
/*
 * attach.h - joins a daemon: sends ATTACH, maps what comes back, checks it.
 *
 * Threads: under the client's lock; undo by the last holder.
 */
#ifndef MG_ATTACH_H
#define MG_ATTACH_H
#include "libclient/core/client.h"

/* See mg_client_attach(). Sets client->attached. */
int mg_attach(struct mg_client *client, const struct mg_transport_params *params);
/* A further context by CONTEXT_OPEN. */
int mg_attach_context(struct mg_client *client, uint32_t *ret_context, int *ret_event_fd);
/* Unmaps and closes; allowed half-way. */
void mg_attach_undo(struct mg_client *client);
#endif
