/* SPDX-License-Identifier: Apache-2.0 */
/*
 * rename.h - the client core inside the preload library calls these instead of libc.
 *
 * Idea:    included by the compiler in front of every file of the core (meson.build), before any header, so that
 *          declarations, calls and struct members change alike. See internal.h.
 */
#ifndef MG_PRELOAD_RENAME_H
#define MG_PRELOAD_RENAME_H
#define close mg_internal_close
#define connect mg_internal_connect
#define dup3 mg_internal_dup3
#define eventfd mg_internal_eventfd
#define fcntl mg_internal_fcntl
#define poll mg_internal_poll
#define ppoll mg_internal_ppoll
#define read mg_internal_read
#define recv mg_internal_recv
#define recvmsg mg_internal_recvmsg
#define send mg_internal_send
#define sendmsg mg_internal_sendmsg
#define shutdown mg_internal_shutdown
#define socket mg_internal_socket
#define socketpair mg_internal_socketpair
#define syscall mg_internal_syscall
#define write mg_internal_write
#endif
