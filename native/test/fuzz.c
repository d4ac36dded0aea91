/*
 * A target of libFuzzer: whatever a host or a peer sends is cut, joined, taken, relayed, or moved as the switch decided
 * before, within its bounds. Built and
 * run by native/fuzz.mjs with AddressSanitizer and UndefinedBehaviorSanitizer. The first byte of an input says what the
 * rest is. Sealing is a stand-in, so that the fuzzer gets past tags; all else is what ships.
 */
#include "../src/receive.c"

#include "../src/bytes.h"
#include "../src/cut.h"
#include "../src/tap_device.h"

#include <stdlib.h>

#define SESSION 1
#define DIRECT_INDEX 5
#define LABEL_INDEX 6
#define CUT_ROOM 65536

static void fuzz_cut(const uint8_t *data, size_t size);
static void fuzz_join(const uint8_t *data, size_t size);
static void fuzz_receive(const uint8_t *data, size_t size);
static void fuzz_state(const uint8_t *data, size_t size);
static void fuzz_flows(const uint8_t *data, size_t size);

/* A copy that ends where its memory ends, so that no byte behind it is read unseen. */
static uint8_t *exact(const uint8_t *data, size_t size) {
  uint8_t *copy = malloc(size == 0 ? 1 : size);
  if (size > 0) memcpy(copy, data, size);
  return copy;
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size) {
  static void (*const targets[])(const uint8_t *, size_t) = {fuzz_cut, fuzz_join, fuzz_receive, fuzz_state,
                                                                 fuzz_flows};
  if (size > 0) targets[data[0] % 5](data + 1, size - 1);
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
  self->queue.fd = -1;
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
  send_queue_flush(&self->queue);
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
        send_queue_flush(&self->queue);
    }
  }
  free_engine(self);
}

/* What the TAP gives next, once. */
static struct {
  const uint8_t *head;
  tap_frame frame;
  uint32_t head_bytes;
  bool waits;
} from_host;

/* Arrays as large as JavaScript's, kept from one input to the next. */
static void lend_arrays(engine *self) {
  static frame_batch frames;
  static uint8_t *slots, *out;
  if (slots == NULL) {
    slots = room((size_t)RECEIVE_SLOTS * SLOT_BYTES);
    out = room(OUT_ROOM);
    frames.data = room(FRAME_BYTES);
    uint32_t **words[] = {&frames.offset, &frames.length, &frames.segment};
    for (size_t i = 0; i < sizeof words / sizeof *words; i++) *words[i] = room(FRAME_CAPACITY * sizeof(uint32_t));
    frames.flags = room(FRAME_CAPACITY);
  }
  free(self->messages.data);
  self->messages.data = slots;
  self->out = out;
  self->frames = frames;
  self->frames.count = 0;
  /* Only whether they are there is looked at. */
  self->tap_watch = self->socket_watch = (watcher *)(void *)self;
  state_set_send_phase(&self->state, SESSION, 0);
}

/* One entry of a plan: where its bytes lie, and what may be repeated. `a` and `b` choose, `c` is a length. */
typedef struct {
  uint32_t item, offset, length, session, path, repeat;
  uint8_t source, prefix_length, plain, flags, repeats;
  uint8_t prefixes[PREFIX_STRIDE];
  uint8_t scratch[64];
} one_entry;

static one_entry choose_entry(const engine *self, uint8_t a, uint8_t b, uint16_t c) {
  one_entry entry = {.item = b % 4, .offset = c, .length = c, .session = SESSION, .path = 1, .repeat = c};
  entry.source = a % 4;
  entry.prefix_length = (b & 64) == 0 ? INNER_HEADER : b % 40;
  entry.plain = (a & 32) != 0;
  entry.flags = b >> 7;
  entry.repeats = (a & 16) != 0;
  entry.prefixes[0] = 1;
  /* Most of them whole, as the switch plans them. */
  if ((a & 64) != 0) return entry;
  bool host = entry.source == SOURCE_TAP && entry.item < self->frames.count;
  bool peer = entry.source == SOURCE_RECEIVED && entry.item < self->messages.count;
  if (host) entry.offset = self->frames.offset[entry.item], entry.length = self->frames.length[entry.item];
  if (peer) entry.offset = self->messages.offset[entry.item], entry.length = self->messages.length[entry.item];
  return entry;
}

