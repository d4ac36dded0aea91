#include "flow_table.h"

#include <string.h>
#include <time.h>

/* A decision lies in one of two slots side by side, so that two flows seldom drive each other out. */
static size_t first_slot(const uint8_t *macs) {
  uint64_t destination, source;
  memcpy(&destination, macs, sizeof destination);
  memcpy(&source, macs + FLOW_MACS - sizeof source, sizeof source);
  uint64_t mixed = (destination ^ (source << 13 | source >> 51)) * UINT64_C(0x9e3779b97f4a7c15);
  return (size_t)(mixed >> 32) % FLOW_SLOTS & ~(size_t)1;
}

uint64_t flow_now(void) {
  struct timespec time;
  clock_gettime(CLOCK_MONOTONIC_COARSE, &time);
  return (uint64_t)time.tv_sec * 1000 + (uint64_t)time.tv_nsec / 1000000 + 1;
}

const flow *flow_find(const flow_table *table, const uint8_t *macs, uint64_t now) {
  const flow *pair = &table->slots[first_slot(macs)];
  for (int i = 0; i < 2; i++) {
    if (memcmp(pair[i].macs, macs, FLOW_MACS) == 0 && pair[i].until > now) return &pair[i];
  }
  return NULL;
}

void flow_remember(flow_table *table, const flow *decision, uint64_t now) {
  flow *pair = &table->slots[first_slot(decision->macs)];
  flow *slot = &pair[pair[1].until < pair[0].until];
  for (int i = 0; i < 2; i++) {
    if (memcmp(pair[i].macs, decision->macs, FLOW_MACS) == 0) slot = &pair[i];
  }
  *slot = *decision;
  slot->until = now + FLOW_LEASE_MS;
}

void flow_forget_all(flow_table *table) {
  memset(table, 0, sizeof *table);
}
