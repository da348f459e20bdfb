/* SPDX-License-Identifier: Apache-2.0 */
/*
 * sockaddr.h - between struct sockaddr (network order, by family) and struct mg_addr with a port.
 *
 * Threads: plain values.
 */
#ifndef MG_SOCKADDR_H
#define MG_SOCKADDR_H
#include <stdint.h>
#include <sys/socket.h>

#include "proto/base/addr.h"

/* 0; -EINVAL: too short; -EAFNOSUPPORT: neither IPv4 nor IPv6. */
int mg_sockaddr_parse(const struct sockaddr *sa, socklen_t len, struct mg_addr *ret_addr,
		      uint16_t *ret_port);
/* Writes at most *len bytes and sets *len to the whole length, as getsockname() does. sa NULL: only that. */
void mg_sockaddr_fill(int family, const struct mg_addr *addr, uint16_t port,
		      struct sockaddr *ret_sa, socklen_t *len);
/* The scope id of an IPv6 address; 0: none, or another family. */
uint32_t mg_sockaddr_scope(const struct sockaddr *sa, socklen_t len);
/* Into what mg_sockaddr_fill() wrote to `room` bytes: the link, if the address is a link-local one. */
void mg_sockaddr_set_scope(struct sockaddr *ret_sa, socklen_t room, uint32_t scope);
#endif
