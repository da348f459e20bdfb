/* SPDX-License-Identifier: Apache-2.0 */
/*
 * endian.h - big-endian loads and stores at any alignment, and raw unaligned loads.
 *
 * Threads: plain values.
 */
#ifndef MG_ENDIAN_H
#define MG_ENDIAN_H
#include <stdint.h>
#include <string.h>

#if __BYTE_ORDER__ == __ORDER_LITTLE_ENDIAN__
#define mg_be16(v) __builtin_bswap16(v)
#define mg_be32(v) __builtin_bswap32(v)
#define mg_be64(v) __builtin_bswap64(v)
#else
#define mg_be16(v) ((uint16_t)(v))
#define mg_be32(v) ((uint32_t)(v))
#define mg_be64(v) ((uint64_t)(v))
#endif

/* As it lies in memory, any alignment. */
static inline uint16_t mg_load_u16(const void *p)
{
	uint16_t v;

	memcpy(&v, p, sizeof(v));
	return v;
}

static inline uint32_t mg_load_u32(const void *p)
{
	uint32_t v;

	memcpy(&v, p, sizeof(v));
	return v;
}

static inline uint64_t mg_load_u64(const void *p)
{
	uint64_t v;

	memcpy(&v, p, sizeof(v));
	return v;
}

static inline uint16_t mg_load_be16(const void *p)
{
	return mg_be16(mg_load_u16(p));
}

static inline uint32_t mg_load_be32(const void *p)
{
	return mg_be32(mg_load_u32(p));
}

static inline uint64_t mg_load_be64(const void *p)
{
	return mg_be64(mg_load_u64(p));
}

static inline void mg_store_be16(void *p, uint16_t v)
{
	v = mg_be16(v);
	memcpy(p, &v, sizeof(v));
}

static inline void mg_store_be32(void *p, uint32_t v)
{
	v = mg_be32(v);
	memcpy(p, &v, sizeof(v));
}

static inline void mg_store_be64(void *p, uint64_t v)
{
	v = mg_be64(v);
	memcpy(p, &v, sizeof(v));
}

/* Little-endian, for hashes that are defined on it. */
static inline uint64_t mg_load_le64(const void *p)
{
	return __builtin_bswap64(mg_load_be64(p));
}
#endif
