/* The Internet checksum (RFC 1071). */
#ifndef WEAVE_CHECKSUM_H
#define WEAVE_CHECKSUM_H

#include <stddef.h>
#include <stdint.h>

/* Adds the 16-bit big-endian words of `bytes` to `sum`; an odd last byte counts as the high half of a word. */
uint64_t checksum_add(uint64_t sum, const uint8_t *bytes, size_t length);

/* The sum in 16 bits, not inverted: what stands in the field of a partial checksum. */
uint16_t checksum_fold(uint64_t sum);

/* `field` after one 16-bit word that it covers changed from `before` to `after` (RFC 1624, equation 3). */
uint16_t checksum_update(uint16_t field, uint16_t before, uint16_t after);

#endif
