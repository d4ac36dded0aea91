#include "segment.h"

#include "bytes.h"
#include "checksum.h"

bool segment_length_agrees(const uint8_t *frame, uint32_t length, const frame_layout *layout) {
  const uint8_t *ip = frame + layout->network;
  uint32_t bytes = length - layout->network, transport = length - layout->transport;
  if (layout->protocol == PROTOCOL_UDP && be16(frame + layout->transport + UDP_AT_LENGTH) != transport) return false;
  if (layout->family == 4) return be16(ip + IP_AT_LENGTH) == bytes;
  return be16(ip + IPV6_AT_LENGTH) + (uint32_t)IPV6_HEADER_BYTES == bytes;
}

void segment_set_length(uint8_t *headers, const frame_layout *layout, uint32_t payload) {
  uint8_t *ip = headers + layout->network;
  uint32_t ip_header = layout->transport - layout->network;
  uint32_t transport = layout->payload - layout->transport + payload;
  uint64_t pseudo = transport + layout->protocol;
  if (layout->family == 4) {
    put_be16(ip + IP_AT_LENGTH, (uint16_t)(ip_header + transport));
    put_be16(ip + IP_AT_CHECKSUM, 0);
    put_be16(ip + IP_AT_CHECKSUM, (uint16_t)~checksum_fold(checksum_add(0, ip, ip_header)));
    pseudo = checksum_add(pseudo, ip + IP_AT_SOURCE, 8);
  } else {
    put_be16(ip + IPV6_AT_LENGTH, (uint16_t)(ip_header - IPV6_HEADER_BYTES + transport));
    pseudo = checksum_add(pseudo, ip + IPV6_AT_SOURCE, 32);
  }
  if (layout->protocol == PROTOCOL_UDP) put_be16(headers + layout->transport + UDP_AT_LENGTH, (uint16_t)transport);
  put_be16(headers + layout->transport + layout->checksum, checksum_fold(pseudo));
}
