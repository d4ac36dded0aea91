/* Calls a JavaScript function from the event loop while a file descriptor has something to read. */
#ifndef WEAVE_WATCHER_H
#define WEAVE_WATCHER_H

#include <node_api.h>
#include <stdbool.h>
#include <stdint.h>

typedef struct watcher watcher;

/*
 * Takes over `fd` and closes it when stopped, or when the thread ends. `*slot` holds the watcher until then and is
 * null afterwards. `*broken`, which must live as long, becomes true when the kernel reports that `fd` is of no more
 * use; the function is called once more then. False if the event loop refuses `fd`, which is closed then.
 */
bool watcher_start(napi_env env, int fd, napi_value on_readable, watcher **slot, bool *broken);

/*
 * Who is asked with `context` before JavaScript is called, and again after it, as often as it wants JavaScript once more;
 * if it returns false, the event loop goes on. `ready`: the bits of what is readable, as the loop says, or 0.
 */
typedef bool (*watcher_asked)(void *context, uint32_t ready);
void watcher_ask_first(watcher *self, watcher_asked ask, void *context, uint32_t ready);

/* Does nothing if `*slot` is null. */
void watcher_stop(watcher **slot);

#endif
