/* The entry of the addon. It keeps nothing outside its handles, so that each thread may load it. */
#include "engine_handle.h"
#include "process.h"
#include "segment_module.h"
#include "tap_module.h"

NAPI_MODULE_INIT() {
  process_register(env, exports);
  segment_register(env, exports);
  tap_register(env, exports);
  engine_register(env, exports);
  engine_register_configuration(env, exports);
  engine_register_plans(env, exports);
  return exports;
}
