/*
 * The entry of the addon. It keeps nothing outside its handles but what threads share under a lock (kernel_steps.c), so
 * that each thread may load it.
 */
#include "address_module.h"
#include "engine_handle.h"
#include "kernel_module.h"
#include "process.h"
#include "segment_module.h"
#include "tap_module.h"

NAPI_MODULE_INIT() {
  process_register(env, exports);
  address_register(env, exports);
  kernel_register(env, exports);
  segment_register(env, exports);
  tap_register(env, exports);
  engine_register(env, exports);
  engine_register_configuration(env, exports);
  engine_register_plans(env, exports);
  return exports;
}
