/* Cuts a TCP super-frame at its segment boundaries, as a network card does (TSO). */
#ifndef WEAVE_CUT_H
#define WEAVE_CUT_H

#include "segment.h"

#include <stdbool.h>
#include <stdint.h>

typedef struct {
  const uint8_t *frame;
  frame_layout layout;
  /* Payload bytes of every segment but the last. */
  uint32_t chunk;
  /* Offset of the payload that comes next; `length` = all is cut. */
  uint32_t next;
  uint32_t length;
  uint16_t index;
  /* Of a plain layout: those of a segment with `chunk` bytes, but for what differs from one to the next. */
  uint8_t headers[LONGEST_HEADERS];
} cutter;

/*
 * `segment`: length of the largest frame to make. False if the frame is no TCP whose lengths agree, or leaves no room
 * for payload in a segment.
 */
bool cut_begin(cutter *self, const uint8_t *frame, uint32_t length, uint32_t segment);

/* Length of the next segment's frame; 0 = there is none. */
uint32_t cut_next_length(const cutter *self);

/* Writes the next segment's frame, with a partial checksum if the layout is plain and a complete one if not. */
void cut_next(cutter *self, uint8_t *out);

#endif
