/* From the socket: datagrams are opened where they lie, or relayed. */
#include "datagram.h"
#include "engine.h"
#include "lone.h"

#include <errno.h>
#include <netinet/udp.h>
#include <openssl/crypto.h>
#include <string.h>
#include <sys/socket.h>

typedef struct {
  uint8_t *bytes;
  uint32_t length;
  const endpoint *from;
} arrival;

/* Room for UDP_GRO and SO_RXQ_OVFL. */
typedef struct {
  alignas(struct cmsghdr) uint8_t bytes[2 * CMSG_SPACE(sizeof(uint32_t))];
} receive_control;

static int receive_slots(engine *self, bool looks, struct mmsghdr *slots, socket_address *from, receive_control *controls);
static int fetch(int socket, struct mmsghdr *slots, uint32_t asked);
static uint32_t further_slots(uint32_t asked, uint32_t filled);
static uint32_t read_control(engine *self, struct msghdr *message);
static void take_slot(engine *self, uint8_t *bytes, uint32_t length, uint32_t segment, const endpoint *from);
static size_t count_alike(const arrival *run, size_t count);
static void take_alike(engine *self, const arrival *run, size_t count);
static void relay(engine *self, const arrival *datagram);
static void take_plain(engine *self, const receive_index *index, const arrival *datagram);
static void take_sealed(engine *self, const receive_index *index, const arrival *run, size_t count);
static void take_opened(engine *self, const receive_index *index, phase_keys *keys, const arrival *datagram);
static bool repeat(engine *self, const receive_index *index, const arrival *datagram);
static bool accept_counter(engine *self, const receive_index *index, phase_keys *keys, const arrival *datagram);
static void note_source(engine *self, session *owner, const phase_keys *keys, const endpoint *from);
static void add_message(engine *self, const receive_index *index, const arrival *datagram, bool plain);

void engine_receive(engine *self) {
  if (!self->messages_held) engine_fill_messages(self);
  self->messages_held = false;
}

void engine_fill_messages(engine *self) {
  struct mmsghdr slots[RECEIVE_SLOTS];
  socket_address from[RECEIVE_SLOTS];
  receive_control controls[RECEIVE_SLOTS];
  self->messages.count = 0;
  self->asks = false;
  self->now = flow_now();
  if (self->socket_watch == NULL) return;
  bool looks = !lone_spares_look(self->lone_messages);
  uint32_t before = self->moved;
  int count = receive_slots(self, looks, slots, from, controls);
  for (int i = 0; i < count; i++) {
    endpoint source = endpoint_of(&from[i]);
    memcpy(self->messages.sources + i * ENDPOINT_BYTES, source.bytes, ENDPOINT_BYTES);
    uint32_t segment = read_control(self, &slots[i].msg_hdr);
    take_slot(self, self->messages.data + (size_t)i * SLOT_BYTES, slots[i].msg_len, segment, &source);
  }
  lone_note(&self->lone_messages, looks, self->moved - before);
  /* Relayed datagrams lie in the slots, which the next call fills anew. */
  send_queue_flush(&self->queue);
  /* So do frames that are being joined. */
  engine_flush_joined(self);
  self->messages_held = self->messages.count > 0;
}

/* Returns the number of filled slots. */
static int receive_slots(engine *self, bool looks, struct mmsghdr *slots, socket_address *from, receive_control *controls) {
  struct iovec parts[RECEIVE_SLOTS];
  uint32_t asked = looks ? 2 + self->further_slots : 1;
  for (size_t i = 0; i < asked; i++) {
    parts[i] = (struct iovec){self->messages.data + i * SLOT_BYTES, SLOT_BYTES};
    slots[i].msg_hdr = (struct msghdr){
        .msg_name = &from[i],
        .msg_namelen = sizeof from[i],
        .msg_iov = &parts[i],
        .msg_iovlen = 1,
        .msg_control = controls[i].bytes,
        .msg_controllen = sizeof controls[i].bytes,
    };
  }
  int count;
  do count = fetch(self->socket, slots, asked);
  while (count < 0 && errno == EINTR);
  if (count < 0 && (errno == EBADF || errno == ENOTSOCK)) self->socket_broken = true;
  if (count < 0) count = 0;
  if (looks) self->further_slots = further_slots(asked, (uint32_t)count);
  return count;
}

/* Returns how many slots the kernel filled, or -1 with errno set; recvmsg is the cheaper call for one. */
static int fetch(int socket, struct mmsghdr *slots, uint32_t asked) {
  if (asked > 1) return recvmmsg(socket, slots, asked, MSG_DONTWAIT, NULL);
  ssize_t length = recvmsg(socket, &slots->msg_hdr, MSG_DONTWAIT);
  if (length < 0) return -1;
  slots->msg_len = (unsigned)length;
  return 1;
}

