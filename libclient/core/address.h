/* SPDX-License-Identifier: Apache-2.0 */
/*
 * address.h - where a daemon is: the address forms of mango_ipc_open().
 *
 *            local:NAME       the attach socket of instance NAME
 *            local:/PATH      that attach socket
 *            HOST:PORT        gRPC on TCP
 *            unix:/PATH       gRPC on a unix socket
 *            iceoryx:NAME     iceoryx (when its module is there)
 *            "" or NULL       MANGO_ADDRESS, else local:mango
 * Threads: plain values.
 */
#ifndef MG_ADDRESS_H
#define MG_ADDRESS_H

#define MG_ADDRESS_TARGET_MAX 256

struct mg_address {
	char module[32];                    /* "": local; else the transport module's name */
	char target[MG_ADDRESS_TARGET_MAX]; /* local: the socket's path; else what the module gets */
};

/* 0; -EINVAL: not an address; -ENAMETOOLONG. */
int mg_address_parse(const char *text, struct mg_address *ret_address);
#endif
