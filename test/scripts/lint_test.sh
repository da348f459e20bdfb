#!/usr/bin/env bash
# SPDX-License-Identifier: Apache-2.0
#
# scripts/lint-layers accepts what the layer table allows and nothing else. Prints TAP.
set -uo pipefail

layers=$(cd "$(dirname "$0")/../.." && pwd)/scripts/lint-layers
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
n=0

# NAME EXIT-CODE FILE INCLUDE...: a tree with one file of these includes
check() {
	local name=$1 want=$2 file=$3 code
	shift 3
	rm -rf "$work/tree"
	mkdir -p "$work/tree/$(dirname "$file")" "$work/tree/proto/base" "$work/tree/proto/pb" \
		"$work/tree/fastpath/core" "$work/tree/slowpath/core" "$work/tree/daemon" "$work/tree/libclient"
	touch "$work/tree/proto/base/seq.h" "$work/tree/proto/pb/x.h" "$work/tree/fastpath/core/flow.h" \
		"$work/tree/slowpath/core/conn.h" "$work/tree/daemon/conf.h" "$work/tree/libclient/core.h"
	printf '#include %s\n' "$@" >"$work/tree/$file"
	"$layers" "$work/tree" >"$work/output" 2>&1
	code=$?
	n=$((n + 1))
	if [ "$code" -eq "$want" ]; then
		echo "ok $n - $name"
	else
		echo "not ok $n - $name"
		sed 's/^/# /' "$work/output"
	fi
}

check "proto may use proto and libc" 0 proto/base/a.c '"proto/base/seq.h"' '<stdlib.h>'
check "proto may not use the fast path" 1 proto/base/a.c '"fastpath/core/flow.h"'
check "proto may not use DPDK" 1 proto/base/a.h '<rte_mbuf.h>'
check "proto may not use generated code" 1 proto/ctl/a.c '"proto/pb/x.h"'
check "a core may use itself and proto" 0 fastpath/core/a.c '"fastpath/core/flow.h"' '<string.h>'
check "a core has no stdio" 1 fastpath/core/a.c '<stdio.h>'
check "a core has no malloc" 1 slowpath/core/a.c '<stdlib.h>'
check "a core has no clock" 1 slowpath/cc/a.c '<time.h>'
check "a core has no sockets" 1 fastpath/core/a.c '<sys/socket.h>'
check "a core has no threads" 1 slowpath/core/a.c '<pthread.h>'
check "fastpath/io may use DPDK" 0 fastpath/io/a.c '<rte_ethdev.h>' '"fastpath/core/flow.h"'
check "the fast path may not use the slow path" 1 fastpath/io/a.c '"slowpath/core/conn.h"'
check "the slow path may not use the fast path" 1 slowpath/a.c '"fastpath/core/flow.h"'
check "the slow path may not use DPDK" 1 slowpath/a.c '<rte_eal.h>'
check "the client may not use the daemon" 1 libclient/a.c '"daemon/conf.h"'
check "the client core may not use gRPC" 1 libclient/a.c '<grpc/grpc.h>'
check "the client's gRPC module may" 0 libclient/transport_grpc/a.c '<grpc/grpc.h>' '"proto/pb/x.h"'
check "the daemon may use both paths" 0 daemon/a.c '"slowpath/core/conn.h"' '"fastpath/core/flow.h"'
check "the daemon may not use the client" 1 daemon/a.c '"libclient/core.h"'
check "an include is rooted at the top" 1 daemon/a.c '"conf.h"'
check "an include exists" 1 daemon/a.c '"daemon/none.h"'
echo "1..$n"
