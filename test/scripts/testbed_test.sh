#!/usr/bin/env bash
# SPDX-License-Identifier: Apache-2.0
#
# scripts/testbed makes what it says, touches nothing else, leaves nothing behind. Prints TAP.
set -uo pipefail

testbed=$(cd "$(dirname "$0")/../.." && pwd)/scripts/testbed
export MANGO_TESTBED=mgtbtest$$
other=mgtbother$$
output=$(mktemp)
n=0

if [ "$(id -u)" -ne 0 ]; then
	echo "network namespaces need root"
	exit 77
fi
# shellcheck disable=SC2317 # by the trap
cleanup() {
	"$testbed" down >/dev/null 2>&1
	MANGO_TESTBED=$other "$testbed" down >/dev/null 2>&1
	ip netns del "$MANGO_TESTBED-dut" 2>/dev/null
	rm -f "$output"
}
trap cleanup EXIT
if ! ip netns add "$MANGO_TESTBED-dut" 2>"$output"; then
	echo "cannot make a network namespace: $(cat "$output")"
	exit 77
fi

check() { # NAME EXIT-CODE COMMAND...: one TAP line
	local name=$1 want=$2 code
	shift 2
	n=$((n + 1))
	"$@" >"$output" 2>&1
	code=$?
	if [ "$code" -eq "$want" ]; then
		echo "ok $n - $name"
	else
		echo "not ok $n - $name"
		echo "# exit code $code, wanted $want"
		sed 's/^/# /' "$output"
	fi
}

peer_reaches_dut() {
	"$testbed" exec dut ip addr add 10.77.0.1/24 dev mg0 &&
		"$testbed" exec dut sysctl -qw net.ipv4.conf.all.arp_ignore=0 &&
		"$testbed" exec peer ping -c 1 -W 2 10.77.0.1 &&
		"$testbed" exec dut ip addr flush dev mg0
}

nothing_left() { # PREFIX
	! ip netns list | grep "^$1-" >/dev/null && [ ! -e "/run/mango-testbed/$1" ]
}

no_dut_address() {
	[ -z "$("$testbed" exec dut ip -brief addr show dev mg0 | awk '{ print $3 }')" ]
}

offload_is_off() { # SIDE INTERFACE FEATURE
	"$testbed" exec "$1" ethtool -k "$2" | grep "^$3: off" >/dev/null
}

half_made() {
	ip netns del "$MANGO_TESTBED-dut"
	"$testbed" status
}

fake_tap() {
	"$testbed" exec dut ip tuntap add dev mg1 mode tap && "$testbed" tap-config &&
		"$testbed" exec peer ip -brief addr show dev mg1 | grep -F 10.77.0.2/24 >/dev/null
}

check "a stranger's namespace is refused" 1 "$testbed" up
check "and is not taken down either" 1 "$testbed" down
check "and still stands" 0 test -e "/run/netns/$MANGO_TESTBED-dut"
ip netns del "$MANGO_TESTBED-dut"

check "down when nothing is up" 0 "$testbed" down
check "status says down" 1 "$testbed" status
check "exec needs a testbed" 1 "$testbed" exec peer true
check "up" 0 "$testbed" up --mtu 1400
check "status says up" 0 "$testbed" status
check "up again changes nothing" 0 "$testbed" up --mtu 1400
check "up with other options is refused" 1 "$testbed" up --mtu 1500
check "the wire carries packets" 0 peer_reaches_dut
check "mangod's interface has no kernel address" 0 no_dut_address
check "segmentation offload is off at the peer" 0 offload_is_off peer mg1 tcp-segmentation-offload
check "checksum offload is off at the peer" 0 offload_is_off peer mg1 tx-checksumming
check "receive merging is off at mangod's side" 0 offload_is_off dut mg0 generic-receive-offload
check "a second testbed stands beside it" 0 env MANGO_TESTBED="$other" "$testbed" up
check "and goes alone" 0 env MANGO_TESTBED="$other" "$testbed" down
check "leaving nothing" 0 nothing_left "$other"
check "while the first stands" 0 "$testbed" status
check "a half-made testbed is seen" 3 half_made
check "and made anew" 0 "$testbed" up
"$testbed" exec peer sleep 300 &
check "down ends what still runs inside" 0 "$testbed" down
check "and leaves nothing" 0 nothing_left "$MANGO_TESTBED"
check "up --tap" 0 "$testbed" up --tap
check "tap-config addresses the tap interface" 0 fake_tap
check "down after --tap" 0 "$testbed" down
check "leaves nothing after --tap" 0 nothing_left "$MANGO_TESTBED"
check "a wrong MTU is a clear error" 1 "$testbed" up --mtu abc
check "an unknown option shows the usage" 2 "$testbed" up --frobnicate
echo "1..$n"
