/* Frames from and to the TAP. */
#include "engine.h"
#include "lone.h"
#include "tap_device.h"

#include <string.h>

static void remember_write(engine *self, const write_plan *plan, uint32_t i);
static void write_entry(engine *self, const write_plan *plan, uint32_t i);
static void write_frame(engine *self, const uint8_t *frame, uint32_t length, uint8_t flags);
static void finish_writes(engine *self);

void engine_read_frames(engine *self) {
  if (!self->frames_held) engine_fill_frames(self);
  self->frames_held = false;
}

/* Frames that go by a decision that is there leave no trace in the batch. */
void engine_fill_frames(engine *self) {
  frame_batch *batch = &self->frames;
  batch->count = 0;
  size_t used = 0;
  bool asks = false;
  self->now = flow_now();
  bool looks = !lone_spares_look(self->lone_frames);
  uint32_t most = looks ? FRAME_CAPACITY : 1, tries = 0, datagrams = 0;
  /* What is dropped counts too: an error that stays must not hold the thread. */
  for (; tries < most && datagrams < READ_DATAGRAMS; tries++) {
    if (self->tap_watch == NULL || FRAME_BYTES - used < TAP_HEADER + LONGEST_FRAME) break;
    tap_frame frame;
    tap_read_result result = tap_device_read(self->tap, batch->data + used, &frame);
    if (result == TAP_GONE) self->tap_broken = true;
    if (result == TAP_GONE || result == TAP_EMPTY) break;
    if (result == TAP_MALFORMED) {
      event_drop(&self->log, DROP_FRAME_MALFORMED, 1);
      continue;
    }
    datagrams += frame.segments;
    uint32_t i = batch->count;
    batch->offset[i] = (uint32_t)(used + TAP_HEADER);
    batch->length[i] = frame.length;
    batch->segment[i] = frame.segment;
    batch->flags[i] = frame.flags;
    if (!asks && engine_repeat_send(self, i)) continue;
    /* Those behind it must not overtake it. */
    asks = true;
    batch->count++;
    used += TAP_HEADER + frame.length;
  }
  engine_finish_send(self);
  lone_note(&self->lone_frames, looks, datagrams);
  self->frames_held = batch->count > 0;
}

void engine_write_frames(engine *self, const write_plan *plan) {
  for (uint32_t i = 0; i < plan->count; i++) write_entry(self, plan, i);
  finish_writes(self);
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
  if (plan->repeat[i] == 1 && received) remember_write(self, plan, i);
}

/* Only a whole frame that came sealed. */
static void remember_write(engine *self, const write_plan *plan, uint32_t i) {
  const message_batch *batch = &self->messages;
  uint32_t item = plan->item[i];
  if (item >= batch->count || batch->offset[item] != plan->offset[i] || batch->plain[item] != 0) return;
  flow decision = {
      .kind = batch->kind[item],
      .phase = batch->phase[item],
      .session = batch->session[item],
      .tag = batch->tag[item],
  };
  memcpy(decision.macs, batch->data + plan->offset[i], FLOW_MACS);
  flow_remember(&self->incoming, &decision, flow_now());
}

bool engine_repeat_write(engine *self, const flow *arrived, const uint8_t *frame, uint32_t length, uint8_t flags) {
  if (length < ETHERNET_HEADER || length > LONGEST_FRAME || self->tap_watch == NULL) return false;
  const flow *decision = flow_find(&self->incoming, frame, self->now);
  if (decision == NULL || decision->kind != arrived->kind || decision->phase != arrived->phase) return false;
  if (decision->session != arrived->session || decision->tag != arrived->tag) return false;
  write_frame(self, frame, length, flags);
  return true;
}

void engine_flush_joined(engine *self) {
  finish_writes(self);
}

static void write_frame(engine *self, const uint8_t *frame, uint32_t length, uint8_t flags) {
  self->wrote = true;
  tap_writer_add(&self->writer, self->tap, frame, length, flags);
}

/* Nothing is open any more afterwards: the bytes of the frames are the caller's again. */
static void finish_writes(engine *self) {
  tap_writer *writer = &self->writer;
  tap_writer_end(writer, self->tap);
  self->tap_broken |= writer->gone;
  if (writer->refused > 0) event_drop(&self->log, DROP_FRAME_MALFORMED, writer->refused);
  if (writer->crowded_out > 0) event_drop(&self->log, DROP_TAP_QUEUE_FULL, writer->crowded_out);
  writer->gone = false;
  writer->refused = writer->crowded_out = 0;
}
