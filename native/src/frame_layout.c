#include "frame_layout.h"

#include "bytes.h"
#include "checksum.h"

#define ETHERTYPE_IPV4 0x0800
#define ETHERTYPE_IPV6 0x86dd
#define ETHERTYPE_VLAN 0x8100
#define ETHERTYPE_PROVIDER_VLAN 0x88a8
#define VLAN_TAG 4
#define MAX_VLAN_TAGS 2

#define IPV4_HEADER 20
#define IPV4_FRAGMENT_BITS 0x3fff
#define IPV6_HEADER 40
#define IPV6_HOP_OPTIONS 0
#define IPV6_ROUTING 43
#define IPV6_DESTINATION_OPTIONS 60
#define TCP_HEADER 20
#define TCP_CHECKSUM 16
#define UDP_HEADER 8
#define UDP_CHECKSUM 6

static bool parse_ipv4(const uint8_t *frame, size_t length, frame_layout *out);
static bool parse_ipv6(const uint8_t *frame, size_t length, frame_layout *out);
static bool skip_extensions(const uint8_t *frame, size_t length, frame_layout *out);
static bool parse_transport(const uint8_t *frame, size_t length, frame_layout *out);

bool frame_layout_parse(const uint8_t *frame, size_t length, frame_layout *out) {
  if (length < ETHERNET_HEADER) return false;
  uint32_t at = ETHERNET_HEADER;
  uint16_t type = be16(frame + at - 2);
  for (int tags = 0; type == ETHERTYPE_VLAN || type == ETHERTYPE_PROVIDER_VLAN; tags++) {
    at += VLAN_TAG;
    if (tags == MAX_VLAN_TAGS || length < at) return false;
    type = be16(frame + at - 2);
  }
  out->network = at;
  bool known = type == ETHERTYPE_IPV4   ? parse_ipv4(frame, length, out)
               : type == ETHERTYPE_IPV6 ? parse_ipv6(frame, length, out)
                                        : false;
  return known && parse_transport(frame, length, out);
}

static bool parse_ipv4(const uint8_t *frame, size_t length, frame_layout *out) {
  if (length < out->network + IPV4_HEADER) return false;
  const uint8_t *ip = frame + out->network;
  uint32_t header = (ip[0] & 15u) * 4;
  if (ip[0] >> 4 != 4 || header < IPV4_HEADER || length < out->network + header) return false;
  if ((be16(ip + 6) & IPV4_FRAGMENT_BITS) != 0) return false;
  out->family = 4;
  out->protocol = ip[9];
  out->plain = true;
  out->transport = out->network + header;
  return true;
}

static bool parse_ipv6(const uint8_t *frame, size_t length, frame_layout *out) {
  if (length < out->network + IPV6_HEADER) return false;
  const uint8_t *ip = frame + out->network;
  if (ip[0] >> 4 != 6) return false;
  out->family = 6;
  out->protocol = ip[6];
  out->transport = out->network + IPV6_HEADER;
  return skip_extensions(frame, length, out);
}

/* Each is at least 8 bytes long, so the walk ends within the frame (RFC 8200, section 4). */
static bool skip_extensions(const uint8_t *frame, size_t length, frame_layout *out) {
  out->plain = true;
  while (out->protocol == IPV6_HOP_OPTIONS || out->protocol == IPV6_ROUTING ||
         out->protocol == IPV6_DESTINATION_OPTIONS) {
    if (length < out->transport + 8) return false;
    const uint8_t *header = frame + out->transport;
    out->plain = false;
    out->protocol = header[0];
    out->transport += (header[1] + 1u) * 8;
  }
  return true;
}

static bool parse_transport(const uint8_t *frame, size_t length, frame_layout *out) {
  if (out->protocol == PROTOCOL_UDP) {
    out->checksum = UDP_CHECKSUM;
    out->payload = out->transport + UDP_HEADER;
    return length >= out->payload;
  }
  if (out->protocol != PROTOCOL_TCP || length < out->transport + TCP_HEADER) return false;
  uint32_t header = (frame[out->transport + 12] >> 4) * 4u;
  out->checksum = TCP_CHECKSUM;
  out->payload = out->transport + header;
  return header >= TCP_HEADER && length >= out->payload;
}

bool frame_complete_checksum(uint8_t *frame, size_t length, size_t start, size_t offset) {
  if (start > length || offset + 2 > length - start) return false;
  uint16_t sum = (uint16_t)~checksum_fold(checksum_add(0, frame + start, length - start));
  /* Zero means "no checksum" in UDP; its other representation means the same everywhere. */
  put_be16(frame + start + offset, sum == 0 ? 0xffff : sum);
  return true;
}
