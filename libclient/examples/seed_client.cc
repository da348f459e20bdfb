/* SPDX-License-Identifier: Apache-2.0 */
/*
 * seed_client.cc - the example that the interface comes from, with only the address filled in.
 */
#include <libmango.h>

int main() {
// open an IPC server
mango_ipc_h ipc;
mango_ipc_open ("localhost:32847", false, &ipc);
// create TCP connected with IPC server
mango_tcp_h tcp;
mango_tcp_create (ipc, &tcp);
mango_tcp_set_ipc (tcp, ipc);
// create TCP socket;
mango_socket_h sock;
mango_socket_create (tcp, &sock);
mango_socket_open (sock, NULL);
// connect to the remote server
struct sockaddr_in addr = { AF_INET, htons (7), { inet_addr ("10.77.0.2") }, {} };
mango_socket_connect (sock, (struct sockaddr *) &addr, sizeof (addr));
// send data to the remote server
char buf[128];
while (1) {
mango_socket_send (sock, buf, 128, NULL);
}
return 0;
}
