/* SPDX-License-Identifier: Apache-2.0 */
/*
 * connect.h - a connected socket for an address.
 *
 * Idea:    gRPC gets a socket that is connected already, so that "nobody is there" is ECONNREFUSED at once
 *          and nothing ever reconnects behind our back.
 * Threads: any; blocks up to timeout_ms per address of the host.
 */
#ifndef MG_GRPC_CONNECT_H
#define MG_GRPC_CONNECT_H
#include <stdint.h>

/*
 * "HOST:PORT", "[V6]:PORT" or "unix:/PATH". The descriptor, non-blocking; -ECONNREFUSED (also: no socket at the
 * path); -ETIMEDOUT; -EINVAL: not an address, or no such host; other -errno.
 */
int mg_grpc_connect(const char *address, uint32_t timeout_ms);
#endif
