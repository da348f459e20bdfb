/* SPDX-License-Identifier: Apache-2.0 */
/*
 * abi_hash.c - the checksum of the shared-memory headers that this binary was built with.
 *
 * Idea:    proto/shm/meson.build hashes the headers into abi_hash.h; only this file includes it, so that a
 *          change of a header rebuilds one object for the hash and not everything.
 */
#include "proto/shm/abi.h"
#include "proto/shm/abi_hash.h"

uint64_t mg_shm_abi_hash(void)
{
	return MG_SHM_ABI_HASH;
}
