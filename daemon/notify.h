/* SPDX-License-Identifier: Apache-2.0 */
/*
 * notify.h - tells the service manager how we are (sd_notify(3)'s protocol).
 *
 * Idea:    one datagram to $NOTIFY_SOCKET, if there is one; nothing needs libsystemd.
 * Threads: any.
 */
#ifndef MG_NOTIFY_H
#define MG_NOTIFY_H

/* "READY=1", "STOPPING=1", ... 0, also without a service manager; or -errno. */
int mg_notify(const char *state);
#endif
