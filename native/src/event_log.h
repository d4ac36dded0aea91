/*
 * What happened between two drains, summed: at most one event per session, path and label, so that a flood of
 * datagrams is not a flood of events. It writes into arrays of JavaScript.
 */
#ifndef WEAVE_EVENT_LOG_H
#define WEAVE_EVENT_LOG_H

#include "endpoint.h"

#include <stdbool.h>
#include <stdint.h>

/* In the order of `engineDrops` in router/engine/native-layout.ts. */
typedef enum {
  DROP_TOO_SHORT,
  DROP_TYPE_UNKNOWN,
  DROP_RESERVED_BITS,
  DROP_INDEX_UNKNOWN,
  DROP_KEY_UNKNOWN,
  DROP_TAG_INVALID,
  DROP_COUNTER_REPLAYED,
  DROP_COUNTER_TOO_OLD,
  DROP_COOKIE_INVALID,
  DROP_LABEL_SOURCE_WRONG,
  DROP_COUNTER_EXHAUSTED,
  DROP_PATH_UNKNOWN,
  DROP_SOCKET_QUEUE_FULL,
  DROP_RECEIVE_QUEUE_FULL,
  DROP_TAP_QUEUE_FULL,
  DROP_FRAME_MALFORMED,
  DROP_FRAME_TOO_LONG,
  DROP_REASONS
} drop_reason;

typedef enum { EVENT_ROAMED = 1, EVENT_TOO_BIG, EVENT_SEND_FAILED, EVENT_LABEL_USED, EVENT_SENT, EVENT_RECEIVED } event_type;

#define EVENT_CAPACITY 1024
/* Words of an event: type, number of its session, path or label, and three values. */
#define EVENT_WORDS 5

/* Where the event of one session, path or label stands, if it has one since the last drain. */
typedef struct {
  uint32_t drain;
  uint32_t slot;
} event_mark;

typedef struct {
  uint32_t *drops;
  uint32_t *events;
  /* ENDPOINT_BYTES each, of EVENT_ROAMED. */
  uint8_t *sources;
  uint32_t count;
  uint32_t drain;
  /* Something happened that should be looked at now. */
  bool urgent;
  bool dropped;
} event_log;

/* `arrays`: DROP_REASONS words, EVENT_CAPACITY * EVENT_WORDS words, EVENT_CAPACITY * ENDPOINT_BYTES bytes. */
void event_log_begin(event_log *log, uint32_t *drops, uint32_t *events, uint8_t *sources);

static inline void event_drop(event_log *log, drop_reason reason, uint32_t count) {
  log->drops[reason] += count;
  log->dropped = true;
}

/* The last address counts. */
void event_roamed(event_log *log, event_mark *mark, uint32_t session, const endpoint *from);
/* The smallest size counts: it says most. */
void event_too_big(event_log *log, event_mark *mark, uint32_t path, uint32_t size);
/* One datagram. The last error counts; messages of links are counted apart. */
void event_send_failed(event_log *log, event_mark *mark, uint32_t path, int error, bool of_link);
/* Never urgent. */
void event_label_used(event_log *log, event_mark *mark, uint32_t index, uint32_t bytes);
/* Frames of a session that went without asking the switch: their datagrams and bytes of UDP payload. Never urgent. */
void event_repeated(event_log *log, event_mark *mark, event_type type, uint32_t session, uint32_t datagrams,
                    uint32_t bytes);

/* The number of events; the next one is the first of a new round. Drops are the reader's to clear. */
uint32_t event_log_drain(event_log *log);

#endif
