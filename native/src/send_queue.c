#include "send_queue.h"

#include "datagram.h"
#include "udp_socket.h"

#include <errno.h>
#include <netinet/udp.h>
#include <string.h>

/* Beyond SEND_BUFFER_BYTES, for links' own datagrams: frames that flood the socket take none of it. */
#define LINK_RESERVE_BYTES (256 << 10)

/* UDP_MAX_SEGMENTS of all kernels that have UDP_SEGMENT. */
#define TRAIN_DATAGRAMS 64

static bool is_like(const queued_datagram *a, const queued_datagram *b);
static void make_ready(send_queue *queue);
static int send_trains(send_queue *queue, size_t first, size_t end);
static ssize_t send_one(const send_queue *queue, const queued_datagram *datagram);
static size_t couple_trains(send_queue *queue);
static size_t train_end(const send_queue *queue, size_t first);
static size_t gather(send_queue *queue, size_t first, size_t end, struct iovec *parts);
static void announce_segments(struct msghdr *message, segment_control *control, uint16_t size);
static void on_refused(send_queue *queue, size_t train, int error);
static void on_full(send_queue *queue, size_t train);
static void set_room(int fd, int bytes);
static void send_singly(send_queue *queue, size_t train);
static void send_alone(send_queue *queue, const queued_datagram *datagram);
static void note_error(send_queue *queue, const queued_datagram *datagram, int error);

void send_queue_add(send_queue *queue, const queued_datagram *datagram) {
  if (queue->count == SEND_QUEUE_CAPACITY) send_queue_flush(queue);
  if (datagram->to->address_length == 0) return note_error(queue, datagram, EAFNOSUPPORT);
  if (queue->ready < queue->count && !is_like(&queue->datagrams[queue->ready], datagram)) make_ready(queue);
  queue->datagrams[queue->count++] = *datagram;
  /* Not later, when they would have left the processor's caches. */
  if (queue->count - queue->ready == AEAD_BATCH || datagram->sealer == NULL) make_ready(queue);
}

/* Whether the two are sealed together. */
static bool is_like(const queued_datagram *a, const queued_datagram *b) {
  return a->sealer == b->sealer && a->length == b->length;
}

/* Seals what is not, which is all alike. What cannot be sealed, as memory is lacking, is not sent, though counted as sent. */
static void make_ready(send_queue *queue) {
  const queued_datagram *first = &queue->datagrams[queue->ready];
  size_t count = queue->count - queue->ready;
  aead_text texts[AEAD_BATCH];
  if (count > 0 && first->sealer != NULL) {
    for (size_t i = 0; i < count; i++)
      texts[i] = (aead_text){datagram_counter(first[i].bytes), first[i].bytes + DATAGRAM_HEADER};
    if (!aead_seal(first->sealer, texts, count, first->length - DATAGRAM_OVERHEAD)) {
      event_drop(queue->log, DROP_KEY_UNKNOWN, (uint32_t)count);
      queue->count = queue->ready;
    }
  }
  queue->ready = queue->count;
}

void send_queue_flush(send_queue *queue) {
  make_ready(queue);
  size_t trains = queue->count == 0 ? 0 : couple_trains(queue);
  for (size_t sent = 0; sent < trains;) {
    int done = send_trains(queue, sent, trains);
    if (done > 0) {
      sent += (size_t)done;
    } else if (errno == EAGAIN) {
      on_full(queue, sent);
      break;
    } else if (errno != EINTR) {
      on_refused(queue, sent++, errno);
    }
  }
  queue->count = queue->ready = 0;
}

/* Returns how many the kernel took, or -1 with errno set; sendto is the cheaper call for a lone datagram. */
static int send_trains(send_queue *queue, size_t first, size_t end) {
  bool alone = end - first == 1 && queue->first[end] - queue->first[first] == 1;
  if (!alone) return sendmmsg(queue->fd, queue->trains + first, (unsigned)(end - first), MSG_DONTWAIT);
  return send_one(queue, &queue->datagrams[queue->first[first]]) < 0 ? -1 : 1;
}

static ssize_t send_one(const send_queue *queue, const queued_datagram *datagram) {
  const path *to = datagram->to;
  return sendto(queue->fd, datagram->bytes, datagram->length, MSG_DONTWAIT, &to->address.any, to->address_length);
}

