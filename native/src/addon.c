/* The entry of the addon. It keeps nothing outside its handles, so that each thread may load it. */
#include "process.h"
#include "tap_module.h"

NAPI_MODULE_INIT() {
  process_register(env, exports);
  tap_register(env, exports);
  return exports;
}
