/* SPDX-License-Identifier: Apache-2.0 */
/*
 * convert_item.h - one item of a control message to and from its protobuf message.
 *
 * Idea:    `pack` fills an initialised protobuf message from a struct of proto/ctl; `unpack` the reverse, into
 *          a zeroed struct. Rows name both and the protobuf descriptor.
 * Threads: any.
 * Memory:  what pack needs comes from the arena and lives as long.
 */
#ifndef MG_PB_CONVERT_ITEM_H
#define MG_PB_CONVERT_ITEM_H
#include <stddef.h>
#include <stdint.h>

#include <protobuf-c/protobuf-c.h>

struct mg_pb_chunk;

/* Memory that is freed at once. After a failed allocation `failed` stays set. */
struct mg_pb_arena {
	struct mg_pb_chunk *chunks;
	size_t used; /* of the first chunk */
	int failed;
};

/* Zeroed, or NULL. */
void *mg_pb_arena_alloc(struct mg_pb_arena *arena, size_t bytes);
void mg_pb_arena_free(struct mg_pb_arena *arena);

struct mg_pb_item {
	const ProtobufCMessageDescriptor *desc;
	void (*pack)(struct mg_pb_arena *arena, const void *ctl, void *pb);
	int (*unpack)(const void *pb, void *ctl); /* 0 or -EBADMSG */
};

extern const struct mg_pb_item mg_pb_health;
extern const struct mg_pb_item mg_pb_kv;
extern const struct mg_pb_item mg_pb_listen;
extern const struct mg_pb_item mg_pb_accept;
extern const struct mg_pb_item mg_pb_connect;
extern const struct mg_pb_item mg_pb_conn_ref;
extern const struct mg_pb_item mg_pb_listener_ref;
extern const struct mg_pb_item mg_pb_opt;
extern const struct mg_pb_item mg_pb_conn_info;
extern const struct mg_pb_item mg_pb_listener_info;
extern const struct mg_pb_item mg_pb_counter;
extern const struct mg_pb_item mg_pb_move; /* convert_share.c, and the next */
extern const struct mg_pb_item mg_pb_session_info;

/* Copies text into an array of fixed size. 0 or -EBADMSG: too long. */
int mg_pb_get_text(const char *text, char *buf, size_t size);
/* Never NULL; cut at `size` bytes if it is not terminated. */
char *mg_pb_put_text(struct mg_pb_arena *arena, const char *buf, size_t size);
#endif
