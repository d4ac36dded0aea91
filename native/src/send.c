/* To the socket: entries of a plan are written one behind the other, sealed, and leave in trains. */
#include "cut.h"
#include "datagram.h"
#include "engine.h"

#include <string.h>

/* One inner message: a prefix, then the bytes. */
typedef struct {
  session *from;
  path *to;
  const uint8_t *prefix;
  uint32_t prefix_length;
  const uint8_t *bytes;
  uint32_t length;
  bool plain;
} message;

static void send_entry(engine *self, const send_plan *plan, uint32_t i);
static void remember_send(engine *self, const send_plan *plan, uint32_t i);
static bool find_bytes(const engine *self, const send_plan *plan, uint32_t i, message *out);
static bool is_super_frame(const engine *self, const send_plan *plan, uint32_t i);
static void send_segments(engine *self, const message *frame, uint32_t segment);
static void send_message(engine *self, const message *entry);
static uint8_t *begin(engine *self, const message *entry);
static bool finish(engine *self, const message *entry, uint8_t *out);
static uint8_t *reserve(engine *self, uint32_t bytes);
static bool finish_sealed(engine *self, const message *entry, uint8_t *out, aead **sealer);
static bool finish_plain(engine *self, const message *entry, uint8_t *out, uint32_t inner);

void engine_send(engine *self, const send_plan *plan) {
  if (self->socket_watch == NULL) return;
  for (uint32_t i = 0; i < plan->count; i++) send_entry(self, plan, i);
  engine_finish_send(self);
}

void engine_finish_send(engine *self) {
  send_queue_flush(&self->queue);
  self->out_used = 0;
}

bool engine_repeat_send(engine *self, uint32_t i) {
  const frame_batch *batch = &self->frames;
  const uint8_t *bytes = batch->data + batch->offset[i];
  const flow *decision = flow_find(&self->outgoing, bytes, self->now);
  if (decision == NULL || batch->segment[i] > decision->longest || self->socket_watch == NULL) return false;
  const uint8_t prefix[INNER_HEADER] = {decision->kind, batch->flags[i]};
  message frame = {
      .from = state_session(&self->state, decision->session),
      .to = state_path(&self->state, decision->path),
      .prefix = prefix,
      .prefix_length = INNER_HEADER,
      .bytes = bytes,
      .length = batch->length[i],
  };
  if (frame.from == NULL || frame.to == NULL) return false;
  self->sent = (sent_sum){0};
  if (batch->segment[i] < frame.length) send_segments(self, &frame, batch->segment[i]);
  else send_message(self, &frame);
  event_repeated(&self->log, &frame.from->sent, EVENT_SENT, frame.from->number, self->sent.datagrams,
                 self->sent.bytes);
  return true;
}

static void send_entry(engine *self, const send_plan *plan, uint32_t i) {
  message entry = {
      .from = state_session(&self->state, plan->session[i]),
      .to = state_path(&self->state, plan->path[i]),
      .prefix = plan->prefixes + (size_t)i * PREFIX_STRIDE,
      .prefix_length = plan->prefix_length[i],
      .plain = plan->plain[i] == 1,
  };
  if (entry.to == NULL) return event_drop(&self->log, DROP_PATH_UNKNOWN, 1);
  if (entry.from == NULL) return event_drop(&self->log, DROP_KEY_UNKNOWN, 1);
  if (!find_bytes(self, plan, i, &entry)) return event_drop(&self->log, DROP_FRAME_MALFORMED, 1);
  if (is_super_frame(self, plan, i)) send_segments(self, &entry, self->frames.segment[plan->item[i]]);
  else send_message(self, &entry);
  if (plan->repeat[i] != 0) remember_send(self, plan, i);
}

/* Only a whole frame of the TAP with nothing but kind and flags before it, which are the frame's own. */
static void remember_send(engine *self, const send_plan *plan, uint32_t i) {
  uint32_t item = plan->item[i];
  if (plan->source[i] != SOURCE_TAP || item >= self->frames.count || plan->plain[i] != 0) return;
  if (plan->offset[i] != self->frames.offset[item] || plan->prefix_length[i] != INNER_HEADER) return;
  flow decision = {
      .kind = plan->prefixes[(size_t)i * PREFIX_STRIDE],
      .session = plan->session[i],
      .path = plan->path[i],
      .longest = plan->repeat[i],
  };
  memcpy(decision.macs, self->frames.data + plan->offset[i], FLOW_MACS);
  flow_remember(&self->outgoing, &decision, flow_now());
}

/* Only a frame of the TAP that is planned whole can be cut. */
static bool is_super_frame(const engine *self, const send_plan *plan, uint32_t i) {
  uint32_t item = plan->item[i];
  if (plan->source[i] != SOURCE_TAP || item >= self->frames.count) return false;
  return plan->offset[i] == self->frames.offset[item] && plan->length[i] == self->frames.length[item] &&
         self->frames.segment[item] < plan->length[i];
}

