/* SPDX-License-Identifier: Apache-2.0 */
/*
 * transport_module.h - loads transports that are not part of libmango.
 *
 * Idea:    "grpc" is libmango_grpc.so, looked for in MANGO_MODULE_PATH, beside libmango.so, and where the
 *          dynamic loader looks. A module stays loaded: its threads may outlive its last use.
 * Threads: any.
 */
#ifndef MG_TRANSPORT_MODULE_H
#define MG_TRANSPORT_MODULE_H
#include "libclient/core/transport.h"
#include "proto/base/log.h"

/* 0; -ELIBACC: no such module; -ELIBBAD: not a module, or of another version. */
int mg_transport_module_load(const char *name, const struct mg_log *log,
			     const struct mg_transport_ops **ret_ops);
#endif
