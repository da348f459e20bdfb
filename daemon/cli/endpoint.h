/* SPDX-License-Identifier: Apache-2.0 */
/*
 * endpoint.h - "10.0.0.1:80", "[fd00::1]:80", "*:80".
 */
#ifndef MG_CLI_ENDPOINT_H
#define MG_CLI_ENDPOINT_H
#include <netinet/in.h>
#include <sys/socket.h>

#define CLI_ENDPOINT_MAX (INET6_ADDRSTRLEN + 16)

/* Returns buf. */
const char *cli_endpoint(const struct sockaddr_storage *addr, char buf[CLI_ENDPOINT_MAX]);
#endif
