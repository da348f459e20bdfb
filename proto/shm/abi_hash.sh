#!/bin/sh
# SPDX-License-Identifier: Apache-2.0
#
# Prints a header with the checksum of the given files, in the given order.
set -eu
hash=$(cat "$@" | sha256sum | cut -c 1-16)
cat <<END
/* Generated from proto/shm/*.h by proto/shm/abi_hash.sh. */
#define MG_SHM_ABI_HASH 0x${hash}ull
END