static void send_one(engine *self, uint8_t a, uint8_t b, uint16_t c) {
  one_entry entry = choose_entry(self, a, b, c);
  send_plan plan = {
      .count = 1,
      .source = &entry.source,
      .item = &entry.item,
      .offset = &entry.offset,
      .length = &entry.length,
      .prefixes = entry.prefixes,
      .prefix_length = &entry.prefix_length,
      .session = &entry.session,
      .path = &entry.path,
      .plain = &entry.plain,
      .repeat = &entry.repeat,
      .scratch = entry.scratch,
      .scratch_bytes = sizeof entry.scratch,
  };
  engine_send(self, &plan);
}

static void write_one(engine *self, uint8_t a, uint8_t b, uint16_t c) {
  one_entry entry = choose_entry(self, a, b, c);
  write_plan plan = {
      .count = 1,
      .source = &entry.source,
      .item = &entry.item,
      .offset = &entry.offset,
      .length = &entry.length,
      .flags = &entry.flags,
      .repeat = &entry.repeats,
      .scratch = entry.scratch,
      .scratch_bytes = sizeof entry.scratch,
  };
  engine_write_frames(self, &plan);
}

/* A frame of the host of `c` bytes that begins with these. */
static void host_sends(engine *self, uint8_t b, uint16_t c, const uint8_t *head, uint32_t head_bytes) {
  uint32_t length = ETHERNET_HEADER + c;
  if (length > LONGEST_FRAME) length = LONGEST_FRAME;
  if (head_bytes > length) head_bytes = length;
  uint32_t segment = (b & 0x7e) == 0 ? length : LONGEST_HEADERS + (b & 0x7e);
  from_host.frame = (tap_frame){.length = length, .segment = segment < length ? segment : length, .segments = 1, .flags = b & 1};
  from_host.head = head;
  from_host.head_bytes = head_bytes;
  from_host.waits = true;
  engine_read_frames(self);
  /* What no room was left for, or what a batch before it kept from being read. */
  from_host.waits = false;
}

/* Datagrams as they come from a peer, whose plaintext begins with these bytes. */
static void peer_sends(engine *self, uint8_t a, uint64_t counter, const uint8_t *text, uint32_t length) {
  static const endpoint from;
  uint8_t *datagram = self->messages.data;
  memset(datagram, 0, DATAGRAM_HEADER);
  datagram_write_header(datagram, a % 8 == 7 ? TYPE_PLAIN : TYPE_SEALED, a >> 7, DIRECT_INDEX, counter);
  memcpy(datagram + DATAGRAM_HEADER, text, length);
  memset(datagram + DATAGRAM_HEADER + length, 0, DATAGRAM_TAG);
  self->messages.count = 0;
  self->asks = false;
  self->now = flow_now();
  take_slot(self, datagram, DATAGRAM_OVERHEAD + length, 0, &from);
  engine_flush_joined(self);
}

/* Frames, datagrams and decisions in any order: what | a | b | c u16 | length u8 | bytes. */
static void fuzz_flows(const uint8_t *data, size_t size) {
  engine *self = make_engine(0);
  lend_arrays(self);
  for (size_t at = 0; at + 6 <= size;) {
    const uint8_t *step = data + at, *bytes = step + 6;
    uint16_t c = be16(step + 3);
    uint32_t length = step[5];
    if (length > size - at - 6) length = (uint32_t)(size - at - 6);
    at += 6 + length;
    switch (step[0] % 5) {
      case 0: host_sends(self, step[2], c, bytes, length); break;
      case 1: send_one(self, step[1], step[2], c); break;
      case 2: peer_sends(self, step[1], at, bytes, length); break;
      case 3: write_one(self, step[1], step[2], c); break;
      default: flow_forget_all(step[1] % 2 == 0 ? &self->outgoing : &self->incoming);
    }
  }
  self->messages.data = NULL;
  free_engine(self);
}

/* The stand-ins. A tag that begins with a 0 is valid; opening reads and writes what the real one does. */

