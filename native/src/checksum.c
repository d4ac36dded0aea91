#include "checksum.h"

#include "bytes.h"

#include <string.h>

/*
 * One's complement sums may be taken in any word size and byte order (RFC 1071, section 2): long runs are summed as
 * the processor loads them and turned round once.
 */
uint64_t checksum_add(uint64_t sum, const uint8_t *bytes, size_t length) {
  uint64_t native = 0;
  for (; length >= 8; bytes += 8, length -= 8) {
    uint32_t low, high;
    memcpy(&low, bytes, 4);
    memcpy(&high, bytes + 4, 4);
    native += (uint64_t)low + high;
  }
  uint16_t folded = checksum_fold(native);
  uint8_t turned[2];
  memcpy(turned, &folded, 2);
  sum += be16(turned);
  for (; length >= 2; bytes += 2, length -= 2) sum += be16(bytes);
  return length == 1 ? sum + ((uint64_t)bytes[0] << 8) : sum;
}

uint16_t checksum_fold(uint64_t sum) {
  while (sum >> 16 != 0) sum = (sum & 0xffff) + (sum >> 16);
  return (uint16_t)sum;
}

uint16_t checksum_update(uint16_t field, uint16_t before, uint16_t after) {
  uint64_t sum = (uint16_t)~field;
  sum += (uint16_t)~before;
  sum += after;
  return (uint16_t)~checksum_fold(sum);
}
