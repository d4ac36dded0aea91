#ifndef WEAVE_UDP_SOCKET_H
#define WEAVE_UDP_SOCKET_H

#include <stddef.h>
#include <stdint.h>

/* One of several sockets at the same port. They are opened in order of `number`. */
typedef struct {
  uint32_t number;
  uint32_t count;
} socket_share;

/*
 * Binds a non-blocking UDP socket to an address of 4 or 16 bytes; 0 bytes = every address by one dual-stack socket,
 * or every IPv4 address on a host without IPv6. Of several that share, number n gets the datagrams of the lanes that are
 * n modulo their count. Returns the descriptor or -errno; `*family` is the socket's.
 */
int udp_socket_open(const uint8_t *address, size_t bytes, uint16_t port, socket_share share, int *family);

#endif
