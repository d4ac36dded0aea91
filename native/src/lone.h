/* Packets that come one by one: the look for a second one, which would be in vain, is spared. */
#ifndef WEAVE_LONE_H
#define WEAVE_LONE_H

#include <stdbool.h>
#include <stdint.h>

/* So many reads ask for one packet only; then there is a look whether they still come so. */
#define LONE_READS 4

/* Whether the next read is to ask for one only. `left` belongs to the source of the packets and begins as 0. */
static inline bool lone_spares_look(uint32_t left) {
  return left > 0;
}

/*
 * After every read: how many datagrams the packets were or become, so that what belongs to a stream is not alone. A read that
 * found nothing says nothing.
 */
static inline void lone_note(uint32_t *left, bool looked, uint32_t datagrams) {
  if (datagrams > 1) *left = 0;
  else if (datagrams == 1) *left = looked ? LONE_READS : *left - 1;
}

#endif
