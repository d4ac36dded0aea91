/* The engine for JavaScript: its life and its events. */
#include "engine_handle.h"

#include "glue.h"
#include "tap_device.h"
#include "tap_steering.h"
#include "udp_socket.h"

#include <linux/if.h>
#include <stdio.h>
#include <stdlib.h>

/* An array that JavaScript provides. */
typedef struct {
  const char *name;
  size_t bytes;
  void **place;
} provided_array;

static bool take_arrays(napi_env env, napi_value arrays, engine *self);
static bool take_array(napi_env env, napi_value arrays, const provided_array *wanted);
static void finalize(napi_env env, void *data, void *hint);

engine *engine_arguments(napi_env env, napi_callback_info info, size_t count, napi_value *out) {
  glue_arguments(env, info, count, out);
  return glue_pointer(env, out[0]);
}

/* engineCreate(arrays): handle, which keeps `arrays`, as in router/engine/native-layout.ts, alive. */
static napi_value create(napi_env env, napi_callback_info info) {
  napi_value arrays, handle;
  glue_arguments(env, info, 1, &arrays);
  engine *self = calloc(1, sizeof *self);
  if (self != NULL) self->out = malloc(OUT_ROOM);
  if (self == NULL || self->out == NULL) {
    free(self);
    MUST(napi_throw_error(env, "ENOMEM", "No memory is left for the packet engine."));
    return NULL;
  }
  self->socket = self->tap = -1;
  self->stand_in.socket = self->stand_in.tap = -1;
  MUST(napi_get_uv_event_loop(env, &self->stand_in.loop));
  self->queue.log = &self->log;
  if (!take_arrays(env, arrays, self)) {
    finalize(env, self, NULL);
    return NULL;
  }
  MUST(napi_create_reference(env, arrays, 1, &self->arrays));
  MUST(napi_create_external(env, self, finalize, NULL, &handle));
  return handle;
}

static bool take_arrays(napi_env env, napi_value arrays, engine *self) {
  frame_batch *frames = &self->frames;
  message_batch *messages = &self->messages;
  uint32_t *drops = NULL, *events = NULL;
  uint8_t *event_sources = NULL;
  const size_t words = sizeof(uint32_t);
  const provided_array wanted[] = {
      {"frameData", FRAME_BYTES, (void **)&frames->data},
      {"frameOffset", FRAME_CAPACITY * words, (void **)&frames->offset},
      {"frameLength", FRAME_CAPACITY * words, (void **)&frames->length},
      {"frameSegment", FRAME_CAPACITY * words, (void **)&frames->segment},
      {"frameFlags", FRAME_CAPACITY, (void **)&frames->flags},
      {"messageData", (size_t)RECEIVE_SLOTS * SLOT_BYTES, (void **)&messages->data},
      {"messageOffset", MESSAGE_CAPACITY * words, (void **)&messages->offset},
      {"messageLength", MESSAGE_CAPACITY * words, (void **)&messages->length},
      {"messageKind", MESSAGE_CAPACITY, (void **)&messages->kind},
      {"messageFlags", MESSAGE_CAPACITY, (void **)&messages->flags},
      {"messageSession", MESSAGE_CAPACITY * words, (void **)&messages->session},
      {"messageTag", MESSAGE_CAPACITY * words, (void **)&messages->tag},
      {"messagePhase", MESSAGE_CAPACITY, (void **)&messages->phase},
      {"messagePlain", MESSAGE_CAPACITY, (void **)&messages->plain},
      {"messageWireLength", MESSAGE_CAPACITY * words, (void **)&messages->wire_length},
      {"slotSources", RECEIVE_SLOTS * ENDPOINT_BYTES, (void **)&messages->sources},
      {"drops", DROP_REASONS * words, (void **)&drops},
      {"events", EVENT_CAPACITY * EVENT_WORDS * words, (void **)&events},
      {"eventSources", EVENT_CAPACITY * ENDPOINT_BYTES, (void **)&event_sources},
  };
  for (size_t i = 0; i < sizeof wanted / sizeof *wanted; i++) {
    if (!take_array(env, arrays, &wanted[i])) return false;
  }
  event_log_begin(&self->log, drops, events, event_sources);
  return true;
}

static bool take_array(napi_env env, napi_value arrays, const provided_array *wanted) {
  napi_value value = NULL;
  size_t bytes = 0;
  *wanted->place = glue_property(env, arrays, wanted->name, &value) ? glue_array(env, value, &bytes) : NULL;
  if (*wanted->place == NULL) return false;
  if (bytes == wanted->bytes) return true;
  char text[96];
  snprintf(text, sizeof text, "%s has %zu bytes instead of %zu.", wanted->name, bytes, wanted->bytes);
  MUST(napi_throw_range_error(env, NULL, text));
  return false;
}

/* The number of a closed descriptor may be that of another one soon. */
static void stop_socket(engine *self) {
  watcher_stop(&self->socket_watch);
  self->stand_in.socket = -1;
}

static void stop_tap(engine *self) {
  watcher_stop(&self->tap_watch);
  self->stand_in.tap = -1;
}

