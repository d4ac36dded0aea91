/* Calls a JavaScript function from the event loop while a file descriptor has something to read. */
#ifndef WEAVE_WATCHER_H
#define WEAVE_WATCHER_H

#include <node_api.h>
#include <stdbool.h>

typedef struct watcher watcher;

/*
 * Takes over `fd` and closes it when stopped, or when the thread ends. `*slot` holds the watcher until then and is
 * null afterwards. `*broken`, which must live as long, becomes true when the kernel reports that `fd` is of no more
 * use; the function is called once more then. False if the event loop refuses `fd`, which is closed then.
 */
bool watcher_start(napi_env env, int fd, napi_value on_readable, watcher **slot, bool *broken);

/* Before every call `ask` is called with `context`; if it returns false, JavaScript is left alone this time. */
void watcher_ask_first(watcher *self, bool (*ask)(void *), void *context);

/* Does nothing if `*slot` is null. */
void watcher_stop(watcher **slot);

#endif
