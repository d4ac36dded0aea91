/*
 * A target of libFuzzer: whatever a host or a peer sends is cut, joined, taken or relayed within its bounds. Built and
 * run by native/fuzz.mjs with AddressSanitizer and UndefinedBehaviorSanitizer. The first byte of an input says what the
 * rest is. Sealing is a stand-in, so that the fuzzer gets past tags; all else is what ships.
 */
#include "../src/receive.c"

#include "../src/bytes.h"
#include "../src/cut.h"

#include <stdlib.h>

#define SESSION 1
#define DIRECT_INDEX 5
#define LABEL_INDEX 6
#define CUT_ROOM 65536

static void fuzz_cut(const uint8_t *data, size_t size);
static void fuzz_join(const uint8_t *data, size_t size);
static void fuzz_receive(const uint8_t *data, size_t size);
static void fuzz_state(const uint8_t *data, size_t size);

/* A copy that ends where its memory ends, so that no byte behind it is read unseen. */
static uint8_t *exact(const uint8_t *data, size_t size) {
  uint8_t *copy = malloc(size == 0 ? 1 : size);
  if (size > 0) memcpy(copy, data, size);
  return copy;
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size) {
  static void (*const targets[])(const uint8_t *, size_t) = {fuzz_cut, fuzz_join, fuzz_receive, fuzz_state};
  if (size > 0) targets[data[0] % 4](data + 1, size - 1);
  return 0;
}

/* segment u16 | frame */
static void fuzz_cut(const uint8_t *data, size_t size) {
  if (size < 2) return;
  uint32_t segment = be16(data), length = (uint32_t)size - 2;
  uint8_t *frame = exact(data + 2, length);
  cutter cut;
  if (cut_begin(&cut, frame, length, segment)) {
    for (uint32_t next = cut_next_length(&cut); next > 0; next = cut_next_length(&cut)) {
      if (next > segment) abort();
      uint8_t *out = malloc(next);
      cut_next(&cut, out);
      free(out);
    }
  }
  frame_layout layout;
  if (frame_layout_parse(frame, length, &layout) && layout.payload > length) abort();
  frame_complete_checksum(frame, length, segment & 0xff, segment >> 8);
  free(frame);
}

/* One after another: flags u8 | length u16 | frame */
static void fuzz_join(const uint8_t *data, size_t size) {
  uint8_t *copies[JOIN_SEGMENTS + 8];
  size_t count = 0, at = 0;
  static joiner join;
  join.count = 0;
  while (at + 3 <= size && count < sizeof copies / sizeof *copies) {
    uint8_t flags = data[at];
    uint32_t length = be16(data + at + 1);
    at += 3;
    if (length > size - at) length = (uint32_t)(size - at);
    uint8_t *frame = copies[count++] = exact(data + at, length);
    at += length;
    if (join_add(&join, frame, length, flags)) continue;
    int parts = 0;
    if (join.count > 0) join_take(&join, &parts);
    join_begin(&join, frame, length, flags);
  }
  if (join.count > 0) {
    int parts;
    size_t whole = 0;
    const struct iovec *out = join_take(&join, &parts);
    for (int i = 0; i < parts; i++) {
      uint8_t *copy = exact(out[i].iov_base, out[i].iov_len);
      whole += out[i].iov_len;
      free(copy);
    }
    if (whole > sizeof(struct virtio_net_hdr) + ETHERNET_HEADER + 8 + 65535) abort();
  }
  while (count > 0) free(copies[--count]);
}

static void *room(size_t bytes) {
  void *out = calloc(1, bytes);
  if (out == NULL) abort();
  return out;
}

/* An engine with a session of cookies and a key, a path, an index and a label. */
static engine *make_engine(size_t slot) {
  static const uint8_t key[AEAD_KEY] = {7};
  engine *self = room(sizeof *self);
  message_batch *batch = &self->messages;
  batch->data = room(slot == 0 ? 1 : slot);
  uint32_t **words[] = {&batch->offset, &batch->length, &batch->session, &batch->tag, &batch->wire_length};
  uint8_t **bytes[] = {&batch->kind, &batch->flags, &batch->phase, &batch->plain};
  for (size_t i = 0; i < sizeof words / sizeof *words; i++) *words[i] = room(MESSAGE_CAPACITY * sizeof(uint32_t));
  for (size_t i = 0; i < sizeof bytes / sizeof *bytes; i++) *bytes[i] = room(MESSAGE_CAPACITY);
  event_log_begin(&self->log, room(DROP_REASONS * sizeof(uint32_t)), room(EVENT_CAPACITY * EVENT_WORDS * 4),
                  room(EVENT_CAPACITY * ENDPOINT_BYTES));
  self->queue.log = &self->log;
  endpoint to = {{0}};
  state_add_session(&self->state, SESSION, key, key);
  state_add_key(&self->state, SESSION, 0, key, key);
  state_add_key(&self->state, SESSION, 1, key, key);
  state_add_index(&self->state, DIRECT_INDEX, SESSION, 0, true);
  state_set_path(&self->state, 1, &to, 9, AF_INET6);
  state_set_label(&self->state, (label){.index = LABEL_INDEX, .from = 1, .to = 1, .next_index = 8});
  return self;
}

