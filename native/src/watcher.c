#include "watcher.h"

#include "glue.h"

#include <stdlib.h>
#include <sys/socket.h>
#include <unistd.h>
#include <uv.h>

/* Then the event loop has its turn whatever comes. */
#define CALLS_PER_TURN 16

struct watcher {
  uv_poll_t poll;
  napi_env env;
  napi_ref on_readable;
  napi_async_context context;
  napi_async_cleanup_hook_handle hook;
  int fd;
  watcher **slot;
  bool *broken;
  watcher_asked ask;
  void *context_of_ask;
  uint32_t ready;
};

static void on_poll(uv_poll_t *poll, int status, int events);
static void call(watcher *self);
static bool survives(watcher *self);
static void report_exception(napi_env env);
static void on_thread_end(napi_async_cleanup_hook_handle hook, void *data);
static void on_closed(uv_handle_t *handle);
static void begin_close(watcher *self);

bool watcher_start(napi_env env, int fd, napi_value on_readable, watcher **slot, bool *broken) {
  struct uv_loop_s *loop;
  MUST(napi_get_uv_event_loop(env, &loop));
  watcher *self = calloc(1, sizeof *self);
  if (self == NULL || uv_poll_init(loop, &self->poll, fd) != 0) {
    free(self);
    close(fd);
    return false;
  }
  self->env = env;
  self->fd = fd;
  self->slot = slot;
  self->broken = broken;
  *slot = self;
  napi_value name;
  MUST(napi_create_string_utf8(env, "weave_ts", NAPI_AUTO_LENGTH, &name));
  MUST(napi_async_init(env, NULL, name, &self->context));
  MUST(napi_create_reference(env, on_readable, 1, &self->on_readable));
  /* A thread that is terminated with an open handle in its loop aborts the whole process. */
  MUST(napi_add_async_cleanup_hook(env, on_thread_end, self, &self->hook));
  uv_poll_start(&self->poll, UV_READABLE, on_poll);
  return true;
}

void watcher_ask_first(watcher *self, watcher_asked ask, void *context, uint32_t ready) {
  self->ask = ask;
  self->context_of_ask = context;
  self->ready = ready;
}

void watcher_stop(watcher **slot) {
  watcher *self = *slot;
  if (self == NULL) return;
  MUST(napi_delete_reference(self->env, self->on_readable));
  MUST(napi_async_destroy(self->env, self->context));
  begin_close(self);
}

static void on_poll(uv_poll_t *poll, int status, int events) {
  (void)events;
  watcher *self = (watcher *)poll;
  if (status < 0) *self->broken = !survives(self);
  if (self->ask == NULL) return call(self);
  uint32_t ready = self->ready;
  for (int calls = 0; calls < CALLS_PER_TURN && self->ask(self->context_of_ask, ready); calls++) {
    call(self);
    /* JavaScript may have stopped it. */
    if (uv_is_closing((uv_handle_t *)poll)) return;
    ready = 0;
  }
}

static void call(watcher *self) {
  napi_env env = self->env;
  napi_handle_scope scope;
  MUST(napi_open_handle_scope(env, &scope));
  napi_value function, receiver;
  MUST(napi_get_reference_value(env, self->on_readable, &function));
  MUST(napi_get_global(env, &receiver));
  if (napi_make_callback(env, self->context, receiver, function, 0, NULL, NULL) != napi_ok) report_exception(env);
  MUST(napi_close_handle_scope(env, scope));
}

/* A socket may report the error of one datagram, which is over when it has been read; a TAP reports its end only. */
static bool survives(watcher *self) {
  int error;
  socklen_t length = sizeof error;
  return getsockopt(self->fd, SOL_SOCKET, SO_ERROR, &error, &length) == 0 &&
         uv_poll_start(&self->poll, UV_READABLE, on_poll) == 0;
}

/* A thread that is being terminated ends its callbacks by an exception of which nothing is to be said. */
static void report_exception(napi_env env) {
  bool pending = false;
  napi_value error = NULL;
  if (napi_is_exception_pending(env, &pending) != napi_ok || !pending) return;
  if (napi_get_and_clear_last_exception(env, &error) == napi_ok) napi_fatal_exception(env, error);
}

/* JavaScript may not run any more, and what refers to it is freed by Node. */
static void on_thread_end(napi_async_cleanup_hook_handle hook, void *data) {
  (void)hook;
  watcher *self = data;
  if (!uv_is_closing((uv_handle_t *)&self->poll)) begin_close(self);
}

static void begin_close(watcher *self) {
  *self->slot = NULL;
  uv_close((uv_handle_t *)&self->poll, on_closed);
  close(self->fd);
}

static void on_closed(uv_handle_t *handle) {
  watcher *self = (watcher *)handle;
  MUST(napi_remove_async_cleanup_hook(self->hook));
  free(self);
}
