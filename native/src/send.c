/* To the socket: entries of a plan are sealed one behind the other and leave in trains. */
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
static bool find_bytes(const engine *self, const send_plan *plan, uint32_t i, message *out);
static void send_message(engine *self, const message *entry);
static uint8_t *reserve(engine *self, uint32_t bytes);
static bool finish_sealed(engine *self, const message *entry, uint8_t *out, uint32_t inner);
static bool finish_plain(engine *self, const message *entry, uint8_t *out, uint32_t inner);

void engine_send(engine *self, const send_plan *plan) {
  if (self->socket_watch == NULL) return;
  for (uint32_t i = 0; i < plan->count; i++) send_entry(self, plan, i);
  send_queue_flush(&self->queue);
  self->out_used = 0;
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
  send_message(self, &entry);
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
  uint32_t inner = entry->prefix_length + entry->length;
  if (inner > LONGEST_DATAGRAM - DATAGRAM_OVERHEAD) return event_drop(&self->log, DROP_FRAME_TOO_LONG, 1);
  uint8_t *out = reserve(self, inner + DATAGRAM_OVERHEAD);
  uint8_t *text = out + DATAGRAM_HEADER;
  memcpy(text, entry->prefix, entry->prefix_length);
  memcpy(text + entry->prefix_length, entry->bytes, entry->length);
  bool finished = entry->plain ? finish_plain(self, entry, out, inner) : finish_sealed(self, entry, out, inner);
  if (!finished) return;
  self->out_used += inner + DATAGRAM_OVERHEAD;
  send_queue_add(&self->queue, entry->to, out, inner + DATAGRAM_OVERHEAD);
}

static uint8_t *reserve(engine *self, uint32_t bytes) {
  if (self->out_used + bytes > OUT_BYTES) {
    send_queue_flush(&self->queue);
    self->out_used = 0;
  }
  return self->out + self->out_used;
}

static bool finish_sealed(engine *self, const message *entry, uint8_t *out, uint32_t inner) {
  const session *from = entry->from;
  phase_keys *keys = from->send_phase < 0 ? NULL : session_phase(from, (uint8_t)from->send_phase);
  if (keys == NULL || keys->send_counter >= COUNTER_LIMIT) {
    event_drop(&self->log, keys == NULL ? DROP_KEY_UNKNOWN : DROP_COUNTER_EXHAUSTED, 1);
    return false;
  }
  uint64_t counter = keys->send_counter++;
  datagram_write_header(out, TYPE_SEALED, keys->phase, entry->to->send_index, counter);
  return aead_seal(keys->sealer, counter, out + DATAGRAM_HEADER, inner);
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
