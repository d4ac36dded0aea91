/* Addresses of the underlay. */
#ifndef WEAVE_ENDPOINT_H
#define WEAVE_ENDPOINT_H

#include <netinet/in.h>
#include <stdbool.h>
#include <stdint.h>

/* As JavaScript writes it: an IPv6 or IPv4-mapped address and a port, all in network byte order. */
#define ENDPOINT_BYTES 18

typedef struct {
  uint8_t bytes[ENDPOINT_BYTES];
} endpoint;

typedef union {
  struct sockaddr any;
  struct sockaddr_in v4;
  struct sockaddr_in6 v6;
} socket_address;

bool endpoint_equal(const endpoint *a, const endpoint *b);

endpoint endpoint_of(const socket_address *address);

/* For a socket of `family`; returns its length, or 0 if such a socket cannot reach it. */
socklen_t endpoint_address(const endpoint *from, int family, socket_address *out);

#endif
