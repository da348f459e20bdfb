/* SPDX-License-Identifier: Apache-2.0 */
/* client_list.h - all clients of this process, for fork.c. Any thread. */
#ifndef MG_CLIENT_LIST_H
#define MG_CLIENT_LIST_H
struct mg_client;

void mg_client_list_add(struct mg_client *client);
/* Not being listed is fine. */
void mg_client_list_remove(struct mg_client *client);
#endif
