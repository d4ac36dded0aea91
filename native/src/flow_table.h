/*
 * Decisions of the switch that the engine repeats by itself for frames with the same addresses, so that a frame of a flow
 * that goes on need not wait for JavaScript. A decision holds for FLOW_LEASE_MS and no longer: then the switch is asked
 * again, which keeps its MAC table, its loop detection and the links' accounts as true as that.
 */
#ifndef WEAVE_FLOW_TABLE_H
#define WEAVE_FLOW_TABLE_H

#include <stddef.h>
#include <stdint.h>

#define FLOW_LEASE_MS 100
#define FLOW_SLOTS 512
/* Destination and source, as they begin a frame. */
#define FLOW_MACS 12

typedef struct {
  uint8_t macs[FLOW_MACS];
  /* Inner kind. */
  uint8_t kind;
  /* Of received frames: the key phase. */
  uint8_t phase;
  uint32_t session;
  /* Of received frames: the tag of their receive index. */
  uint32_t tag;
  /* Of frames from the TAP. */
  uint32_t path;
  /* Of frames from the TAP: the longest frame, or the longest that a super-frame is cut into. */
  uint32_t longest;
  /* On the clock of flow_now; 0 = a free slot. */
  uint64_t until;
} flow;

typedef struct {
  flow slots[FLOW_SLOTS];
} flow_table;

/* Milliseconds of a monotonic clock that is cheap to read and never 0. */
uint64_t flow_now(void);

/* The decision for a frame that begins with these addresses; null if there is none that still holds. */
const flow *flow_find(const flow_table *table, const uint8_t *macs, uint64_t now);

/* Keeps a decision from `now` on; it may take the place of another one. */
void flow_remember(flow_table *table, const flow *decision, uint64_t now);

void flow_forget_all(flow_table *table);

#endif
