#include "join.h"

#include "bytes.h"
#include "checksum.h"

#include <string.h>

#define IPV4_WITHOUT_OPTIONS 0x45
#define IP_LONGEST 65535
#define IP_AT_FRAGMENT 6
#define IP_DONT_FRAGMENT 0x40
/* Headers of kernels before 6.2 lack it. */
#ifndef VIRTIO_NET_HDR_GSO_UDP_L4
#define VIRTIO_NET_HDR_GSO_UDP_L4 5
#endif
#define TCP_NEVER_JOINED (TCP_SYN | TCP_RST | TCP_URG)
#define TCP_MAY_DIFFER (TCP_FIN | TCP_PSH)

static bool joinable(const joiner *self, const uint8_t *frame, uint32_t length, uint8_t flags, frame_layout *layout);
static bool same_network(const joiner *self, const uint8_t *frame);
static bool counts_on(const joiner *self, const uint8_t *ip, const uint8_t *first);
static bool same_transport(const joiner *self, const uint8_t *frame);
static bool same_tcp(const joiner *self, const uint8_t *frame);
static uint8_t gso_type(const joiner *self);
static void append(joiner *self, const uint8_t *frame, uint32_t length);

bool join_begin(joiner *self, const uint8_t *frame, uint32_t length, uint8_t flags) {
  self->count = 0;
  if (!joinable(self, frame, length, flags, &self->layout)) return false;
  self->closed = false;
  self->payload = 0;
  self->chunk = length - self->layout.payload;
  memcpy(self->headers, frame, self->layout.payload);
  append(self, frame, length);
  return true;
}

bool join_add(joiner *self, const uint8_t *frame, uint32_t length, uint8_t flags) {
  frame_layout layout;
  if (self->count == 0 || self->closed || self->count == JOIN_SEGMENTS) return false;
  if (!joinable(self, frame, length, flags, &layout)) return false;
  /* From here on the offsets of the open frame lie within this one too. */
  if (memcmp(&layout, &self->layout, sizeof layout) != 0) return false;
  uint32_t payload = length - layout.payload;
  if (payload > self->chunk || layout.payload - layout.network + self->payload + payload > IP_LONGEST) return false;
  if (!same_network(self, frame) || !same_transport(self, frame)) return false;
  if (layout.protocol == PROTOCOL_TCP)
    self->headers[layout.transport + TCP_AT_FLAGS] |= frame[layout.transport + TCP_AT_FLAGS] & TCP_MAY_DIFFER;
  append(self, frame, length);
  return true;
}

const struct iovec *join_take(joiner *self, int *parts) {
  const frame_layout *layout = &self->layout;
  struct virtio_net_hdr *header = &self->description;
  *header = (struct virtio_net_hdr){
      .flags = VIRTIO_NET_HDR_F_NEEDS_CSUM,
      .csum_start = (uint16_t)layout->transport,
      .csum_offset = (uint16_t)layout->checksum,
  };
  if (self->count > 1) {
    header->gso_type = gso_type(self);
    header->gso_size = (uint16_t)self->chunk;
    header->hdr_len = (uint16_t)layout->payload;
    segment_set_length(self->headers, layout, self->payload);
  }
  self->parts[0] = (struct iovec){header, sizeof *header};
  self->parts[1] = (struct iovec){self->headers, layout->payload};
  *parts = 2 + (int)self->count;
  self->count = 0;
  return self->parts;
}

static uint8_t gso_type(const joiner *self) {
  const frame_layout *layout = &self->layout;
  if (layout->protocol == PROTOCOL_UDP) return VIRTIO_NET_HDR_GSO_UDP_L4;
  uint8_t type = layout->family == 4 ? VIRTIO_NET_HDR_GSO_TCPV4 : VIRTIO_NET_HDR_GSO_TCPV6;
  bool cwr = (self->headers[layout->transport + TCP_AT_FLAGS] & TCP_CWR) != 0;
  return cwr ? type | VIRTIO_NET_HDR_GSO_ECN : type;
}

static void append(joiner *self, const uint8_t *frame, uint32_t length) {
  const frame_layout *layout = &self->layout;
  uint32_t payload = length - layout->payload;
  self->parts[2 + self->count++] = (struct iovec){(void *)(uintptr_t)(frame + layout->payload), payload};
  self->payload += payload;
  /* The receiver is to get these at once, and a shorter segment cannot be followed by another. */
  bool pushed = layout->protocol == PROTOCOL_TCP && (frame[layout->transport + TCP_AT_FLAGS] & TCP_MAY_DIFFER) != 0;
  self->closed = payload < self->chunk || pushed;
}