struct cipher_parts {
  uint8_t key[AEAD_KEY];
};

aead *aead_new(const uint8_t key[AEAD_KEY]) {
  aead *cipher = room(sizeof *cipher);
  memcpy(cipher->key, key, AEAD_KEY);
  return cipher;
}

void aead_free(aead *cipher) {
  free(cipher);
}

static void apply_stand_in(const aead *cipher, const aead_text *text, size_t length) {
  for (size_t i = 0; i < length; i++) text->bytes[i] ^= cipher->key[(text->counter + i) % AEAD_KEY];
}

aead_set aead_open(aead *cipher, const aead_text *texts, size_t count, size_t length) {
  aead_set valid = 0;
  for (size_t i = 0; i < count; i++) {
    uint8_t tag[AEAD_TAG];
    memcpy(tag, texts[i].bytes + length, AEAD_TAG);
    apply_stand_in(cipher, &texts[i], length);
    if (tag[0] == 0) valid |= (aead_set)(1u << i);
  }
  return valid;
}

int CRYPTO_memcmp(const void *a, const void *b, size_t length) {
  return memcmp(a, b, length);
}

static void borrow(uint8_t *margin) {
  uint8_t kept[AEAD_MARGIN];
  memcpy(kept, margin, AEAD_MARGIN);
  memset(margin, 1, AEAD_MARGIN);
  memcpy(margin, kept, AEAD_MARGIN);
}

bool aead_seal(aead *cipher, const aead_text *texts, size_t count, size_t length) {
  if (count == 0 || count > AEAD_BATCH) abort();
  for (size_t i = 0; i < count; i++) {
    borrow(texts[i].bytes - AEAD_MARGIN);
    borrow(texts[i].bytes + length);
    apply_stand_in(cipher, &texts[i], length);
    memset(texts[i].bytes + length, 0, AEAD_TAG);
  }
  return true;
}

tap_read_result tap_device_read(int fd, uint8_t *into, tap_frame *out) {
  (void)fd;
  if (!from_host.waits) return TAP_EMPTY;
  from_host.waits = false;
  if (from_host.frame.length > LONGEST_FRAME) abort();
  memset(into, 5, TAP_HEADER + from_host.frame.length);
  memcpy(into + TAP_HEADER, from_host.head, from_host.head_bytes);
  *out = from_host.frame;
  return TAP_FRAME;
}

tap_write_result tap_device_write(int fd, const uint8_t *frame, size_t length, uint8_t flags) {
  (void)fd;
  free(exact(frame, length));
  return (tap_write_result)(flags % 3);
}

tap_write_result tap_device_write_parts(int fd, const struct iovec *parts, int count) {
  (void)fd;
  uint32_t bytes = 0;
  for (int i = 0; i < count; i++) {
    free(exact(parts[i].iov_base, parts[i].iov_len));
    bytes += (uint32_t)parts[i].iov_len;
  }
  /* As kernels that do not know joined datagrams do. */
  return bytes % 4 == 0 ? TAP_REFUSED : TAP_WRITTEN;
}

/* By how many they are, with errno set. */
static bool refuses(size_t bytes) {
  static const int errors[] = {EAGAIN, EMSGSIZE, EINVAL, ENETUNREACH};
  errno = errors[bytes % 4];
  return bytes % 8 < 4;
}

/* What leaves is read, and now and then refused. */
int sendmmsg(int fd, struct mmsghdr *messages, unsigned count, int flags) {
  (void)fd, (void)flags;
  size_t bytes = 0;
  for (unsigned i = 0; i < count; i++) {
    const struct msghdr *message = &messages[i].msg_hdr;
    for (size_t part = 0; part < message->msg_iovlen; part++) {
      free(exact(message->msg_iov[part].iov_base, message->msg_iov[part].iov_len));
      bytes += message->msg_iov[part].iov_len;
    }
  }
  return refuses(bytes) ? -1 : (int)count;
}

ssize_t sendto(int fd, const void *bytes, size_t length, int flags, const struct sockaddr *to, socklen_t to_length) {
  (void)fd, (void)flags, (void)to, (void)to_length;
  free(exact(bytes, length));
  return refuses(length) ? -1 : (ssize_t)length;
}
