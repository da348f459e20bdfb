/* SPDX-License-Identifier: Apache-2.0 */
/*
 * stream.h - what the rest of the library needs of stdio on sockets.
 *
 * Threads: the lock is held over fork.
 */
#ifndef MG_PRELOAD_STREAM_H
#define MG_PRELOAD_STREAM_H

void mg_stream_lock(void);
void mg_stream_unlock(void);
/* At exit: what waits in streams on sockets goes out, but of those that a thread is using. */
void mg_stream_flush(void);
/* stdin, stdout or stderr is a socket of mangod's: a stream of ours takes its place. */
void mg_stream_standard(int fd);
#endif
