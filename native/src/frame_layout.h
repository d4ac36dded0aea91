/* Where the headers of an Ethernet frame lie. */
#ifndef WEAVE_FRAME_LAYOUT_H
#define WEAVE_FRAME_LAYOUT_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#define ETHERNET_HEADER 14
/* 65,535 bytes of IP with an Ethernet header and two VLAN tags. */
#define LONGEST_FRAME 65557
#define FLAG_CHECKSUM_PARTIAL 1

#define PROTOCOL_TCP 6
#define PROTOCOL_UDP 17

typedef struct {
  /* Offsets from the Ethernet header. */
  uint32_t network;
  uint32_t transport;
  uint32_t payload;
  /* Of the transport checksum, from the transport header. */
  uint32_t checksum;
  uint8_t family;
  uint8_t protocol;
  /* No IPv6 extension headers: a partial checksum may stay partial on the wire. */
  bool plain;
} frame_layout;

/*
 * Whole TCP or UDP over IPv4 (options allowed) or IPv6 (behind options and routing headers too), with at most two
 * VLAN tags: all headers lie within `length`. False for anything else.
 */
bool frame_layout_parse(const uint8_t *frame, size_t length, frame_layout *out);

/*
 * Completes the checksum whose partial sum stands at `start + offset` and that covers all from `start` on.
 * False if the field does not lie within the frame.
 */
bool frame_complete_checksum(uint8_t *frame, size_t length, size_t start, size_t offset);

#endif