/* As many as came, or twice as many if there may have been more; two at least. */
static uint32_t further_slots(uint32_t asked, uint32_t filled) {
  if (filled < asked) return filled > 2 ? filled - 2 : 0;
  return (2 * asked < RECEIVE_SLOTS ? 2 * asked : RECEIVE_SLOTS) - 2;
}

/* The size of the datagrams that the kernel has joined, or 0 if there is but one. */
static uint32_t read_control(engine *self, struct msghdr *message) {
  uint32_t segment = 0;
  for (struct cmsghdr *header = CMSG_FIRSTHDR(message); header != NULL; header = CMSG_NXTHDR(message, header)) {
    uint32_t value;
    memcpy(&value, CMSG_DATA(header), sizeof value);
    if (header->cmsg_level == SOL_UDP && header->cmsg_type == UDP_GRO) segment = value;
    if (header->cmsg_level != SOL_SOCKET || header->cmsg_type != SO_RXQ_OVFL) continue;
    if (value != self->overflows) event_drop(&self->log, DROP_RECEIVE_QUEUE_FULL, value - self->overflows);
    self->overflows = value;
  }
  return segment;
}

static void take_slot(engine *self, uint8_t *bytes, uint32_t length, uint32_t segment, const endpoint *from) {
  arrival datagrams[SLOT_DATAGRAMS];
  size_t count = 0;
  uint32_t at = 0;
  if (segment == 0) segment = SLOT_BYTES;
  do {
    uint32_t rest = length - at;
    datagrams[count++] = (arrival){bytes + at, rest < segment ? rest : segment, from};
    at += segment;
  } while (at < length && count < SLOT_DATAGRAMS);
  self->moved += (uint32_t)count;
  /* Newer kernels join up to twice as many where a stranger sends them as one. */
  if (at < length) event_drop(&self->log, DROP_RECEIVE_QUEUE_FULL, (length - at + segment - 1) / segment);
  for (size_t i = 0, alike; i < count; i += alike) {
    alike = count_alike(datagrams + i, count - i);
    take_alike(self, datagrams + i, alike);
  }
}

/* How many of them, at least one, have the length of the first and its header up to the counter. */
static size_t count_alike(const arrival *run, size_t count) {
  size_t alike = 1;
  if (run->length < SHORTEST_DATAGRAM) return alike;
  while (alike < count && alike < AEAD_BATCH && run[alike].length == run->length &&
         memcmp(run[alike].bytes, run->bytes, DATAGRAM_AT_COUNTER) == 0)
    alike++;
  return alike;
}

static void take_alike(engine *self, const arrival *run, size_t count) {
  const uint8_t *bytes = run->bytes;
  if (run->length < SHORTEST_DATAGRAM) return event_drop(&self->log, DROP_TOO_SHORT, 1);
  if (bytes[0] != TYPE_SEALED && bytes[0] != TYPE_PLAIN) return event_drop(&self->log, DROP_TYPE_UNKNOWN, (uint32_t)count);
  if (bytes[2] != 0 || bytes[3] != 0) return event_drop(&self->log, DROP_RESERVED_BITS, (uint32_t)count);
  const receive_index *index = u32_map_get(&self->state.indexes, datagram_index(bytes));
  if (index != NULL && bytes[0] == TYPE_SEALED) return take_sealed(self, index, run, count);
  for (size_t i = 0; i < count; i++) {
    if (index == NULL) relay(self, &run[i]);
    else take_plain(self, index, &run[i]);
  }
}

static void relay(engine *self, const arrival *datagram) {
  label *entry = u32_map_get(&self->state.labels, datagram_index(datagram->bytes));
  if (entry == NULL) return event_drop(&self->log, DROP_INDEX_UNKNOWN, 1);
  const path *previous = state_path(&self->state, entry->from);
  path *next = state_path(&self->state, entry->to);
  if (previous == NULL || next == NULL) return event_drop(&self->log, DROP_PATH_UNKNOWN, 1);
  if (!endpoint_equal(&previous->to, datagram->from)) return event_drop(&self->log, DROP_LABEL_SOURCE_WRONG, 1);
  datagram_set_index(datagram->bytes, entry->next_index);
  event_label_used(&self->log, &entry->used, entry->index, datagram->length);
  queued_datagram relayed = {.bytes = datagram->bytes, .length = datagram->length, .to = next};
  send_queue_add(&self->queue, &relayed);
}

