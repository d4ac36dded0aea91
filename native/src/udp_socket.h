#ifndef WEAVE_UDP_SOCKET_H
#define WEAVE_UDP_SOCKET_H

#include <stddef.h>
#include <stdint.h>

/*
 * What a wire that is too slow has not taken yet, as set with SO_SNDBUF; the kernel counts to twice of it. Few of a fast wire's
 * trains are under way at once, and all that follows waits for a slow one's: 0.4 s at 20 Mbit/s. A path may be silent for 4 s.
 */
#define SEND_BUFFER_BYTES (512 << 10)

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
