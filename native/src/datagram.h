/*
 * The datagram (all integers little-endian), as in router/wire/datagram.ts:
 *
 *      0       1       2       3       4               8                              16
 *     +-------+-------+---------------+---------------+------------------------------+---------------+--------+
 *     | type  | phase | reserved = 0  | receiver index| counter                      | ciphertext .. | tag 16 |
 *     +-------+-------+---------------+---------------+------------------------------+---------------+--------+
 */
#ifndef WEAVE_DATAGRAM_H
#define WEAVE_DATAGRAM_H

#include <stdint.h>

#define TYPE_SEALED 1
#define TYPE_PLAIN 2
#define DATAGRAM_HEADER 16
#define DATAGRAM_AT_COUNTER 8
#define DATAGRAM_TAG 16
#define DATAGRAM_OVERHEAD (DATAGRAM_HEADER + DATAGRAM_TAG)
/* Kind and flags. */
#define INNER_HEADER 2
#define SHORTEST_DATAGRAM (DATAGRAM_OVERHEAD + INNER_HEADER)
/* The kinds between these carry frames; the others are messages of the links themselves. As router/wire/inner.ts says. */
#define FIRST_FRAME_KIND 1
#define LAST_FRAME_KIND 3
/* The largest UDP payload over IPv4. */
#define LONGEST_DATAGRAM 65507
/* One past the largest counter: where the doubles of the other engines stop being exact. Tests build with a small one. */
#ifndef COUNTER_LIMIT
#define COUNTER_LIMIT ((UINT64_C(1) << 53) - 1)
#endif

static inline uint32_t le32(const uint8_t *at) {
  return (uint32_t)at[3] << 24 | (uint32_t)at[2] << 16 | (uint32_t)at[1] << 8 | at[0];
}

static inline void put_le32(uint8_t *at, uint32_t value) {
  for (int i = 0; i < 4; i++) at[i] = (uint8_t)(value >> 8 * i);
}

static inline uint32_t datagram_index(const uint8_t *datagram) {
  return le32(datagram + 4);
}

static inline void datagram_set_index(uint8_t *datagram, uint32_t index) {
  put_le32(datagram + 4, index);
}

static inline uint64_t datagram_counter(const uint8_t *datagram) {
  return (uint64_t)le32(datagram + DATAGRAM_AT_COUNTER + 4) << 32 | le32(datagram + DATAGRAM_AT_COUNTER);
}

static inline void datagram_write_header(uint8_t *out, uint8_t type, uint8_t phase, uint32_t index, uint64_t counter) {
  out[0] = type;
  out[1] = phase;
  out[2] = out[3] = 0;
  datagram_set_index(out, index);
  put_le32(out + DATAGRAM_AT_COUNTER, (uint32_t)counter);
  put_le32(out + DATAGRAM_AT_COUNTER + 4, (uint32_t)(counter >> 32));
}

#endif
