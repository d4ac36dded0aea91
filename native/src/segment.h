/* The TCP segments or UDP datagrams that a super-frame consists of: what cutting and joining have in common. */
#ifndef WEAVE_SEGMENT_H
#define WEAVE_SEGMENT_H

#include "frame_layout.h"

#include <stdbool.h>
#include <stdint.h>

/* Ethernet with two VLAN tags, IP and TCP with all the options that fit. */
#define LONGEST_HEADERS (ETHERNET_HEADER + 2 * 4 + 60 + 60)

#define IP_AT_LENGTH 2
#define IP_AT_ID 4
#define IP_AT_CHECKSUM 10
#define IP_AT_SOURCE 12
#define IPV6_AT_LENGTH 4
#define IPV6_AT_SOURCE 8
#define IPV6_HEADER_BYTES 40

#define TCP_AT_SEQUENCE 4
#define TCP_AT_ACKNOWLEDGMENT 8
#define TCP_AT_FLAGS 13
#define TCP_AT_WINDOW 14
#define TCP_AT_CHECKSUM 16
#define TCP_AT_OPTIONS 20

#define UDP_AT_LENGTH 4

#define TCP_FIN 0x01
#define TCP_SYN 0x02
#define TCP_RST 0x04
#define TCP_PSH 0x08
#define TCP_URG 0x20
#define TCP_CWR 0x80

/* Whether the lengths in the headers are those of the frame: no padding, nothing cut off. */
bool segment_length_agrees(const uint8_t *frame, uint32_t length, const frame_layout *layout);

/*
 * After the payload became `payload` bytes long: writes the lengths, the IPv4 header checksum and the partial checksum of
 * the transport. The headers lie at `headers`, the payload wherever.
 */
void segment_set_length(uint8_t *headers, const frame_layout *layout, uint32_t payload);

#endif