/* Every segment is a message of its own with the prefix of the frame. */
static void send_segments(engine *self, const message *frame, uint32_t segment) {
  cutter cut;
  if (!cut_begin(&cut, frame->bytes, frame->length, segment))
    return event_drop(&self->log, DROP_FRAME_MALFORMED, 1);
  message piece = *frame;
  while ((piece.length = cut_next_length(&cut)) > 0) {
    uint8_t *body = begin(self, &piece);
    if (body == NULL) return;
    cut_next(&cut, body);
    if (!finish(self, &piece, body)) return;
  }
}

/* False if the entry does not lie within its source. */
static bool find_bytes(const engine *self, const send_plan *plan, uint32_t i, message *out) {
  const uint8_t *data = plan->scratch;
  size_t room = plan->scratch_bytes;
  if (plan->source[i] == SOURCE_TAP) {
    data = self->frames.data;
    room = FRAME_BYTES;
  } else if (plan->source[i] == SOURCE_RECEIVED) {
    data = self->messages.data;
    room = (size_t)RECEIVE_SLOTS * SLOT_BYTES;
  }
  if (plan->offset[i] > room || plan->length[i] > room - plan->offset[i]) return false;
  if (out->prefix_length > PREFIX_STRIDE) return false;
  out->bytes = data + plan->offset[i];
  out->length = plan->length[i];
  return out->prefix_length + out->length >= INNER_HEADER;
}

static void send_message(engine *self, const message *entry) {
  uint8_t *body = begin(self, entry);
  if (body == NULL) return;
  memcpy(body, entry->bytes, entry->length);
  finish(self, entry, body);
}

/* Writes the prefix; returns where the bytes belong, or null if they are too many. */
static uint8_t *begin(engine *self, const message *entry) {
  if (entry->length > LONGEST_DATAGRAM - DATAGRAM_OVERHEAD - entry->prefix_length) {
    event_drop(&self->log, DROP_FRAME_TOO_LONG, 1);
    return NULL;
  }
  uint8_t *out = reserve(self, DATAGRAM_OVERHEAD + entry->prefix_length + entry->length);
  memcpy(out + DATAGRAM_HEADER, entry->prefix, entry->prefix_length);
  return out + DATAGRAM_HEADER + entry->prefix_length;
}

/* False if there is nothing to seal it with, nor any other of the session. */
static bool finish(engine *self, const message *entry, uint8_t *body) {
  uint32_t inner = entry->prefix_length + entry->length;
  uint8_t *out = body - entry->prefix_length - DATAGRAM_HEADER;
  uint8_t kind = out[DATAGRAM_HEADER];
  aead *sealer = NULL;
  bool finished = entry->plain ? finish_plain(self, entry, out, inner) : finish_sealed(self, entry, out, &sealer);
  if (!finished) return false;
  queued_datagram datagram = {
      .bytes = out,
      .length = inner + DATAGRAM_OVERHEAD,
      .to = entry->to,
      .sealer = sealer,
      .of_link = kind < FIRST_FRAME_KIND || kind > LAST_FRAME_KIND,
  };
  self->out_used += datagram.length;
  self->moved++;
  self->sent.datagrams++;
  self->sent.bytes += datagram.length;
  send_queue_add(&self->queue, &datagram);
  return true;
}

static uint8_t *reserve(engine *self, uint32_t bytes) {
  if (self->out_used + bytes > OUT_BYTES) {
    send_queue_flush(&self->queue);
    self->out_used = 0;
  }
  return self->out + AEAD_MARGIN + self->out_used;
}

static bool finish_sealed(engine *self, const message *entry, uint8_t *out, aead **sealer) {
  const session *from = entry->from;
  phase_keys *keys = from->send_phase < 0 ? NULL : session_phase(from, (uint8_t)from->send_phase);
  if (keys == NULL || keys->send_counter >= COUNTER_LIMIT) {
    event_drop(&self->log, keys == NULL ? DROP_KEY_UNKNOWN : DROP_COUNTER_EXHAUSTED, 1);
    return false;
  }
  uint64_t counter = keys->send_counter++;
  datagram_write_header(out, TYPE_SEALED, keys->phase, entry->to->send_index, counter);
  *sealer = keys->sealer;
  return true;
}

static bool finish_plain(engine *self, const message *entry, uint8_t *out, uint32_t inner) {
  session *from = entry->from;
  if (!from->has_cookies || from->plain_counter >= COUNTER_LIMIT) {
    event_drop(&self->log, from->has_cookies ? DROP_COUNTER_EXHAUSTED : DROP_KEY_UNKNOWN, 1);
    return false;
  }
  datagram_write_header(out, TYPE_PLAIN, 0, entry->to->send_index, from->plain_counter++);
  memcpy(out + DATAGRAM_HEADER + inner, from->send_cookie, COOKIE_BYTES);
  return true;
}
