#!/usr/bin/env bash
# SPDX-License-Identifier: Apache-2.0
#
# What `make install` puts down is enough to build against and to run: install_test.sh BUILD. Prints TAP.
set -uo pipefail

build=$1
root=$(mktemp -d)
trap 'rm -rf "$root"' EXIT
n=0

check() {
	local name=$1
	shift
	n=$((n + 1))
	if "$@" >"$root/output" 2>&1; then
		echo "ok $n - $name"
	else
		echo "not ok $n - $name"
		sed 's/^/# /' "$root/output"
	fi
}

at() {
	find "$root" -path "$root/output" -prune -o -name "$1" -print -quit
}

# COMPILER STANDARD FILE...: builds an example from its installed sources, against the installed header and library
compiles() {
	local compiler=$1 standard=$2 flags
	shift 2
	flags=$(pkg-config --cflags --libs libmango) || return 1
	# shellcheck disable=SC2086 # words, as pkg-config prints them
	(cd "$(dirname "$(at seed_client.cc)")" &&
		"$compiler" "-std=$standard" -Wall -Wextra -Werror -o "$root/example" "$@" $flags) || return 1
	[[ $(LD_LIBRARY_PATH=$libdir ldd "$root/example") == *"libmango.so.0 => $libdir/"* ]]
}

file_is() {
	[ -n "$(at "$1")" ]
}

program() {
	find "$root" -type f -perm -1 -name "$1" -print -quit
}

only_libc() {
	! ldd "$(at libmango.so.0)" | grep -vE 'linux-vdso|libc\.so|ld-linux'
}

check "it installs under DESTDIR" env DESTDIR="$root" meson install --no-rebuild --quiet -C "$build"
libdir=$(dirname "$(at libmango.so.0)")
export PKG_CONFIG_SYSROOT_DIR=$root PKG_CONFIG_PATH=$libdir/pkgconfig
check "pkg-config knows the version" pkg-config --atleast-version=0.1 libmango
check "a client builds from its source" compiles cc gnu11 echo_client.c
check "a server builds from its source" compiles cc gnu11 echo_server.c sha256.c
check "file transfer builds from its source" compiles cc gnu11 file_transfer.c sha256.c
check "a C++ program builds from its source" compiles c++ c++17 seed_client.cc
check "libmango.so needs libc alone" only_libc
for name in mangod mangoctl mango; do
	check "$name runs" env LD_LIBRARY_PATH="$libdir" "$(program $name)" --version
done
for page in mangod.8 mangoctl.1 mango.1; do
	check "$page is there" grep -q '^\.TH' "$(at $page)"
done
check "the example of a config is right" "$(program mangod)" -t -c "$(at mangod.yaml)"
check "the preload library is there" file_is libmango_preload.so
check "the gRPC module is there" file_is libmango_grpc.so
echo "1..$n"
