/* The packet engine behind the port in router/engine/port.ts. */
#ifndef WEAVE_ENGINE_H
#define WEAVE_ENGINE_H

#include "engine_state.h"
#include "event_log.h"
#include "flow_table.h"
#include "frame_layout.h"
#include "send_queue.h"
#include "stand_in.h"
#include "tap_writer.h"
#include "watcher.h"

/* Sizes of the arrays that JavaScript provides: the same as in router/engine/native-layout.ts. */
#define FRAME_CAPACITY 64
#define FRAME_BYTES (1 << 20)
/* A slot takes what one call of recvmmsg gives for one message: up to 64 datagrams that the kernel has joined. */
#define RECEIVE_SLOTS 32
#define SLOT_BYTES 65536
#define SLOT_DATAGRAMS 64
#define MESSAGE_CAPACITY (RECEIVE_SLOTS * SLOT_DATAGRAMS)

#define OUT_BYTES (1 << 20)
/* Sealing borrows what lies around. */
#define OUT_ROOM (OUT_BYTES + 2 * AEAD_MARGIN)

/* Frames read from the TAP, as FrameBatch. */
typedef struct {
  uint32_t count;
  uint8_t *data;
  uint32_t *offset;
  uint32_t *length;
  uint32_t *segment;
  uint8_t *flags;
} frame_batch;

/* Opened datagrams, as MessageBatch; `data` is the slots, `sources` ENDPOINT_BYTES for each of them. */
typedef struct {
  uint32_t count;
  uint8_t *data;
  uint32_t *offset;
  uint32_t *length;
  uint8_t *kind;
  uint8_t *flags;
  uint32_t *session;
  uint32_t *tag;
  uint8_t *phase;
  uint8_t *plain;
  uint32_t *wire_length;
  uint8_t *sources;
} message_batch;

/* Datagrams that were written, and their bytes of UDP payload. */
typedef struct {
  uint32_t datagrams;
  uint32_t bytes;
} sent_sum;

typedef struct {
  napi_ref arrays;
  engine_state state;
  event_log log;
  frame_batch frames;
  message_batch messages;
  send_queue queue;
  tap_writer writer;
  /* What to repeat for frames of the TAP, and for received ones. */
  flow_table outgoing;
  flow_table incoming;
  /* Whether the batch was read before JavaScript asked for it, which it has not yet. */
  bool frames_held;
  bool messages_held;
  /* From here on every datagram of the batch is for the switch, so that none overtakes another. */
  bool asks;
  uint64_t now;
  /* When JavaScript took the events. */
  uint64_t drained_at;
  /* A frame was written to the TAP, which it may have answered. */
  bool wrote;
  /* Of lone.h. */
  uint32_t lone_frames;
  uint32_t lone_messages;
  /* Datagrams until the queue is flushed: OUT_BYTES between margins. */
  uint8_t *out;
  size_t out_used;
  sent_sum sent;
  /* Datagrams sealed and received, and waits for them, to bound a stay in C; it may wrap. */
  uint32_t moved;
  stand_in stand_in;
  int socket;
  int family;
  /* How many messages the next recvmmsg asks for beyond two. */
  uint32_t further_slots;
  watcher *socket_watch;
  bool socket_broken;
  int tap;
  watcher *tap_watch;
  bool tap_broken;
  /* SO_RXQ_OVFL at the last receive. */
  uint32_t overflows;
} engine;

/* A send plan; all arrays have `count` entries at least. */
typedef struct {
  uint32_t count;
  const uint8_t *source;
  const uint32_t *item;
  const uint32_t *offset;
  const uint32_t *length;
  const uint8_t *prefixes;
  const uint8_t *prefix_length;
  const uint32_t *session;
  const uint32_t *path;
  const uint8_t *plain;
  const uint32_t *repeat;
  const uint8_t *scratch;
  size_t scratch_bytes;
} send_plan;

typedef struct {
  uint32_t count;
  const uint8_t *source;
  const uint32_t *item;
  const uint32_t *offset;
  const uint32_t *length;
  const uint8_t *flags;
  const uint8_t *repeat;
  uint8_t *scratch;
  size_t scratch_bytes;
} write_plan;

#define SOURCE_TAP 0
#define SOURCE_RECEIVED 1
#define SOURCE_SCRATCH 2
#define PREFIX_STRIDE 32

/*
 * What is readable by the bits of `ready`, and what comes to be while the event loop has nothing else to do, is moved as
 * far as decisions are there to repeat; the rest is held for the next engine_read_frames and engine_receive. `context` is
 * the engine. True if JavaScript is wanted.
 */
bool engine_on_ready(void *context, uint32_t ready);

void engine_read_frames(engine *self);
void engine_receive(engine *self);
/* Reads what is there, and holds what is not to be repeated. Only while nothing is held. */
void engine_fill_frames(engine *self);
void engine_fill_messages(engine *self);
void engine_send(engine *self, const send_plan *plan);
void engine_write_frames(engine *self, const write_plan *plan);

/* Sends frame `i` of the batch, the newest, by a decision that is there to repeat; false if there is none. */
bool engine_repeat_send(engine *self, uint32_t i);
void engine_finish_send(engine *self);
/* Writes a frame that was received as `arrived` says; its bytes stay as they are until engine_flush_joined. */
bool engine_repeat_write(engine *self, const flow *arrived, const uint8_t *frame, uint32_t length, uint8_t flags);
void engine_flush_joined(engine *self);

#endif
