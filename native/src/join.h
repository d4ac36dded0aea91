/*
 * Joins TCP segments that follow one another, or UDP datagrams of one flow, into one super-frame, by the rules of the
 * kernel's own GRO (net/ipv4/tcp_offload.c, udp_offload.c): the same headers, contiguous sequence, equal sizes but the
 * last. Nothing is trusted to belong together. Datagrams stay datagrams: who is to have them one by one gets them so.
 */
#ifndef WEAVE_JOIN_H
#define WEAVE_JOIN_H

#include "segment.h"

#include <linux/virtio_net.h>
#include <stdbool.h>
#include <stdint.h>
#include <sys/uio.h>

#define JOIN_SEGMENTS 64
/* virtio-net header, the headers, a payload per segment. */
#define JOIN_PARTS (2 + JOIN_SEGMENTS)

typedef struct {
  /* 0 = nothing is open. */
  uint32_t count;
  /* No further segment may join. */
  bool closed;
  /* Datagrams are not to be joined. */
  bool tcp_only;
  frame_layout layout;
  uint32_t payload;
  /* Payload bytes of every segment but the last. */
  uint32_t chunk;
  struct virtio_net_hdr description;
  uint8_t headers[LONGEST_HEADERS];
  struct iovec parts[JOIN_PARTS];
} joiner;

/*
 * Begins with a frame whose bytes stay in place until the joined one is taken. False if it is none that others can
 * join: it must have payload and a partial checksum, and be UDP, or TCP that is unremarkable but for PSH, FIN and CWR.
 */
bool join_begin(joiner *self, const uint8_t *frame, uint32_t length, uint8_t flags);

/* Adds the frame if it continues what is open; false if it does not. */
bool join_add(joiner *self, const uint8_t *frame, uint32_t length, uint8_t flags);

/* Closes and completes the frame: `*parts` of them, virtio-net header first, to be written at once. */
const struct iovec *join_take(joiner *self, int *parts);

#endif
