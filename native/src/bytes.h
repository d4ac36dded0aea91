/* Integers in network byte order at any alignment. */
#ifndef WEAVE_BYTES_H
#define WEAVE_BYTES_H

#include <stdint.h>

static inline uint16_t be16(const uint8_t *at) {
  return (uint16_t)(at[0] << 8 | at[1]);
}

static inline uint32_t be32(const uint8_t *at) {
  return (uint32_t)at[0] << 24 | (uint32_t)at[1] << 16 | (uint32_t)at[2] << 8 | at[3];
}

static inline void put_be16(uint8_t *at, uint16_t value) {
  at[0] = (uint8_t)(value >> 8);
  at[1] = (uint8_t)value;
}

static inline void put_be32(uint8_t *at, uint32_t value) {
  put_be16(at, (uint16_t)(value >> 16));
  put_be16(at + 2, (uint16_t)value);
}

#endif
