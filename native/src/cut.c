#include "cut.h"

#include "bytes.h"
#include "checksum.h"

#include <string.h>

static void count_on(uint8_t *ip, uint16_t index);
static void complete_checksum(const cutter *self, uint8_t *out, uint32_t payload);

bool cut_begin(cutter *self, const uint8_t *frame, uint32_t length, uint32_t segment) {
  frame_layout layout;
  if (!frame_layout_parse(frame, length, &layout) || layout.protocol != PROTOCOL_TCP) return false;
  if (segment <= layout.payload || !segment_length_agrees(frame, length, &layout)) return false;
  self->frame = frame;
  self->layout = layout;
  self->chunk = segment - layout.payload;
  self->next = layout.payload;
  self->length = length;
  self->index = 0;
  if (!layout.plain) return true;
  memcpy(self->headers, frame, layout.payload);
  segment_set_length(self->headers, &layout, self->chunk);
  return true;
}

static uint32_t next_payload(const cutter *self) {
  uint32_t left = self->length - self->next;
  return left < self->chunk ? left : self->chunk;
}

uint32_t cut_next_length(const cutter *self) {
  return self->next == self->length ? 0 : self->layout.payload + next_payload(self);
}

void cut_next(cutter *self, uint8_t *out) {
  const frame_layout *layout = &self->layout;
  uint32_t payload = next_payload(self);
  bool last = self->next + payload == self->length;
  memcpy(out, layout->plain ? self->headers : self->frame, layout->payload);
  memcpy(out + layout->payload, self->frame + self->next, payload);
  if (!layout->plain || payload != self->chunk) segment_set_length(out, layout, payload);
  if (layout->family == 4) count_on(out + layout->network, self->index);
  uint8_t *tcp = out + layout->transport;
  put_be32(tcp + TCP_AT_SEQUENCE, be32(tcp + TCP_AT_SEQUENCE) + (self->next - layout->payload));
  if (!last) tcp[TCP_AT_FLAGS] &= (uint8_t)~(TCP_FIN | TCP_PSH);
  if (self->index > 0) tcp[TCP_AT_FLAGS] &= (uint8_t)~TCP_CWR;
  if (!layout->plain) complete_checksum(self, out, payload);
  self->next += payload;
  self->index++;
}

/* The identification is one more in each segment. */
static void count_on(uint8_t *ip, uint16_t index) {
  uint16_t before = be16(ip + IP_AT_ID), after = (uint16_t)(before + index);
  put_be16(ip + IP_AT_ID, after);
  put_be16(ip + IP_AT_CHECKSUM, checksum_update(be16(ip + IP_AT_CHECKSUM), before, after));
}

/*
 * The pseudo-header names the final destination, which a routing header may hide; all that differs between the frame
 * and its segments is the length.
 */
static void complete_checksum(const cutter *self, uint8_t *out, uint32_t payload) {
  const frame_layout *layout = &self->layout;
  uint64_t sum = be16(self->frame + layout->transport + TCP_AT_CHECKSUM);
  sum += (uint16_t)~(self->length - layout->transport);
  sum += layout->payload - layout->transport + payload;
  put_be16(out + layout->transport + TCP_AT_CHECKSUM, checksum_fold(sum));
  frame_complete_checksum(out, layout->payload + payload, layout->transport, TCP_AT_CHECKSUM);
}