static void finalize(napi_env env, void *data, void *hint) {
  (void)hint;
  engine *self = data;
  if (self->arrays != NULL) MUST(napi_delete_reference(env, self->arrays));
  stop_socket(self);
  stop_tap(self);
  state_clear(&self->state);
  free(self->out);
  free(self);
}

/* What is readable is for the engine first, and for JavaScript if that does not know what to do. */
static void take_over(engine *self, watcher *watch, uint32_t ready, int *place, int fd) {
  watcher_ask_first(watch, engine_on_ready, self, ready);
  *place = fd;
}

/* engineBind(handle, address, port, worker, workers, onReady): address of 0, 4 or 16 bytes. */
static napi_value bind_socket(napi_env env, napi_callback_info info) {
  napi_value arguments[6];
  size_t bytes = 0;
  engine *self = engine_arguments(env, info, 6, arguments);
  if (self == NULL) return NULL;
  const uint8_t *address = glue_array(env, arguments[1], &bytes);
  if (bytes != 0 && bytes != 4 && bytes != 16) {
    MUST(napi_throw_range_error(env, NULL, "An address has 4 or 16 bytes."));
    return NULL;
  }
  socket_share share = {.number = glue_uint32(env, arguments[3]), .count = glue_uint32(env, arguments[4])};
  int fd = udp_socket_open(address, bytes, (uint16_t)glue_uint32(env, arguments[2]), share, &self->family);
  if (fd < 0) {
    glue_throw_errno(env, "UDP socket", -fd);
    return NULL;
  }
  self->socket = self->queue.fd = fd;
  if (!watcher_start(env, fd, arguments[5], &self->socket_watch, &self->socket_broken))
    MUST(napi_throw_error(env, NULL, "The event loop does not take the UDP socket."));
  else take_over(self, self->socket_watch, READY_SOCKET, &self->stand_in.socket, fd);
  return glue_undefined(env);
}

/* engineAttach(handle, name, superFrames, onReady): to the TAP, which is made if need be. */
static napi_value attach_tap(napi_env env, napi_callback_info info) {
  napi_value arguments[4];
  char name[IFNAMSIZ];
  const char *step = "";
  engine *self = engine_arguments(env, info, 4, arguments);
  if (self == NULL || !glue_text(env, arguments[1], name, sizeof name)) return NULL;
  int fd = tap_device_open(name, glue_boolean(env, arguments[2]), &step);
  if (fd < 0) {
    glue_throw_errno(env, step, -fd);
    return NULL;
  }
  self->tap = fd;
  if (!watcher_start(env, fd, arguments[3], &self->tap_watch, &self->tap_broken))
    MUST(napi_throw_error(env, NULL, "The event loop does not take the TAP."));
  else take_over(self, self->tap_watch, READY_TAP, &self->stand_in.tap, fd);
  return glue_undefined(env);
}

/* engineSteer(handle): each flow to one queue of the TAP, by its addresses and ports alone. */
static napi_value steer_tap(napi_env env, napi_callback_info info) {
  napi_value argument;
  engine *self = engine_arguments(env, info, 1, &argument);
  if (self == NULL) return NULL;
  int result = tap_steering_set(self->tap);
  if (result < 0) {
    glue_throw_errno(env, "steer flows", -result);
    return NULL;
  }
  return glue_undefined(env);
}

/* engineClose(handle): wipes all keys; every later call does nothing. */
static napi_value close_engine(napi_env env, napi_callback_info info) {
  napi_value argument;
  engine *self = engine_arguments(env, info, 1, &argument);
  if (self == NULL) return NULL;
  stop_socket(self);
  stop_tap(self);
  state_clear(&self->state);
  return glue_undefined(env);
}

/* engineDrain(handle): number of events in `events`. */
static napi_value drain(napi_env env, napi_callback_info info) {
  napi_value argument;
  engine *self = engine_arguments(env, info, 1, &argument);
  if (self == NULL) return NULL;
  self->drained_at = flow_now();
  return glue_number(env, event_log_drain(&self->log));
}

/*
 * engineBroken(handle): 0 = no, 1 = the socket, 2 = the TAP is gone. Said once: what is gone is closed, so that it does
 * not call for attention for ever.
 */
static napi_value broken(napi_env env, napi_callback_info info) {
  napi_value argument;
  engine *self = engine_arguments(env, info, 1, &argument);
  if (self == NULL) return NULL;
  int what = self->socket_broken ? 1 : self->tap_broken ? 2 : 0;
  if (what == 1) stop_socket(self);
  if (what == 2) stop_tap(self);
  self->socket_broken = self->tap_broken = false;
  return glue_number(env, what);
}

void engine_register(napi_env env, napi_value exports) {
  glue_export(env, exports, "engineCreate", create);
  glue_export(env, exports, "engineBind", bind_socket);
  glue_export(env, exports, "engineAttach", attach_tap);
  glue_export(env, exports, "engineSteer", steer_tap);
  glue_export(env, exports, "engineClose", close_engine);
  glue_export(env, exports, "engineDrain", drain);
  glue_export(env, exports, "engineBroken", broken);
}
