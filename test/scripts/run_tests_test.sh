#!/usr/bin/env bash
# SPDX-License-Identifier: Apache-2.0
#
# The test runner counts what it should, on programs made up for it. Prints TAP.
set -uo pipefail

runner=$(cd "$(dirname "$0")/../.." && pwd)/scripts/run-tests
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
n=0

check() { # NAME COMMAND...: one TAP line
	local name=$1
	shift
	n=$((n + 1))
	if "$@"; then
		echo "ok $n - $name"
	else
		echo "not ok $n - $name"
		sed 's/^/# /' "$work/output"
	fi
}

program() { # NAME BODY: a shell program in $work
	printf '#!/bin/sh\n%s\n' "$2" >"$work/$1"
	chmod +x "$work/$1"
}

run() { # ROW...: runs a table of these rows; output in $work/output, exit code in $code
	printf '%s\n' "$@" >"$work/table"
	env -u CI MANGO_TEST_LOGS="$work/logs" "$runner" --table "$work/table" ${k:+-k "$k"} >"$work/output" 2>&1
	code=$?
}

totals() { # EXIT-CODE LAST-LINE
	[ "$code" -eq "$1" ] && [ "$(tail -n 1 "$work/output")" = "$2" ]
}

says() {
	grep -qF -- "$1" "$work/output"
}

program tap_good 'echo 1..3; echo ok 1 - a; echo "ok 2 - b # SKIP no root"; echo "ok 3 - c"'
run "t release tap 5 parallel $work/tap_good"
check "tap lines are counted one by one" totals 0 "2 passed, 0 failed, 1 skipped"
check "the reason of a skip is shown" says "no root"

program tap_bad 'echo 1..2; echo ok 1 - a; echo not ok 2 - broken thing; echo why >&2; exit 1'
run "t release tap 5 parallel $work/tap_bad"
check "a failed line fails the run once" totals 1 "1 passed, 1 failed, 0 skipped"
check "the failed test is named" says "broken thing"
check "the tail of its standard error is shown" says "| why"

# What stands between the suite's line and the closing summary.
at_once() {
	sed -n '/^FAIL /,/^$/p' "$work/output" | grep -F -- "$1" >/dev/null
}

program tap_why 'echo 1..3; echo ok 1 - a; echo "# of a"; echo not ok 2 - b; echo "# because of b"
	seq 20 | sed "s/^/# line /"; echo "not ok 3 - c"; exit 1'
run "t release tap 5 parallel $work/tap_why"
check "a failed test is named below its suite's line" at_once "not ok: b"
check "with what is said below its result" at_once "| # because of b"
check "not more than twelve lines of it" at_once "| ... 9 lines more"
check "those of the test before it are not its" eval '! at_once "of a"'
check "a failed test without a word is named, too" at_once "not ok: c"

program tap_before 'echo 1..2; echo ok 1 - a; echo "# of a"; echo "# seed 7 lost a byte"; echo not ok 2 - b; exit 1'
run "t release tap 5 parallel $work/tap_before"
check "or with what is said above it" at_once "seed 7 lost a byte"

program dies 'echo working; echo "died of this" >&2; exit 3'
run "t release exit 5 parallel $work/dies"
check "a program's own end is shown at once" at_once "| died of this"

program tap_short 'echo 1..3; echo ok 1 - a; kill -SEGV $$'
run "t release tap 5 parallel $work/tap_short"
check "a plan that is not fulfilled is a failure" totals 1 "1 passed, 1 failed, 0 skipped"

program tap_none 'exit 0'
run "t release tap 5 parallel $work/tap_none"
check "a program without results is a failure" totals 1 "0 passed, 1 failed, 0 skipped"

program tap_dirty 'echo 1..1; echo ok 1 - a; exit 99'
run "t release cmocka 5 parallel $work/tap_dirty"
check "a sanitizer's exit code fails a clean report" totals 1 "1 passed, 1 failed, 0 skipped"

program groups 'echo 1..1; echo ok 1 - a; echo 1..2; echo ok 1 - b; echo "not ok 2 # SKIP c"'
run "t release cmocka 5 parallel $work/groups"
check "several groups of one program add up" totals 0 "2 passed, 0 failed, 1 skipped"

program skipped 'echo needs a device; exit 77'
run "t release exit 5 parallel $work/skipped" "u release tap 5 serial $work/skipped"
check "exit code 77 skips" totals 0 "0 passed, 0 failed, 2 skipped"
check "its last line is the reason" says "needs a device"

program plain 'exit 0'
program wrong 'exit 3'
run "t release exit 5 parallel $work/plain" "u release exit 5 parallel $work/wrong"
check "exit programs are one test each" totals 1 "1 passed, 1 failed, 0 skipped"

program slow 'trap "echo cleaned up; exit 1" TERM; sleep 30 & wait'
run "t release exit 1 serial $work/slow"
check "a time-out is a failure" totals 1 "0 passed, 1 failed, 0 skipped"
check "a timed-out program may clean up" says "cleaned up"

run "t release,asan exit 5 parallel $work/plain"
check "a row runs once per variant" totals 0 "2 passed, 0 failed, 0 skipped"

run "t release exit 5 parallel $work/pl*n" "u release exit 5 parallel $work/no-such-*"
check "wildcards: one suite per match, none is a failure" totals 1 "1 passed, 1 failed, 0 skipped"

k=nothing run "t release exit 5 parallel $work/plain"
check "nothing to run is a failure" totals 1 "0 passed, 0 failed, 0 skipped"

run "t release exit 5 sideways $work/plain"
check "a wrong row is refused" says "mode is one of"

echo "1..$n"