static void take_plain(engine *self, const receive_index *index, const arrival *datagram) {
  const session *owner = index->owner;
  const uint8_t *cookie = datagram->bytes + datagram->length - DATAGRAM_TAG;
  if (owner->has_cookies && CRYPTO_memcmp(cookie, owner->receive_cookie, COOKIE_BYTES) == 0)
    add_message(self, index, datagram, true);
  else event_drop(&self->log, DROP_COOKIE_INVALID, 1);
}

static void take_sealed(engine *self, const receive_index *index, const arrival *run, size_t count) {
  phase_keys *keys = session_phase(index->owner, run->bytes[1]);
  if (keys == NULL) return event_drop(&self->log, DROP_KEY_UNKNOWN, (uint32_t)count);
  aead_text texts[AEAD_BATCH];
  const arrival *of[AEAD_BATCH];
  size_t tried = 0;
  for (size_t i = 0; i < count; i++) {
    aead_text text = {datagram_counter(run[i].bytes), run[i].bytes + DATAGRAM_HEADER};
    if (text.counter >= COUNTER_LIMIT) {
      event_drop(&self->log, DROP_COUNTER_EXHAUSTED, 1);
      continue;
    }
    of[tried] = &run[i];
    texts[tried++] = text;
  }
  aead_set valid = aead_open(keys->opener, texts, tried, run->length - DATAGRAM_OVERHEAD);
  for (size_t i = 0; i < tried; i++) {
    if ((valid >> i & 1) != 0) take_opened(self, index, keys, of[i]);
    else event_drop(&self->log, DROP_TAG_INVALID, 1);
  }
}

static void take_opened(engine *self, const receive_index *index, phase_keys *keys, const arrival *datagram) {
  if (!accept_counter(self, index, keys, datagram)) return;
  if (self->asks || !repeat(self, index, datagram)) add_message(self, index, datagram, false);
}

/* As the switch decided on the frame before it; false if it must be asked. */
static bool repeat(engine *self, const receive_index *index, const arrival *datagram) {
  session *owner = index->owner;
  const uint8_t *inner = datagram->bytes + DATAGRAM_HEADER;
  flow arrived = {.kind = inner[0], .phase = datagram->bytes[1], .session = owner->number, .tag = index->tag};
  uint8_t flags = inner[1] & FLAG_CHECKSUM_PARTIAL;
  if (!engine_repeat_write(self, &arrived, inner + INNER_HEADER, datagram->length - SHORTEST_DATAGRAM, flags))
    return false;
  event_repeated(&self->log, &owner->received, EVENT_RECEIVED, owner->number, 1, datagram->length);
  return true;
}

static bool accept_counter(engine *self, const receive_index *index, phase_keys *keys, const arrival *datagram) {
  uint64_t counter = datagram_counter(datagram->bytes);
  bool highest = !keys->window.any || counter > keys->window.highest;
  replay_verdict verdict = replay_window_accept(&keys->window, counter);
  if (verdict == COUNTER_REPLAYED) event_drop(&self->log, DROP_COUNTER_REPLAYED, 1);
  if (verdict == COUNTER_TOO_OLD) event_drop(&self->log, DROP_COUNTER_TOO_OLD, 1);
  if (verdict == COUNTER_NEW && index->roams && highest) note_source(self, index->owner, keys, datagram->from);
  return verdict == COUNTER_NEW;
}

/* The highest counter says where the peer is now; a late datagram of a phase before the newest one does not. */
static void note_source(engine *self, session *owner, const phase_keys *keys, const endpoint *from) {
  for (const phase_keys *newer = owner->newest; newer != keys; newer = newer->older) {
    if (newer->window.any) return;
  }
  if (owner->has_direct && endpoint_equal(&owner->direct, from)) return;
  event_roamed(&self->log, &owner->roamed, owner->number, from);
}

static void add_message(engine *self, const receive_index *index, const arrival *datagram, bool plain) {
  message_batch *batch = &self->messages;
  /* None may overtake it. */
  self->asks = true;
  uint32_t i = batch->count++;
  const uint8_t *inner = datagram->bytes + DATAGRAM_HEADER;
  batch->offset[i] = (uint32_t)(inner + INNER_HEADER - batch->data);
  batch->length[i] = datagram->length - SHORTEST_DATAGRAM;
  batch->kind[i] = inner[0];
  batch->flags[i] = inner[1];
  batch->session[i] = index->owner->number;
  batch->tag[i] = index->tag;
  batch->phase[i] = plain ? 0 : datagram->bytes[1];
  batch->plain[i] = plain;
  batch->wire_length[i] = datagram->length;
}
