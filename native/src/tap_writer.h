/* Frames on their way to the TAP: those that continue one another are written as one super-frame. */
#ifndef WEAVE_TAP_WRITER_H
#define WEAVE_TAP_WRITER_H

#include "join.h"

#include <stdbool.h>
#include <stdint.h>

typedef struct {
  joiner joiner;
  /* Frames that were not written since the owner last took note: not such as the TAP takes, or it had no room. */
  uint32_t refused;
  uint32_t crowded_out;
  /* The device is gone. */
  bool gone;
} tap_writer;

/* Writes a frame, or keeps it to be joined; its bytes stay in place until tap_writer_end. */
void tap_writer_add(tap_writer *self, int fd, const uint8_t *frame, uint32_t length, uint8_t flags);

/* Writes what is open. Nothing is afterwards: the bytes of the frames are the caller's again. */
void tap_writer_end(tap_writer *self, int fd);

#endif
