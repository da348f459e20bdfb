#!/bin/sh
# SPDX-License-Identifier: Apache-2.0
#
# table.sh BUILD - compares the table of throughput and fairness with the one that is checked in.
#
# A difference is a change of behaviour: judge it, then `make sim-table` and commit it with what caused it.
set -u
cd "$(dirname "$0")/../.." || exit 1
if "$1/test/sim/sim" --table | diff -u test/sim/table.txt -; then
	exit 0
fi
echo "the table differs: make sim-table writes it anew"
exit 1
