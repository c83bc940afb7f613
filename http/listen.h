/* http/listen.h - listening sockets from text ("127.0.0.1:3003", "[::1]:0", "unix:/path"). */
#ifndef SLUICE_HTTP_LISTEN_H
#define SLUICE_HTTP_LISTEN_H

#include <stdbool.h>
#include <sys/socket.h>

#include "base/error.h"

/* *fd is the caller's, not blocking.  *unix_path is the path inside address, or NULL. */
SL_MUST_USE enum sl_code listen_open(const char *address, bool reuse_port, int *fd,
				     const char **unix_path, struct sl_error *error);
/* Is fd a listening stream socket of a family we serve?  Makes it not blocking. */
SL_MUST_USE enum sl_code listen_check(int fd, struct sl_error *error);
/* Where fd listens, as listen_open() takes it; "" when that is no address we know.  size: LISTEN_TEXT. */
void listen_text(int fd, char *out, size_t size);
#define LISTEN_TEXT 128
/* Peer as text without port; IPv4 mapped into IPv6 is written as IPv4.  size: PEER_TEXT. */
void listen_peer_text(const struct sockaddr *address, char *out, size_t size);

#endif
