/*
 * Datagrams on their way out. They are sealed here, several at once where they are alike. Adjacent ones of equal size (the
 * last may be shorter) to one path leave as one train: one message with UDP_SEGMENT, which passes the kernel's stack once.
 */
#ifndef WEAVE_SEND_QUEUE_H
#define WEAVE_SEND_QUEUE_H

#include "engine_state.h"
#include "event_log.h"

#include <stdalign.h>
#include <sys/socket.h>

#define SEND_QUEUE_CAPACITY 512

typedef struct {
  uint8_t *bytes;
  uint32_t length;
  path *to;
  /* What it is yet to be sealed with: all between header and tag. Null if it is ready. */
  aead *sealer;
  /* A message of a link itself: it carries no frame, and is not somebody else's that is relayed. */
  bool of_link;
} queued_datagram;

typedef struct {
  alignas(struct cmsghdr) uint8_t bytes[CMSG_SPACE(sizeof(uint16_t))];
} segment_control;

typedef struct {
  int fd;
  event_log *log;
  size_t count;
  /* Datagrams before this one are ready. */
  size_t ready;
  queued_datagram datagrams[SEND_QUEUE_CAPACITY];
  struct iovec parts[SEND_QUEUE_CAPACITY];
  struct mmsghdr trains[SEND_QUEUE_CAPACITY];
  /* Position of each train's first datagram. */
  uint32_t first[SEND_QUEUE_CAPACITY + 1];
  segment_control controls[SEND_QUEUE_CAPACITY];
} send_queue;

/*
 * Its `bytes`, with the margins of aead.h around them, `to` and `sealer` stay as they are until the flush. A full queue
 * flushes itself first.
 */
void send_queue_add(send_queue *queue, const queued_datagram *datagram);

void send_queue_flush(send_queue *queue);

#endif
