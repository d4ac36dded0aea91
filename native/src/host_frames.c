/* Frames from and to the TAP. */
#include "engine.h"
#include "tap_device.h"

static void write_entry(engine *self, const write_plan *plan, uint32_t i);
static void write_frame(engine *self, const uint8_t *frame, uint32_t length, uint8_t flags);
static void write_joined(engine *self);
static void note_result(engine *self, tap_write_result result, uint32_t frames);

void engine_read_frames(engine *self) {
  frame_batch *batch = &self->frames;
  batch->count = 0;
  size_t used = 0;
  while (self->tap_watch != NULL && batch->count < FRAME_CAPACITY && used + LONGEST_FRAME <= FRAME_BYTES) {
    tap_frame frame;
    tap_read_result result = tap_device_read(self->tap, batch->data + used, LONGEST_FRAME, &frame);
    if (result == TAP_GONE) self->tap_broken = true;
    if (result == TAP_GONE || result == TAP_EMPTY) break;
    if (result == TAP_MALFORMED) {
      event_drop(&self->log, DROP_FRAME_MALFORMED, 1);
      continue;
    }
    uint32_t i = batch->count++;
    batch->offset[i] = (uint32_t)used;
    batch->length[i] = frame.length;
    batch->segment[i] = frame.segment;
    batch->flags[i] = frame.flags;
    used += frame.length;
  }
}

void engine_write_frames(engine *self, const write_plan *plan) {
  for (uint32_t i = 0; i < plan->count; i++) write_entry(self, plan, i);
  write_joined(self);
}

static void write_entry(engine *self, const write_plan *plan, uint32_t i) {
  bool received = plan->source[i] == SOURCE_RECEIVED;
  const uint8_t *data = received ? self->messages.data : plan->scratch;
  size_t room = received ? (size_t)RECEIVE_SLOTS * SLOT_BYTES : plan->scratch_bytes;
  uint32_t length = plan->length[i];
  if (plan->offset[i] > room || length > room - plan->offset[i] || length < ETHERNET_HEADER)
    return event_drop(&self->log, DROP_FRAME_MALFORMED, 1);
  if (length > LONGEST_FRAME) return event_drop(&self->log, DROP_FRAME_TOO_LONG, 1);
  if (self->tap_watch == NULL) return event_drop(&self->log, DROP_TAP_QUEUE_FULL, 1);
  write_frame(self, data + plan->offset[i], length, plan->flags[i]);
}

/* A frame that does not continue the open one ends it, so that frames keep their order. */
static void write_frame(engine *self, const uint8_t *frame, uint32_t length, uint8_t flags) {
  if (join_add(&self->joiner, frame, length, flags)) return;
  write_joined(self);
  if (join_begin(&self->joiner, frame, length, flags)) return;
  note_result(self, tap_device_write(self->tap, frame, length, flags), 1);
}

/* Nothing is open any more afterwards: the bytes of the frames are the caller's again. */
static void write_joined(engine *self) {
  uint32_t frames = self->joiner.count;
  if (frames == 0) return;
  int parts;
  const struct iovec *whole = join_take(&self->joiner, &parts);
  note_result(self, tap_device_write_parts(self->tap, whole, parts), frames);
}

static void note_result(engine *self, tap_write_result result, uint32_t frames) {
  if (result == TAP_WRITE_GONE) self->tap_broken = true;
  if (result == TAP_REFUSED) event_drop(&self->log, DROP_FRAME_MALFORMED, frames);
  else if (result != TAP_WRITTEN) event_drop(&self->log, DROP_TAP_QUEUE_FULL, frames);
}
