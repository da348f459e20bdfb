/* SPDX-License-Identifier: Apache-2.0 */
/*
 * convert.h - control messages: struct mg_ctl_msg to and from the bytes of mango.proto.
 *
 * Idea:    one table row per message type and direction says which protobuf message it is and how one item
 *          is converted; the envelope code walks the table. Two forms exist: on a session stream every
 *          message is a Request or a Reply with its body inside; in a unary call the bytes are the body
 *          alone, and the method tells the type.
 * Trust:   bytes are the network's. Texts that do not fit, addresses that are none, numbers out of range
 *          and too many items are -EBADMSG. A message that comes out satisfies mg_ctl_check().
 * Threads: any; no state.
 * Memory:  packed bytes are malloc()ed for the caller; everything else is freed before return.
 */
#ifndef MG_PB_CONVERT_H
#define MG_PB_CONVERT_H
#include <stddef.h>
#include <stdint.h>

#include "proto/ctl/ctl.h"

enum mg_pb_form {
	MG_PB_STREAM, /* Request, Reply */
	MG_PB_UNARY,  /* the body alone */
};

/* The largest packed message that either side takes. */
#define MG_PB_BYTES_MAX 262144

/* 0; -EPROTO: a type that does not travel this way; -ENOMEM. */
int mg_pb_pack(const struct mg_ctl_msg *msg, enum mg_pb_form form, uint8_t **ret_buf,
	       size_t *ret_len);

/*
 * `type` is the type of a unary body (with MG_CTL_REPLY for a reply); on a stream 0 or MG_CTL_REPLY say
 * which of the two is expected.
 * 0; -EPROTO: no body, or one of an unknown kind; -EBADMSG: contents; -ENOMEM.
 */
int mg_pb_unpack(const uint8_t *buf, size_t len, enum mg_pb_form form, uint16_t type,
		 struct mg_ctl_msg *ret_msg);
#endif