static void free_engine(engine *self) {
  message_batch *batch = &self->messages;
  state_clear(&self->state);
  void *arrays[] = {batch->data,  batch->offset, batch->length, batch->session,    batch->tag,         batch->wire_length,
                    batch->kind,  batch->flags,  batch->phase,  batch->plain,      self->log.drops,    self->log.events,
                    self->log.sources};
  for (size_t i = 0; i < sizeof arrays / sizeof *arrays; i++) free(arrays[i]);
  free(self);
}

/* segment u16 | datagrams as the kernel joins them. What is taken lies within the slot. */
static void fuzz_receive(const uint8_t *data, size_t size) {
  if (size < 2) return;
  uint32_t segment = be16(data), length = (uint32_t)size - 2;
  engine *self = make_engine(length);
  endpoint from = {{0}};
  memcpy(self->messages.data, data + 2, length);
  take_slot(self, self->messages.data, length, segment, &from);
  const message_batch *batch = &self->messages;
  if (batch->count > SLOT_DATAGRAMS) abort();
  for (uint32_t i = 0; i < batch->count; i++) {
    if (batch->length[i] > length || batch->offset[i] > length - batch->length[i]) abort();
    free(exact(batch->data + batch->offset[i], batch->length[i]));
  }
  event_log_drain(&self->log);
  free_engine(self);
}

/* Changes of the state, three bytes each, in any order; datagrams in between meet whatever is there. */
static void fuzz_state(const uint8_t *data, size_t size) {
  static const uint8_t key[AEAD_KEY] = {7};
  uint8_t datagram[SHORTEST_DATAGRAM + 4] = {TYPE_SEALED};
  engine *self = make_engine(sizeof datagram);
  endpoint to = {{0}};
  for (size_t at = 0; at + 3 <= size; at += 3) {
    uint32_t a = data[at + 1] % 8, b = data[at + 2] % 8;
    to.bytes[15] = data[at + 2];
    switch (data[at] % 14) {
      case 0: state_add_session(&self->state, a, b == 0 ? NULL : key, key); break;
      case 1: state_remove_session(&self->state, a); break;
      case 2: state_add_key(&self->state, a, (uint8_t)b, key, key); break;
      case 3: state_remove_key(&self->state, a, (uint8_t)b); break;
      case 4: state_set_send_phase(&self->state, a, (uint8_t)b); break;
      case 5: state_set_direct(&self->state, a, b == 0 ? NULL : &to); break;
      case 6: state_add_index(&self->state, a, b, a, b % 2 == 0); break;
      case 7: state_remove_index(&self->state, a); break;
      case 8: state_set_path(&self->state, a, &to, b, b % 2 == 0 ? AF_INET6 : AF_INET); break;
      case 9: state_remove_path(&self->state, a); break;
      case 10: state_set_label(&self->state, (label){.index = a, .from = b, .to = b, .next_index = 1}); break;
      case 11: state_remove_label(&self->state, a); break;
      case 12: event_log_drain(&self->log); break;
      default:
        self->messages.count = 0;
        datagram[0] = data[at + 1] % 4 == 3 ? TYPE_PLAIN : TYPE_SEALED;
        datagram[1] = (uint8_t)b;
        datagram_set_index(datagram, a);
        datagram[8] = (uint8_t)at;
        memcpy(self->messages.data, datagram, sizeof datagram);
        take_slot(self, self->messages.data, sizeof datagram, 0, &to);
    }
  }
  free_engine(self);
}

/* The stand-ins. A tag that begins with a 0 is valid; opening reads and writes what the real one does. */

struct evp_cipher_ctx_st {
  uint8_t key[AEAD_KEY];
};

aead *aead_new_sealer(const uint8_t key[AEAD_KEY]) {
  aead *cipher = room(sizeof *cipher);
  memcpy(cipher->key, key, AEAD_KEY);
  return cipher;
}

aead *aead_new_opener(const uint8_t key[AEAD_KEY]) {
  return aead_new_sealer(key);
}

void aead_free(aead *cipher) {
  free(cipher);
}

bool aead_open(aead *cipher, uint64_t counter, uint8_t *text, size_t length) {
  uint8_t tag[AEAD_TAG];
  memcpy(tag, text + length, AEAD_TAG);
  for (size_t i = 0; i < length; i++) text[i] ^= cipher->key[(counter + i) % AEAD_KEY];
  return tag[0] == 0;
}

int CRYPTO_memcmp(const void *a, const void *b, size_t length) {
  return memcmp(a, b, length);
}

/* A frame whose destination is an even number is one of a flow that the switch has decided on. */
bool engine_repeat_write(engine *self, const flow *arrived, const uint8_t *frame, uint32_t length, uint8_t flags) {
  (void)self;
  (void)flags;
  if (length < ETHERNET_HEADER || arrived->kind == 0 || frame[5] % 2 != 0) return false;
  free(exact(frame, length));
  return true;
}

void engine_flush_joined(engine *self) {
  (void)self;
}

/* What is relayed leaves at once. */
void send_queue_add(send_queue *queue, path *to, uint8_t *bytes, uint32_t length) {
  (void)queue;
  if (to->number > 8) abort();
  free(exact(bytes, length));
}

void send_queue_flush(send_queue *queue) {
  (void)queue;
}