/* Returns the number of trains. */
static size_t couple_trains(send_queue *queue) {
  size_t trains = 0, parts = 0;
  for (size_t first = 0; first < queue->count; trains++) {
    size_t end = train_end(queue, first);
    path *to = queue->datagrams[first].to;
    struct msghdr *message = &queue->trains[trains].msg_hdr;
    memset(message, 0, sizeof *message);
    message->msg_name = &to->address;
    message->msg_namelen = to->address_length;
    message->msg_iov = queue->parts + parts;
    message->msg_iovlen = gather(queue, first, end, queue->parts + parts);
    if (end - first > 1)
      announce_segments(message, &queue->controls[trains], (uint16_t)queue->datagrams[first].length);
    parts += message->msg_iovlen;
    queue->first[trains] = (uint32_t)first;
    first = end;
  }
  queue->first[trains] = (uint32_t)queue->count;
  return trains;
}

static size_t train_end(const send_queue *queue, size_t first) {
  const queued_datagram *head = &queue->datagrams[first];
  size_t bytes = head->length;
  size_t end = first + 1;
  while (end < queue->count && end - first < TRAIN_DATAGRAMS) {
    const queued_datagram *next = &queue->datagrams[end];
    bytes += next->length;
    if (next->to != head->to || next->length > head->length || bytes > LONGEST_DATAGRAM) break;
    end++;
    if (next->length < head->length) break;
  }
  return end;
}

/* Datagrams that lie one behind the other in memory are one part. */
static size_t gather(send_queue *queue, size_t first, size_t end, struct iovec *parts) {
  size_t count = 0;
  uint8_t *behind = NULL;
  for (size_t i = first; i < end; i++) {
    queued_datagram *datagram = &queue->datagrams[i];
    if (datagram->bytes == behind) parts[count - 1].iov_len += datagram->length;
    else parts[count++] = (struct iovec){datagram->bytes, datagram->length};
    behind = datagram->bytes + datagram->length;
  }
  return count;
}

static void announce_segments(struct msghdr *message, segment_control *control, uint16_t size) {
  message->msg_control = control->bytes;
  message->msg_controllen = sizeof control->bytes;
  struct cmsghdr *header = CMSG_FIRSTHDR(message);
  header->cmsg_level = SOL_UDP;
  header->cmsg_type = UDP_SEGMENT;
  header->cmsg_len = CMSG_LEN(sizeof size);
  memcpy(CMSG_DATA(header), &size, sizeof size);
}

/* What kernels answer to a train that they or the device cannot take need not hold for its datagrams. */
static void on_refused(send_queue *queue, size_t train, int error) {
  size_t first = queue->first[train], end = queue->first[train + 1];
  if (end - first > 1 && (error == EINVAL || error == EIO || error == EMSGSIZE)) return send_singly(queue, train);
  for (size_t i = first; i < end; i++) note_error(queue, &queue->datagrams[i], error);
}

/*
 * The wire does not take what is sent. From this train on frames are dropped; what links send themselves is not, or they would
 * be taken for dead.
 */
static void on_full(send_queue *queue, size_t train) {
  const queued_datagram *end = queue->datagrams + queue->count;
  uint32_t frames = 0;
  bool is_open = false;
  for (queued_datagram *datagram = &queue->datagrams[queue->first[train]]; datagram < end; datagram++) {
    if (!datagram->of_link) {
      frames++;
      continue;
    }
    if (!is_open) set_room(queue->fd, SEND_BUFFER_BYTES + LINK_RESERVE_BYTES);
    is_open = true;
    send_alone(queue, datagram);
  }
  if (is_open) set_room(queue->fd, SEND_BUFFER_BYTES);
  if (frames > 0) event_drop(queue->log, DROP_SOCKET_QUEUE_FULL, frames);
}

/* Without CAP_NET_ADMIN nothing changes. */
static void set_room(int fd, int bytes) {
  setsockopt(fd, SOL_SOCKET, SO_SNDBUFFORCE, &bytes, sizeof bytes);
}

static void send_singly(send_queue *queue, size_t train) {
  for (size_t i = queue->first[train]; i < queue->first[train + 1]; i++) send_alone(queue, &queue->datagrams[i]);
}

static void send_alone(send_queue *queue, const queued_datagram *datagram) {
  ssize_t done;
  do done = send_one(queue, datagram);
  while (done < 0 && errno == EINTR);
  if (done < 0) note_error(queue, datagram, errno);
}

static void note_error(send_queue *queue, const queued_datagram *datagram, int error) {
  path *to = datagram->to;
  if (error == EMSGSIZE) event_too_big(queue->log, &to->too_big, to->number, datagram->length);
  /* Probes of links are to find that out. */
  if (error == EMSGSIZE && datagram->of_link) return;
  if (error == EAGAIN) event_drop(queue->log, DROP_SOCKET_QUEUE_FULL, 1);
  else event_send_failed(queue->log, &to->failed, to->number, error, datagram->of_link);
}