static bool joinable(const joiner *self, const uint8_t *frame, uint32_t length, uint8_t flags, frame_layout *layout) {
  memset(layout, 0, sizeof *layout);
  if ((flags & FLAG_CHECKSUM_PARTIAL) == 0 || !frame_layout_parse(frame, length, layout)) return false;
  if (!layout->plain || layout->payload == length || !segment_length_agrees(frame, length, layout)) return false;
  if (layout->protocol == PROTOCOL_UDP ? self->tcp_only : (frame[layout->transport + TCP_AT_FLAGS] & TCP_NEVER_JOINED) != 0)
    return false;
  if (layout->family == 6) return true;
  /* A wrong header checksum must stay wrong. */
  const uint8_t *ip = frame + layout->network;
  uint32_t header = layout->transport - layout->network;
  return ip[0] == IPV4_WITHOUT_OPTIONS && checksum_fold(checksum_add(0, ip, header)) == 0xffff;
}

/* All of Ethernet and IP but the length, the IPv4 checksum, and the IPv4 identification. */
static bool same_network(const joiner *self, const uint8_t *frame) {
  const frame_layout *layout = &self->layout;
  if (memcmp(frame, self->headers, layout->network) != 0) return false;
  const uint8_t *ip = frame + layout->network, *first = self->headers + layout->network;
  if (layout->family == 6) {
    return memcmp(ip, first, IPV6_AT_LENGTH) == 0 &&
           memcmp(ip + IPV6_AT_LENGTH + 2, first + IPV6_AT_LENGTH + 2, IPV6_HEADER_BYTES - IPV6_AT_LENGTH - 2) == 0;
  }
  return memcmp(ip, first, IP_AT_LENGTH) == 0 &&
         counts_on(self, ip, first) &&
         memcmp(ip + IP_AT_ID + 2, first + IP_AT_ID + 2, IP_AT_CHECKSUM - IP_AT_ID - 2) == 0 &&
         memcmp(ip + IP_AT_SOURCE, first + IP_AT_SOURCE, 8) == 0;
}

/* The identification is one more each time. That of a datagram which nobody may fragment means nothing (RFC 6864). */
static bool counts_on(const joiner *self, const uint8_t *ip, const uint8_t *first) {
  if (self->layout.protocol == PROTOCOL_UDP && (ip[IP_AT_FRAGMENT] & IP_DONT_FRAGMENT) != 0) return true;
  return be16(ip + IP_AT_ID) == (uint16_t)(be16(first + IP_AT_ID) + self->count);
}

static bool same_transport(const joiner *self, const uint8_t *frame) {
  if (self->layout.protocol == PROTOCOL_TCP) return same_tcp(self, frame);
  return memcmp(frame + self->layout.transport, self->headers + self->layout.transport, UDP_AT_LENGTH) == 0;
}

/* Ports, acknowledgment, window, urgent pointer and options; the sequence continues; no second CWR. */
static bool same_tcp(const joiner *self, const uint8_t *frame) {
  const uint8_t *tcp = frame + self->layout.transport, *first = self->headers + self->layout.transport;
  uint8_t flags = tcp[TCP_AT_FLAGS], before = first[TCP_AT_FLAGS];
  if ((flags & TCP_CWR) != 0 || ((flags ^ before) & ~(TCP_CWR | TCP_MAY_DIFFER)) != 0) return false;
  const uint32_t acknowledged = TCP_AT_FLAGS - TCP_AT_ACKNOWLEDGMENT;
  uint32_t options = self->layout.payload - self->layout.transport - TCP_AT_OPTIONS;
  return memcmp(tcp, first, TCP_AT_SEQUENCE) == 0 &&
         be32(tcp + TCP_AT_SEQUENCE) == be32(first + TCP_AT_SEQUENCE) + self->payload &&
         memcmp(tcp + TCP_AT_ACKNOWLEDGMENT, first + TCP_AT_ACKNOWLEDGMENT, acknowledged) == 0 &&
         memcmp(tcp + TCP_AT_WINDOW, first + TCP_AT_WINDOW, 2) == 0 &&
         memcmp(tcp + TCP_AT_CHECKSUM + 2, first + TCP_AT_CHECKSUM + 2, 2 + options) == 0;
}
